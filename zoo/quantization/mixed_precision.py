"""Which parts of a network are left in float32, because 8 bits cost most there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.arch import Graph, cost
from zoo.errors import ZooError, unknown
from zoo.measures import relative_l2

TOLERANCE = 0.1
"""Relative L2 error of the logits that is aimed at (docs/quantization.md has the measurements)."""
MOST = 0.5
"""Share of the multiply-adds that is left in float32 at most."""

Step = Callable[[str], None]


@dataclass(frozen=True)
class KeptInFloat:
    """What is left in float32.

    Attributes:
        units: scopes such as ``"stem"`` and ``"stage2.0"``, or nodes.
        nodes: the nodes in them.
        expected: the error of the logits that is expected; None where it was not estimated.
    """

    units: tuple[str, ...]
    nodes: tuple[str, ...]
    expected: float | None = None

    def share(self, graph: Graph) -> float:
        """Return the share of the network's multiply-adds that it is."""
        shares = shares_of(graph)
        return sum(shares.get(name, 0.0) for name in self.nodes)


def _unit_of(name: str) -> str:
    """Return the unit that a node is in: ``"stage2.0.expand.bn"`` -> ``"stage2.0"``."""
    first, *rest = name.split(".")
    return f"{first}.{rest[0]}" if rest and rest[0].isdigit() else first


def named(nodes: Sequence[str], scopes: Iterable[str]) -> KeptInFloat:
    """Return the nodes that are named, or are in the scopes that are.

    Raises:
        UnknownNameError: there is no such node or scope; the nearest are named.
        ZooError: none would be left to be quantized.
    """
    found: set[str] = set()
    scopes = tuple(scopes)
    for scope in scopes:
        # An optimized network's nodes have endings: "stage2.0.compress.bn_reordered".
        inside = {n for n in nodes if n == scope or n.startswith((f"{scope}.", f"{scope}_"))}
        if not inside:
            raise unknown("node", scope, {*nodes, *units_of(nodes)})
        found |= inside
    if found == set(nodes):
        raise ZooError(f"exclude (={list(scopes)}) must leave a node to quantize")
    return KeptInFloat(scopes, tuple(n for n in nodes if n in found))


def units_of(nodes: Sequence[str]) -> dict[str, list[str]]:
    """Return the nodes of each unit."""
    units: dict[str, list[str]] = {}
    for name in nodes:
        units.setdefault(_unit_of(name), []).append(name)
    return units


def choose(
    nodes: Sequence[str],
    graph: Graph,
    tolerance: float,
    quantized: Callable[[Sequence[str]], Any],
    images: np.ndarray,
    logits: np.ndarray,
    step: Step,
) -> KeptInFloat:
    """Return the fewest units without which the error of the logits is within the tolerance.

    Each unit is quantized alone, and the error that it makes is measured. The errors of units are
    as good as independent, so that their squares add up: with trained weights, the sum is within
    15 % of the error that all of them together make.

    Args:
        nodes: of the network.
        graph: the network, for its multiply-adds.
        tolerance: relative L2 error.
        quantized: returns the network in which only some nodes are quantized, as a callable.
        images: what is measured on.
        logits: of the float32 network on the images.
        step: told of each unit.
    """
    units = units_of(nodes)
    errors = {}
    for unit, inside in units.items():
        step(f"8 bits in {unit} alone")
        errors[unit] = relative_l2(quantized(inside)(images), logits)
    shares = shares_of(graph)
    parts = {unit: sum(shares.get(name, 0.0) for name in units[unit]) for unit in units}
    spared: list[str] = []
    for unit in sorted(errors, key=lambda unit: -errors[unit]):
        if _left(errors, spared) <= tolerance:
            break
        matters = errors[unit] > tolerance / 10
        if matters and sum(parts[name] for name in (*spared, unit)) <= MOST:
            spared.append(unit)
    kept = tuple(unit for unit in units if unit in spared)
    return KeptInFloat(kept, tuple(n for unit in kept for n in units[unit]), _left(errors, spared))


def _left(errors: Mapping[str, float], spared: Sequence[str]) -> float:
    return math.sqrt(sum(error**2 for unit, error in errors.items() if unit not in spared))


def shares_of(graph: Graph) -> dict[str, float]:
    """Return node → its share of the network's multiply-adds."""
    found = cost(graph, graph.input_shape)
    return {node.name: node.macs / found.macs for node in found.nodes}
