"""Named arrays: from a seed, from files of any code base, into files. Imports no framework."""

from weights.adapt import adapt
from weights.canonical import Weights, check
from weights.checkpoint import (
    Checkpoint,
    describe,
    load_weights,
    own_dialect,
    require_same_network,
    save_weights,
)
from weights.dialects import Named, find_dialect, list_dialects, reordered
from weights.stated import metadata
from zoo.passes.initialize import initialize, randomize

__all__ = [
    "Checkpoint",
    "Named",
    "Weights",
    "adapt",
    "check",
    "describe",
    "find_dialect",
    "initialize",
    "list_dialects",
    "load_weights",
    "metadata",
    "own_dialect",
    "randomize",
    "reordered",
    "require_same_network",
    "save_weights",
]
