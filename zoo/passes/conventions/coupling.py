"""Channels that can only be reordered together, and what a reordering must keep of them.

A batch norm, a pool, a sum or a depthwise filter ties each of its channels to those it reads. The
channels tied to each other, through however many nodes, are one *coupling*: a channel of a residual
stream with all that is added to it, a channel of a bottleneck with its depthwise filter. Only
convolutions and linear layers mix couplings, and they do not care in which order they read and make
the channels of a group.

So a coupling has a *signature*: which nodes it passes, how they read each other, and which group of
each mixing node it enters and leaves. Two graphs are the same function up to an order of channels
if their couplings can be paired so that the signatures agree, for some pairing of the groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from zoo.arch.graph import INPUT
from zoo.arch.operators import Add
from zoo.passes.conventions.trace import Channels, Trace


@dataclass(frozen=True, slots=True)
class Mark:
    """One column of the signatures.

    Attributes:
        node: the node that it is about.
        what: ``"input"`` (which producer is read, with a ReLU or without), ``"reads"`` and
            ``"makes"`` (the group of a mixing node), ``"order"`` (the channel itself, where the
            order is fixed) or ``"fixed"`` (see `Couplings`).
        port: index into `Layout.sizes` of the channels that have it (not for ``"fixed"``).
        slot: which of the node's inputs, for ``"input"``.
        first: number of the node's first group among those of all nodes.
        groups: how many groups it has.
    """

    node: str
    what: Literal["input", "reads", "makes", "order", "fixed"]
    port: int
    slot: int = 0
    first: int = 0
    groups: int = 1


@dataclass(eq=False, slots=True)
class Layout:
    """How the channels of two graphs with the same nodes are numbered: the same way in both.

    A *port* is the row of channels that a node makes or, for nodes that mix them, reads.

    Attributes:
        sizes: channels of each port.
        made, read: node → its port; the same one for nodes that do not mix channels.
        marks: the columns of the signatures, in the order of the nodes.
        groups: number of groups of all mixing nodes together.
    """

    sizes: list[int] = field(default_factory=list)
    made: dict[str, int] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    groups: int = 0

    @property
    def starts(self) -> np.ndarray:
        """The number of the first channel of each port, and at the end that of all channels."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    def port(self, size: int) -> int:
        """Add a port."""
        self.sizes.append(size)
        return len(self.sizes) - 1


def layout(trace: Trace) -> Layout:
    """Return the layout for a trace and for all that have the same nodes."""
    plan = Layout()
    plan.made[INPUT] = plan.port(trace.sizes[0])
    plan.marks.append(Mark(INPUT, "order", plan.made[INPUT]))
    for node, inputs, size in zip(trace.nodes, trace.inputs, trace.sizes[1:], strict=True):
        made = plan.made[node.name] = plan.port(size)
        mixes = node.op.mixes_channels
        read = plan.read[node.name] = plan.port(len(inputs[0])) if mixes else made
        plan.marks += [Mark(node.name, "input", read, slot) for slot in range(len(inputs))]
        if mixes:
            groups = getattr(node.op, "groups", 1)
            grouped = {"first": plan.groups, "groups": groups}
            plan.marks.append(Mark(node.name, "reads", read, **grouped))
            plan.marks.append(Mark(node.name, "makes", made, **grouped))
            plan.groups += groups
    for i, output in enumerate(trace.outputs):
        name = output_name(i)
        port = plan.read[name] = plan.port(len(output))
        plan.marks += [Mark(name, "input", port), Mark(name, "order", port)]
    plan.marks.append(Mark("", "fixed", 0))
    return plan


def output_name(index: int) -> str:
    """Return the name under which an output of the network stands among the nodes."""
    return f"outputs[{index}]"


@dataclass(frozen=True, eq=False, slots=True)
class Couplings:
    """The couplings of one graph, numbered by the first channel in them.

    A coupling that holds two channels of one port (where channels are added to others of the same
    node, say) could be laid onto another one in more than one way. It is not looked into: each of
    its channels becomes a coupling of its own that may not move, which is what ``"fixed"`` tells.

    Attributes:
        of: (channels of all ports,): the coupling of each.
        members: (couplings, ports): the coupling's channel of each port, or -1.
        signatures: (couplings, marks), -1 where a mark does not apply.
    """

    of: np.ndarray
    members: np.ndarray
    signatures: np.ndarray


def couplings(trace: Trace, plan: Layout) -> Couplings:
    """Return the couplings of a graph whose nodes are those of the layout."""
    sizes, starts = np.array(plan.sizes), plan.starts
    port = np.repeat(np.arange(len(sizes)), sizes)
    index = np.arange(starts[-1]) - starts[port]
    links = list(_links(trace, plan, starts))
    reader = np.concatenate([link.reader for link in links])
    producer = np.concatenate([link.producer for link in links])

    of = _components(len(port), reader, producer)
    members = _members(of, port, index)
    double = np.isin(of, of[members[port, of] != index])
    if double.any():
        free = ~double[reader]
        of = _components(len(port), reader[free], producer[free])
        members = _members(of, port, index)

    signatures = np.full((len(plan.marks), members.shape[1]), -1, np.int32)
    row = {(mark.node, mark.what, mark.slot): i for i, mark in enumerate(plan.marks)}
    for link in links:
        codes = np.where(double[link.reader], -2 - link.exactly, link.code)
        signatures[row[link.node, "input", link.slot], of[link.reader]] = codes
    for i, mark in enumerate(plan.marks):
        own = slice(starts[mark.port], starts[mark.port + 1])
        if mark.what in ("reads", "makes"):
            block = plan.sizes[mark.port] // mark.groups
            signatures[i, of[own]] = mark.first + index[own] // block
        elif mark.what == "order":
            signatures[i, of[own]] = index[own]
        elif mark.what == "fixed":
            signatures[i, of[double]] = np.flatnonzero(double)
    for node in trace.nodes:
        if isinstance(node.op, Add):  # which of the two comes first makes no difference
            both = [row[node.name, "input", slot] for slot in (0, 1)]
            signatures[both] = np.sort(signatures[both], axis=0)
    return Couplings(of, members.T, np.ascontiguousarray(signatures.T))


def _members(of: np.ndarray, port: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return (ports, couplings): the channel of each port that is in the coupling, or -1."""
    members = np.full((port[-1] + 1, of.max() + 1), -1, np.int32)
    members[port, of] = index
    return members


@dataclass(frozen=True, eq=False, slots=True)
class _Link:
    """An input of a node: for each channel that reads, which one it reads.

    ``code`` tells port and ReLU, ``exactly`` channel and ReLU.
    """

    node: str
    slot: int
    reader: np.ndarray
    producer: np.ndarray
    code: np.ndarray
    exactly: np.ndarray


def _links(trace: Trace, plan: Layout, starts: np.ndarray) -> Iterator[_Link]:
    made = np.array([plan.made[name] for name in trace.producers])
    readers: list[tuple[str, tuple[Channels, ...]]] = [
        (node.name, inputs) for node, inputs in zip(trace.nodes, trace.inputs, strict=True)
    ]
    readers += [(output_name(i), (output,)) for i, output in enumerate(trace.outputs)]
    for name, inputs in readers:
        reader = starts[plan.read[name]] + np.arange(len(inputs[0]))
        for slot, x in enumerate(inputs):
            port = made[x.producer]
            producer = starts[port] + x.channel
            yield _Link(name, slot, reader, producer, 2 * port + x.relu, 2 * producer + x.relu)


def _components(size: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return for each of ``size`` things its component under the pairs, by smallest member."""
    root = np.arange(size)
    while True:
        low = np.minimum(root[one], root[other])
        found = root.copy()
        np.minimum.at(found, root[one], low)
        np.minimum.at(found, root[other], low)
        while not np.array_equal(found, found[found]):
            found = found[found]
        if np.array_equal(found, root):
            component: np.ndarray = np.unique(root, return_inverse=True)[1]
            return component
        root = found
