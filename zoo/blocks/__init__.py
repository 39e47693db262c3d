"""Graphs as the code of modules: cut into blocks, equal blocks in one class, and written down.

No framework is known here: a backend hands in its `Idioms`.
"""

from zoo.blocks.compiled import class_of, counterpart, require_own, source_of
from zoo.blocks.idioms import Argument, Idioms, Inline, Layer
from zoo.blocks.layout import Name
from zoo.blocks.source import Source, called, write
from zoo.blocks.tree import places

__all__ = [
    "Argument",
    "Idioms",
    "Inline",
    "Layer",
    "Name",
    "Source",
    "called",
    "class_of",
    "counterpart",
    "places",
    "require_own",
    "source_of",
    "write",
]
