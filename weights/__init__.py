"""Named arrays: from a seed, from files of any code base, into files. Imports no framework."""

from weights.adapt import adapt
from weights.canonical import Weights, check
from weights.checkpoint import (
    Checkpoint,
    describe,
    load_weights,
    metadata,
    own_dialect,
    require_same_network,
    save_weights,
)
from weights.dialects import find_dialect, list_dialects
from zoo.passes.initialise import initialise, randomise

__all__ = [
    "Checkpoint",
    "Weights",
    "adapt",
    "check",
    "describe",
    "find_dialect",
    "initialise",
    "list_dialects",
    "load_weights",
    "metadata",
    "own_dialect",
    "randomise",
    "require_same_network",
    "save_weights",
]
