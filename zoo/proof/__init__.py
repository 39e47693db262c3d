"""Parity: the same network on several backends, compared node by node with a float64 reference."""

from zoo.proof.prove import parity
from zoo.proof.report import Finding, ParityReport

__all__ = ["Finding", "ParityReport", "parity"]
