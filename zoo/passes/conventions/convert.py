"""Weights carried between graphs that are the same function up to an order of channels.

Code bases shuffle in other orders or places, join in another order, or rectify before the join
instead of after it. Where a permutation of the weights makes up for that, it is found, and the
numbers stay what they are; where none does, the error says at which node and why.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from zoo.arch.graph import Graph, Node
from zoo.arch.operators import BatchNorm2d, Conv2d, Dropout, Linear
from zoo.arch.spec import Spec
from zoo.errors import ConventionError, SpecError, ZooError
from zoo.passes.conventions.coupling import Layout, couplings, layout
from zoo.passes.conventions.explain import explain
from zoo.passes.conventions.matching import Cells, cells, match_couplings, match_groups
from zoo.passes.conventions.trace import Trace, trace
from zoo.passes.rewrite import Weights

# Fields that two nodes of the same function may differ in: they act in training only, or a bias of
# zeros makes up for it.
_FREE = {BatchNorm2d: {"momentum"}, Dropout: {"p"}, Conv2d: {"bias"}, Linear: {"bias"}}


@dataclass(frozen=True, eq=False, slots=True)
class Order:
    """How the channels of a node correspond: for each of the target's, which of the source's it is.

    Attributes:
        read: of the channels that it reads; the same as ``made`` unless it mixes channels.
        made: of the channels that it makes.
    """

    read: np.ndarray
    made: np.ndarray


def match_weights(source: Graph, target: Graph, weights: Weights) -> Weights:
    """Return weights with which ``target`` is the function that ``source`` is with ``weights``.

    Arrays are permuted and otherwise left as they are; where channels need not move, they do not.
    The way back is the exact inverse. A bias that only the target has is zero. Inputs and outputs
    of the network keep their order.

    Args:
        source: the graph that the weights are of.
        target: the graph that they are wanted for; its computing nodes have the same names.
        weights: canonical name → array, of some or all parameters of ``source``.

    Raises:
        ConventionError: the graphs are not the same function up to an order of channels, or a bias
            that the target does not have is not zero. The message names the first such node.
    """
    orders = match_channels(source, target)
    matched: Weights = {}
    for node in target.nodes:
        wanted = node.op.parameters()
        if not wanted:
            continue
        roles = source.by_name[node.name].op.parameters()
        held = {
            role: weights[f"{node.name}.{role}"]
            for role in roles
            if f"{node.name}.{role}" in weights
        }
        for role, array in held.items():
            if role not in wanted and np.any(array):
                raise ConventionError(f"{node.name}.{role}: must be zero to be left out")
        if "bias" in wanted and "bias" not in roles and "weight" in held:
            held["bias"] = np.zeros(wanted["bias"].shape, held["weight"].dtype)
        matched |= {
            f"{node.name}.{role}": _permuted(node, role, held[role], orders[node.name])
            for role in wanted
            if role in held
        }
    return matched


def match_channels(source: Graph, target: Graph) -> dict[str, Order]:
    """Return for each node that computes how its channels in ``target`` are those of ``source``.

    Raises:
        ConventionError: the graphs are not the same function up to an order of channels.
    """
    ours, theirs = trace(source), trace(target)
    _check_nodes(ours, theirs)
    found = _match(ours, theirs)
    if isinstance(found, dict):
        return found
    raise ConventionError(explain(*found))


def are_matched(source: Trace, target: Trace) -> bool:
    """Return whether `match_channels` finds an order; what keeps it from one is not looked for."""
    return isinstance(_match(source, target), dict)


def _match(ours: Trace, theirs: Trace) -> dict[str, Order] | tuple[Cells, Cells, Layout]:
    """Return the orders, or what explains that there are none."""
    plan = layout(theirs)
    made, wanted = couplings(ours, plan), couplings(theirs, plan)
    from_cells, to_cells = cells(made), cells(wanted)
    groups = match_groups(from_cells, to_cells, plan, len(plan.marks))
    if groups is None:
        return from_cells, to_cells, plan
    partner = match_couplings(from_cells, to_cells, plan, groups)[wanted.of]
    port = np.repeat(np.arange(len(plan.sizes)), plan.sizes)
    orders = np.split(made.members[partner, port], plan.starts[1:-1])
    return {
        node.name: Order(orders[plan.read[node.name]], orders[plan.made[node.name]])
        for node in theirs.nodes
    }


def convert_conventions(source: Spec, target: Spec, weights: Weights) -> Weights:
    """Return weights with which ``target`` is the function that ``source`` is with ``weights``.

    Args:
        source: the spec that the weights are of.
        target: the same network under other conventions; `Spec.weightless` fields may differ too.
        weights: canonical name → array.

    Raises:
        SpecError: something else than conventions differs.
        ConventionError: the conventions are different functions. The message tells which of them
            are to blame, and at which node.
    """
    if type(source) is not type(target):
        raise SpecError(f"a {source.family} cannot become a {target.family}")
    for field in dataclasses.fields(source):
        one, other = getattr(source, field.name), getattr(target, field.name)
        if field.name not in ("conventions", *source.weightless) and one != other:
            raise SpecError(
                f"{field.name} (={one!r}) must be that of the target (={other!r}): only "
                f"conventions can be converted"
            )
    try:
        return match_weights(source.graph, target.graph, weights)
    except ConventionError as error:
        reasons = _to_blame(source, target, weights, error)
    raise ConventionError(
        f"{source.preset_name} cannot become {target.preset_name} by permuting weights:\n"
        + "\n".join(f"  {reason}" for reason in reasons)
    )


def _to_blame(source: Spec, target: Spec, weights: Weights, together: ConventionError) -> list[str]:
    """Tell which conventions cannot be changed even alone; where each can, name all of them."""
    reasons, changes = [], []
    for field in dataclasses.fields(source.conventions):
        one, other = (getattr(spec.conventions, field.name) for spec in (source, target))
        if one == other:
            continue
        change = f"{field.name} (={one!r}) to {other!r}"
        changes.append(change)
        try:
            match_weights(source.graph, source.replace(**{field.name: other}).graph, weights)
        except ZooError as error:  # also that the field does not fit the others
            reasons.append(f"{change}: {error}")
    return reasons or [f"{' and '.join(changes)}: {together}"]


def _check_nodes(source: Trace, target: Trace) -> None:
    """Raise unless both have the same computing nodes, with as many channels."""
    ours = dict(zip(source.producers, (None, *source.nodes), strict=True))
    sizes = dict(zip(source.producers, source.sizes, strict=True))
    theirs = zip(target.producers, (None, *target.nodes), target.sizes, strict=True)
    for name, node, size in theirs:
        if name not in ours:
            raise ConventionError(f"{name}: is no node of the source")
        held = ours.pop(name)
        if node is not None and held is not None:
            _check_operator(node, held)
        if sizes[name] != size:
            raise ConventionError(f"{name}: channels (={sizes[name]}) must be {size}")
    if ours:
        raise ConventionError(f"{next(iter(ours))}: is no node of the target")
    read, wanted = ([len(x) for x in t.outputs] for t in (source, target))
    if read != wanted:
        raise ConventionError(f"outputs: channels (={read}) must be {wanted}")


def _check_operator(node: Node, held: Node) -> None:
    kind = type(node.op)
    if type(held.op) is not kind:
        raise ConventionError(
            f"{node.name}: operator (={type(held.op).__name__}) must be {kind.__name__}"
        )
    for field in dataclasses.fields(node.op):
        one, other = getattr(held.op, field.name), getattr(node.op, field.name)
        if field.compare and one != other and field.name not in _FREE.get(kind, ()):
            raise ConventionError(f"{node.name}: {field.name} (={one!r}) must be {other!r}")


def _permuted(node: Node, role: str, array: np.ndarray, order: Order) -> np.ndarray:
    """Return a parameter of the source in the order of the target's node."""
    array = _taken(array, order.made, axis=0)
    if role != "weight" or not node.op.mixes_channels:
        return array
    groups, width = getattr(node.op, "groups", 1), array.shape[1]
    inside = order.read.reshape(groups, width) % width  # for each group, which of its own columns
    if groups == 1:
        return _taken(array, inside[0], axis=1)
    if np.array_equal(inside, np.broadcast_to(np.arange(width), inside.shape)):
        return array
    columns = np.repeat(inside, len(array) // groups, axis=0)
    permuted: np.ndarray = array[np.arange(len(array))[:, None], columns]
    return permuted


def _taken(array: np.ndarray, order: np.ndarray, axis: int) -> np.ndarray:
    if np.array_equal(order, np.arange(len(order))):
        return array
    taken: np.ndarray = np.take(array, order, axis)
    return taken
