"""The networks of other code bases that `benchmarks/adopt.py` tries, and how they run there."""
