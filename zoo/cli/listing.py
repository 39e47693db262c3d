"""The networks of the catalog by what they cost and how well they do."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from weights import pretrained
from zoo import families
from zoo.arch import cost
from zoo.cli.options import split
from zoo.errors import ZooError, unknown
from zoo.families.registry import FAMILIES

UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
BOUND = re.compile(r"(<=|>=|<|>)\s*(\d+(?:\.\d+)?)\s*([kMG]?)")
HOLDS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Row:
    """A network.

    Attributes:
        name: in the catalog.
        family: of it.
        image_size: height and width of its images.
        params, macs: what it costs, in its conventions.
        best: the most accurate published weights, if the accuracy of some is known.
        count: of published weights.
    """

    name: str
    family: str
    image_size: int
    params: int
    macs: int
    best: pretrained.Pretrained | None
    count: int


def rows(
    names: Sequence[str], *, family: str | None, params: str | None, macs: str | None, sort: str
) -> list[Row]:
    """Return the networks that are asked for, in the order that is asked for.

    Raises:
        UnknownNameError: there is no such family, or nothing of the kind to sort by.
        ZooError: bounds that are none.
    """
    keys: dict[str, Callable[[Row], tuple[float, str]]] = {
        "name": lambda row: (0, row.name),
        "params": lambda row: (row.params, row.name),
        "macs": lambda row: (row.macs, row.name),
        "top1": lambda row: (-((row.best and row.best.top1) or 0), row.name),
    }
    if sort not in keys:
        raise unknown("sort", sort, keys)
    wanted = split(family) if family else list(FAMILIES)
    for one in wanted:
        if one not in FAMILIES:
            raise unknown("family", one, FAMILIES)
    limits = bounds("params", params), bounds("macs", macs)
    found = [
        row
        for name in names
        if families.spec(name).family in wanted
        and (row := _row(name))
        and all(HOLDS[sign](row.params, value) for sign, value in limits[0])
        and all(HOLDS[sign](row.macs, value) for sign, value in limits[1])
    ]
    return sorted(found, key=keys[sort])


def bounds(option: str, text: str | None) -> list[tuple[str, float]]:
    """Return ``">=1M,<2.5M"`` as (sign, number) pairs.

    Raises:
        ZooError: the text is none.
    """
    found = []
    for part in split(text or ""):
        read = BOUND.fullmatch(part)
        if read is None:
            raise ZooError(f"--{option} {text!r} must be like '<5M' or '>=300k,<1.5G'")
        sign, number, unit = read.groups()
        found.append((sign, float(number) * UNITS[unit]))
    return found


def _row(name: str) -> Row:
    spec = families.spec(name)
    work = cost(spec.graph)
    entries = pretrained.list_pretrained(name)
    best = max(
        (entry for entry in entries if entry.top1 is not None),
        key=lambda entry: entry.top1 or 0,
        default=None,
    )
    return Row(name, spec.family, spec.image_size, work.params, work.macs, best, len(entries))


def points(found: Sequence[Row]) -> Iterator[tuple[str, str, float, float]]:
    """Yield (family, name, multiply-adds, top-1 accuracy) of those measured on ImageNet."""
    for row in found:
        if row.best is not None and row.best.top1 is not None and not row.best.packaged:
            yield row.family, row.name, row.macs, row.best.top1


def show(found: Sequence[Row]) -> None:
    """Print the networks as a table."""
    from rich.console import Console
    from rich.table import Table

    from zoo.style import STYLE

    table = Table(**STYLE)
    table.add_column("network", min_width=max(len(row.name) for row in found))
    for column in ("image", "params", "macs", "top-1"):
        table.add_column(column, justify="right", min_width=7)
    table.add_column("weights", overflow="fold")
    for row in found:
        more = f" and {row.count - 1}" if row.count > 1 else ""
        table.add_row(
            row.name,
            str(row.image_size),
            f"{row.params / 1e6:.2f}M",
            f"{row.macs / 1e6:,.0f}M",
            f"{row.best.top1:.2f}" if row.best else "–",
            f"{row.best.tag}{more}" if row.best else f"{row.count}" if row.count else "–",
        )
    Console().print(table)
