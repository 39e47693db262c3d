"""What mutations of several inputs and axes are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from zoo.arch import Operator
from zoo.proof.mutants.mutation import (
    Attribute,
    Function,
    Mutation,
    Namespace,
    Site,
)

Change = Callable[[Namespace, Any, tuple[Any, ...], Any, Any], Any]
"""(namespace, the original layer, inputs, operator, what it holds by role) → value."""


def function(
    kind: type[Operator], name: str, change: Change, *covers: str, **more: Any
) -> Function:
    """Return a mistake that is another function of the inputs; see `Change`."""
    return Function(
        name=name, op=kind, covers=covers,
        body=lambda ns, layer, x, op, held, training: change(ns, layer, x, op, held), **more,
    )  # fmt: skip


def attribute(
    kind: type[Operator], name: str, make: Callable[[Site], Operator | None], *covers: str
) -> Attribute:
    """Return a mistake in the fields."""
    return Attribute(name=name, op=kind, covers=covers, make=make)


def turned(ns: Namespace, x: Any) -> Any:
    """Exchange the last two axes."""
    rank = len(x.shape)
    return ns.permute(x, (*range(rank - 2), rank - 1, rank - 2))


def square(site: Site) -> bool:
    """Return whether the last axes may be exchanged and nothing else changes."""
    return all(len(shape) > 1 and shape[-1] == shape[-2] > 1 for shape in site.inputs)


def alike(site: Site) -> bool:
    """Return whether the first two inputs can change places."""
    return len(site.inputs) > 1 and site.inputs[0] == site.inputs[1] and distinct(site)


def distinct(site: Site) -> bool:
    """Return whether no value is read twice."""
    return len(set(site.node.inputs)) == len(site.node.inputs)


def cut_inputs(kind: type[Operator], inputs: dict[int, str]) -> Iterator[Mutation]:
    """Yield the mistakes of no gradient to one of the inputs."""

    def without(number: int) -> Change:
        return lambda ns, layer, x, op, held: layer(
            *(ns.detach(v) if i == number else v for i, v in enumerate(x))
        )

    for number, name in inputs.items():
        yield function(
            kind, f"gradient to the {name} cut", without(number), level="gradients",
            when=lambda site, number=number: len(site.inputs) > number and distinct(site),
        )  # fmt: skip
