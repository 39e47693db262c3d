"""Named arrays: made from a seed, checked against a graph. Imports no framework."""

from weights.canonical import Weights, check
from weights.initialise import initialise, randomise

__all__ = ["Weights", "check", "initialise", "randomise"]
