"""The dialects by name. A family brings its tables in a file of its name."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec

from weights.dialects.dialect import Dialect
from weights.dialects.own import own
from zoo.errors import unknown
from zoo.families.registry import FAMILIES, family_types

CODE_BASES = (
    "megvii",
    "mindcv",
    "mmpretrain",
    "pytorchcv",
    "kuangliu",
    "torchvision",
    "megvii_plus",
    "jovian",
)
"""The files of tables by code base."""


@cache
def peers() -> tuple[Dialect, ...]:
    """Return the dialects of code bases: those above, and those in the file of a family's name."""
    tables = [family for family in FAMILIES if find_spec(f"weights.dialects.{family}")]
    found = [
        table
        for name in (*CODE_BASES, *tables)
        for table in vars(import_module(f"weights.dialects.{name}")).values()
        if isinstance(table, Dialect)
    ]
    order = list(FAMILIES)
    return tuple(sorted(found, key=lambda dialect: order.index(dialect.family)))


@cache
def dialects() -> tuple[Dialect, ...]:
    """Return all dialects, the peers' first.

    Their names say more than ours: where both fit, theirs bring conventions with them.
    """
    found = (*peers(), *(dialect for family in family_types() for dialect in own(family)))
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
