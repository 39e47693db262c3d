"""What a module computes of constants alone: masks, tables of indices; made while it is read.

The very calls are made, on the very tensors, in order: so what writes into a part of one does too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from backends.torch.adopt_call import Node, Options, UnknownError, value_of

MOST = 1 << 24
"""Values of a constant."""
BY_INDEX = ("index", "index_select")
"""What has whole numbers for options."""
FILLED = ("new_empty", "new_full", "new_ones", "new_zeros")
"""What makes constants of given shapes, whatever it is called on."""


class Constants:
    """The values that are known: those that depend neither on the image nor on a parameter.

    Attributes:
        known: name → tensor, number, or list of them.
        opened: names of those that depend on how many images there are: made for the example's.
    """

    def __init__(self, known: Mapping[str, torch.Tensor]) -> None:
        self.known: dict[str, Any] = {name: tensor.clone() for name, tensor in known.items()}
        self.opened: set[str] = set()

    def compute(self, node: Node) -> bool:
        """Make a call if all that it reads is known; return whether it was."""
        target: Any = node.target
        kind = getattr(getattr(target, "overloadpacket", None), "__name__", "")
        args, kwargs = list(node.args), dict(node.kwargs)
        if kind in FILLED:
            args[0] = torch.empty(0)
        parts = [part for value in (*args, *kwargs.values()) for part in _nodes(value)]
        sizes = {p.name: _hint(value_of(p)) for p in parts if isinstance(value_of(p), torch.SymInt)}
        if any(part.name not in self.known and part.name not in sizes for part in parts):
            return False
        if isinstance(value_of(node), torch.Tensor) and not _is_small(value_of(node)):
            raise UnknownError(f"{kind}: a constant {tuple(value_of(node).shape)} is too large")
        if not parts and not isinstance(value_of(node), torch.Tensor):
            return False
        if sizes or any(part.name in self.opened for part in parts):
            self.opened.add(node.name)
        known = self.known | sizes
        found = torch.fx.node.map_arg((tuple(args), kwargs), lambda part: known[part.name])
        with torch.no_grad():
            self.known[node.name] = target(*found[0], **found[1])
        return True

    def filled(self, kind: str, values: Options) -> Options:
        """Return the arguments of a call with the numbers and indices that are known in place."""

        def known(part: Node) -> Any:
            if not self.tells(kind, part):
                return part
            value = self.known[part.name]
            if part.name in self.opened:
                raise UnknownError(f"{kind}: {part.name} depends on how many images there are")
            return value if kind in BY_INDEX else value.item()

        found: Options = torch.fx.node.map_arg(values, known)
        return found

    def tells(self, kind: str, part: Node) -> bool:
        """Return whether an argument is no value but an option: indices, or a single number."""
        value = self.known.get(part.name)
        return isinstance(value, torch.Tensor) and (kind in BY_INDEX or value.dim() == 0)

    def of_one(self, part: Node, batch: int) -> torch.Tensor:
        """Return a constant as it is of one image; all of them must have the same."""
        value: torch.Tensor = self.known[part.name]
        if part.name not in self.opened:
            return value
        found = [i for i, n in enumerate(value_of(part).shape) if isinstance(n, torch.SymInt)]
        if found == [0] and len(value) == batch and bool((value == value[:1]).all()):
            return value[:1]
        raise UnknownError(f"{part.name}: a constant must be the same of all images")


def _hint(size: int | torch.SymInt) -> int:
    hint: Any = size.node.hint if isinstance(size, torch.SymInt) else size
    return int(hint)


def _nodes(value: Any) -> list[Node]:
    found: list[Node] = []
    torch.fx.node.map_arg(value, found.append)
    return found


def _is_small(value: torch.Tensor) -> bool:
    return math.prod(map(_hint, value.shape)) <= MOST
