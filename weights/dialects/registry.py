"""The dialects by name. A code base adds its row to PEERS."""

from __future__ import annotations

from functools import cache

from weights.dialects import (
    jovian,
    kuangliu,
    megvii,
    megvii_plus,
    mindcv,
    mmpretrain,
    pytorchcv,
    torchvision,
)
from weights.dialects.dialect import Dialect
from weights.dialects.own import own
from zoo.errors import unknown
from zoo.families.registry import family_types

PEERS = (
    megvii.V1,
    mindcv.V1,
    mindcv.TUTORIAL_V1,
    mmpretrain.V1,
    pytorchcv.V1,
    kuangliu.V1,
    megvii.V2,
    mindcv.V2,
    torchvision.V2,
    mmpretrain.V2,
    pytorchcv.V2,
    megvii_plus.V2_PLUS,
    jovian.RESNET9,
    jovian.RESNET9_DROPOUT,
)


@cache
def dialects() -> tuple[Dialect, ...]:
    """Return all dialects, the peers' first.

    Their names say more than ours: where both fit, theirs bring conventions with them.
    """
    found = (*PEERS, *(dialect for family in family_types() for dialect in own(family)))
    keys = [(dialect.name, dialect.family) for dialect in found]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the dialect {key} is there twice")
    return found


def list_dialects() -> list[str]:
    """Return the names of the dialects, sorted."""
    return sorted({dialect.name for dialect in dialects()})


def find_dialect(name: str, family: str | None = None) -> list[Dialect]:
    """Return the dialects of a name, one for each family (or the one for ``family``).

    Raises:
        UnknownNameError: there is none, or none for the family.
    """
    named = [dialect for dialect in dialects() if dialect.name == name]
    if not named:
        raise unknown("dialect", name, list_dialects())
    found = [dialect for dialect in named if family in (None, dialect.family)]
    if not found:
        raise unknown(f"{family} dialect", name, {d.name for d in dialects() if d.family == family})
    return found
