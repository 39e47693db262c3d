"""The dialects by name. A code base adds its row to PEERS."""

from __future__ import annotations

from functools import cache

from weights.dialects import kuangliu, megvii, mindcv, mmpretrain, pytorchcv
from weights.dialects.dialect import Dialect
from weights.dialects.own import own
from zoo.arch.catalogue import FAMILIES
from zoo.errors import unknown

PEERS = (
    megvii.V1,
    mindcv.V1,
    mindcv.TUTORIAL_V1,
    mmpretrain.V1,
    pytorchcv.V1,
    kuangliu.V1,
)


@cache
def dialects() -> tuple[Dialect, ...]:
    """Return all dialects, the peers' first.

    Their names say more than ours: where both fit, theirs bring conventions with them.
    """
    found = (*PEERS, *(dialect for family in FAMILIES for dialect in own(family)))
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
        UnknownNameError: there is none.
    """
    fitting = [d for d in dialects() if family in (None, d.family)]
    found = [dialect for dialect in fitting if dialect.name == name]
    if not found:
        raise unknown("dialect", name, {dialect.name for dialect in fitting})
    return found
