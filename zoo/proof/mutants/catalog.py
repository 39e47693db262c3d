"""All mutations, and the mutants of a network."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Literal

from zoo.arch import Graph, Operator, operators
from zoo.proof.mutants.activations import activations
from zoo.proof.mutants.affine import linear
from zoo.proof.mutants.channels import channels
from zoo.proof.mutants.convolutions import conv
from zoo.proof.mutants.functions import functions
from zoo.proof.mutants.general import general
from zoo.proof.mutants.joins import joins
from zoo.proof.mutants.maps import maps
from zoo.proof.mutants.mutation import Mutant, Mutation, Site, sites
from zoo.proof.mutants.norms import norms
from zoo.proof.mutants.pools import pools
from zoo.proof.mutants.tokens import tokens
from zoo.proof.mutants.training import TRAININGS
from zoo.proof.mutants.wiring import WIRINGS

Nodes = Literal["first", "kinds", "all"]
"""The first node that a mutation can be put at, one for each setting of the operator, or all."""

_BASES = (Operator, operators.Window, operators.Pool)


def kinds() -> list[type[Operator]]:
    """Return every type of operator that there is."""
    found = {
        kind
        for module in (operators,)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Operator) and kind not in _BASES
    }
    return sorted(found, key=lambda kind: kind.__name__)


@cache
def own() -> tuple[Mutation, ...]:
    """Return the mutations that are one operator's own."""
    kinds = (conv, linear, pools, norms, activations, functions, channels, joins, maps, tokens)
    return tuple(mutation for kind in kinds for mutation in kind())


@cache
def mutations() -> tuple[Mutation, ...]:
    """Return every mutation of an operator: its own, and those that all operators have."""
    return (*own(), *(mutation for kind in kinds() for mutation in general(kind)))


def mutants(graph: Graph, nodes: Nodes = "kinds") -> Iterator[Mutant]:
    """Yield the mutants of a network: of its operators, of its wiring, of its training."""
    places = sites(graph)
    for mutation in mutations():
        seen: set[object] = set()
        for site in places:
            setting = {"first": None, "kinds": _setting(site), "all": site.node.name}[nodes]
            if setting in seen:
                continue
            if (mutant := mutation.at(site)) is not None:
                seen.add(setting)
                yield mutant
    for wiring in WIRINGS:
        for number, mutant in enumerate(wiring.mutants(graph)):
            if nodes == "first" and number:
                break
            yield mutant
    for training in TRAININGS:
        yield from training.mutants(graph, all_variants=nodes != "first")


def _setting(site: Site) -> object:
    """Return what tells nodes of one type apart, but for their number of channels."""
    op = site.op
    counts = ("in_channels", "out_channels", "num_features", "in_features", "out_features")
    return (
        type(op),
        *(getattr(op, name) for name in type(op).__dataclass_fields__ if name not in counts),
        getattr(op, "groups", 1) == getattr(op, "in_channels", 0),
        max(site.inputs[0][2:] if site.inputs else (), default=1) > 1,
    )
