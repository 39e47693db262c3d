"""What timm's users read off a model's feature maps, under timm's names."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

from zoo.errors import SpecError

Index = int | Sequence[int] | None


class FeatureInfo(list[dict[str, Any]]):
    """A row ``{"num_chs", "reduction", "module", "index"}`` for each resolution, the finest first.

    A list, as the ``feature_info`` of timm's models is, with the methods of timm's ``FeatureInfo``:
    these tell of the rows that were selected, the list has all.

    Attributes:
        out_indices: the rows that were selected.
    """

    def __init__(
        self, rows: Iterable[dict[str, Any]], out_indices: Sequence[int] | None = None
    ) -> None:
        super().__init__({**row, "index": i} for i, row in enumerate(rows))
        self.out_indices = tuple(range(len(self)) if out_indices is None else out_indices)

    @property
    def info(self) -> list[dict[str, Any]]:
        """All rows."""
        return self

    def from_other(self, out_indices: int | Sequence[int] | None) -> FeatureInfo:
        """Return the rows with others selected.

        Args:
            out_indices: which, in this order, from the end if negative; a number for the last so
                many; None for all.

        Raises:
            SpecError: there is no such row, or one is named twice.
        """
        return FeatureInfo(self, self.absolute(out_indices))

    def absolute(self, out_indices: int | Sequence[int] | None) -> tuple[int, ...]:
        """Return indices counted from the start; see `from_other`."""
        told, count = f"out_indices (={out_indices!r})", len(self)
        if out_indices is None:
            return tuple(range(count))
        if isinstance(out_indices, int) and not isinstance(out_indices, bool):
            if not 1 <= out_indices <= count:
                raise SpecError(f"{told} must be from 1 to {count}, the last so many maps")
            return tuple(range(count - out_indices, count))
        try:
            wanted = [operator.index(i) for i in out_indices]  # type: ignore[union-attr]
        except TypeError:
            raise SpecError(f"{told} must be a number or a list of numbers") from None
        if not wanted or not all(-count <= i < count for i in wanted):
            maps = ", ".join(f"{i}: {row['module']}" for i, row in enumerate(self))
            raise SpecError(f"{told} must be from {-count} to {count - 1} ({maps})")
        found = tuple(i % count for i in wanted)
        if len(set(found)) != len(found):
            raise SpecError(f"{told} must name each map once")
        return found

    def get(self, key: str, idx: Index = None) -> Any:
        """Return a value of the selected rows, or of those at ``idx``; see timm."""
        if isinstance(idx, int):
            return self[idx][key]
        return [self[i][key] for i in (self.out_indices if idx is None else idx)]

    def get_dicts(self, keys: Sequence[str] | None = None, idx: Index = None) -> Any:
        """Return the selected rows, or those at ``idx``, with some keys or all."""
        if isinstance(idx, int):
            return {key: self[idx][key] for key in keys or self[idx]}
        rows = [self[i] for i in (self.out_indices if idx is None else idx)]
        return [{key: row[key] for key in keys or row} for row in rows]

    def channels(self, idx: Index = None) -> Any:
        """Return the channels of the selected maps, or of those at ``idx``."""
        return self.get("num_chs", idx)

    def reduction(self, idx: Index = None) -> Any:
        """Return pixels of the image for one of the selected maps, or of those at ``idx``."""
        return self.get("reduction", idx)

    def module_name(self, idx: Index = None) -> Any:
        """Return the paths of the modules that make the selected maps, or those at ``idx``."""
        return self.get("module", idx)
