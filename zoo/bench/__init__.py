"""Measure inference: each engine in a process of its own, all in turns. See `zoo.bench.run`."""
