"""How code bases name their weights: a table of rules each, and both directions derived."""

from weights.dialects.dialect import Dialect, Skeleton
from weights.dialects.named import Named, reordered
from weights.dialects.pieces import merge_pieces
from weights.dialects.registry import dialects, find_dialect, list_dialects

__all__ = [
    "Dialect",
    "Named",
    "Skeleton",
    "dialects",
    "find_dialect",
    "list_dialects",
    "merge_pieces",
    "reordered",
]
