"""Parity: the same network on several backends, compared node by node with a float64 reference."""

from zoo.proof.finding import Finding
from zoo.proof.prove import parity
from zoo.proof.report import ParityReport

__all__ = ["Finding", "ParityReport", "parity"]
