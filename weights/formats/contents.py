"""What a file of weights holds, before anybody has asked which network it is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Contents:
    """What one file holds.

    Attributes:
        entries: path of a set of arrays inside the file → name → array, both in the file's order.
            Files that are one flat set have the single path ``""``; a PyTorch checkpoint may have
            ``"state_dict"``, ``"state_dict_ema"``, ``"optimizer.state"``. Arrays have the stored
            dtype (bfloat16, which NumPy lacks, is widened to float32, exactly), may be read-only
            and may share memory with the file's bytes.
        metadata: text → text, as the file's format can hold it beside the arrays.
        notes: what else was found, a sentence each.
    """

    entries: dict[str, Arrays]
    metadata: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Format:
    """One file format.

    Attributes:
        name: as the user meets it (``"safetensors"``).
        suffixes: of files that are written in this format; the first is the usual one.
        matches: whether bytes look like this format; cheap, decides by magic numbers.
        read: bytes → contents. Runs no code of the file; time and memory stay in proportion to the
            number of bytes. Raises `WeightsError` with the reason where the bytes are damaged.
        write: writes arrays (float32 or other plain dtypes) and metadata. The same arguments give
            the same bytes, always.
    """

    name: str
    suffixes: tuple[str, ...]
    matches: Callable[[memoryview], bool]
    read: Callable[[memoryview], Contents]
    write: Callable[[BinaryIO, Mapping[str, np.ndarray], Mapping[str, str]], None]
