"""Mistakes in what moves channels, and in what leaves a part of them: shuffles, slices, joins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from zoo.arch import Operator
from zoo.arch.operators import ChannelPermute, ChannelShuffle, Concat, Flatten, Slice
from zoo.proof.mutants.arithmetic import cut, flipped, gradient_of, last, rolled
from zoo.proof.mutants.mutation import Attribute, Function, Mutation, Namespace, Site, simple

Indices = tuple[int, ...]


def _indices(site: Site) -> Indices:
    op = site.op
    return op.indices if isinstance(op, ChannelPermute) else op.indices(site.inputs[0][1])


def _permuted(
    kind: type[Operator], name: str, change: Callable[[Indices], Indices], covers: str
) -> Attribute:
    """Another permutation in the place of a shuffle or permutation."""
    return Attribute(
        name=name,
        op=kind,
        covers=(covers,),
        when=lambda site: change(_indices(site)) != _indices(site),
        make=lambda site: ChannelPermute(indices=change(_indices(site))),
    )


def _inverse(indices: Indices) -> Indices:
    found = [0] * len(indices)
    for made, read in enumerate(indices):
        found[read] = made
    return tuple(found)


def _permutations(kind: type[Operator], covers: str) -> Iterator[Mutation]:
    changes: dict[str, Callable[[Indices], Indices]] = {
        "left out": lambda p: tuple(range(len(p))),
        "inverse": _inverse,
        "applied twice": lambda p: tuple(p[i] for i in p),
        "rolled by one": lambda p: (*p[-1:], *p[:-1]),
        "two channels exchanged": lambda p: (*p[:-2], p[-1], p[-2]),
        "in reverse": lambda p: p[::-1],
        "first half left out": _half,
    }
    for name, change in changes.items():
        yield _permuted(kind, name, change, covers)
    yield simple(
        kind,
        "gradient not permuted",
        lambda ns, layer, x, op: gradient_of(ns, layer(x), x),
        level="gradients",
    )
    yield simple(
        kind,
        "gradient rolled by one",
        lambda ns, layer, x, op: gradient_of(ns, layer(x), layer(rolled(ns, x, 1))),
        level="gradients",
    )


def _half(p: Indices) -> Indices:
    """Return a permutation whose first quarter is taken in order."""
    start = sorted(p[: len(p) // 2])
    return (*start, *p[len(p) // 2 :])


def shuffle() -> Iterator[Mutation]:
    """ChannelShuffle."""
    kind = ChannelShuffle
    yield from _permutations(kind, "order")

    def differs(site: Site, other: ChannelShuffle) -> bool:
        channels = site.inputs[0][1]
        return bool(other.indices(channels) != site.op.indices(channels))

    def other_order(site: Site) -> ChannelShuffle:
        order: Literal["gn", "ng"] = "gn" if site.op.order == "ng" else "ng"
        return ChannelShuffle(groups=site.op.groups, order=order)

    def other_groups(site: Site) -> ChannelShuffle:
        channels, groups = site.inputs[0][1], site.op.groups
        found = [g for g in range(2, channels) if channels % g == 0 and g != groups]
        nearest = min(found, key=lambda g: abs(g - groups), default=groups)
        return ChannelShuffle(groups=nearest, order=site.op.order)

    yield Attribute(
        name="the other order",
        op=kind,
        covers=("order",),
        when=lambda site: differs(site, other_order(site)),
        make=other_order,
    )
    yield Attribute(
        name="another number of groups",
        op=kind,
        covers=("groups",),
        when=lambda site: differs(site, other_groups(site)),
        make=other_groups,
    )


def cut_out() -> Iterator[Mutation]:
    """Slice."""
    kind = Slice

    def moved(by: int) -> Callable[[Site], Operator | None]:
        def make(site: Site) -> Operator | None:
            start, stop = site.op.start + by, site.op.stop + by
            if start < 0 or stop > site.inputs[0][1]:
                return None
            return Slice(start=start, stop=stop)

        return make

    for by, name in ((1, "begun a channel late"), (-1, "begun a channel early")):
        yield Attribute(name=name, op=kind, covers=("start", "stop"), make=moved(by))
    yield Attribute(
        name="the other end",
        op=kind,
        covers=("start", "stop"),
        make=lambda site: Slice(
            start=site.inputs[0][1] - site.op.stop, stop=site.inputs[0][1] - site.op.start
        ),
    )
    yield simple(
        kind,
        "ends a channel early",
        lambda ns, layer, x, op: ns.take(
            layer(x), [*range(op.stop - op.start - 1), op.stop - op.start - 2], 1
        ),
        covers=("stop",),
        when=lambda site: site.output[1] > 1,
    )
    yield simple(
        kind,
        "first channel from its neighbor",
        lambda ns, layer, x, op: ns.take(layer(x), [1, *range(1, op.stop - op.start)], 1),
        covers=("start",),
        when=lambda site: site.output[1] > 1,
    )
    yield simple(
        kind,
        "channels in reverse",
        lambda ns, layer, x, op: flipped(ns, layer(x), 1),
        when=lambda site: site.output[1] > 1,
    )
    yield simple(
        kind,
        "every second channel",
        lambda ns, layer, x, op: ns.take(x, list(range(0, 2 * (op.stop - op.start), 2)), 1),
        covers=("start", "stop"),
        when=lambda site: site.inputs[0][1] >= 2 * site.output[1] > 2,
    )
    yield simple(
        kind,
        "gradient to the neighbors",
        lambda ns, layer, x, op: gradient_of(ns, layer(x), layer(rolled(ns, x, 1))),
        level="gradients",
    )


def concat() -> Iterator[Mutation]:
    """Concat."""
    kind = Concat

    def body(change: Callable[[Namespace, tuple[Any, ...]], list[Any]]) -> Any:
        return lambda ns, layer, x, op, held, training: layer(*change(ns, x))

    def several(site: Site) -> bool:
        return len(site.inputs) > 1

    def alike(site: Site) -> bool:
        return several(site) and site.inputs[0] == site.inputs[1]

    yield Function(
        name="inputs in reverse", op=kind, when=several, body=body(lambda ns, x: list(x[::-1]))
    )
    yield Function(
        name="first input twice",
        op=kind,
        when=alike,
        body=body(lambda ns, x: [x[0], x[0], *x[2:]]),
    )
    yield Function(
        name="inputs interleaved", op=kind, when=several,
        body=lambda ns, layer, x, op, held, training: _interleave(ns, layer(*x)),
    )  # fmt: skip
    yield Function(
        name="last channels of the first two exchanged",
        op=kind,
        when=several,
        body=lambda ns, layer, x, op, held, training: _exchange(
            ns, layer(*x), int(x[0].shape[1]) - 1, int(x[0].shape[1]) + int(x[1].shape[1]) - 1
        ),
    )
    yield Function(
        name="first input zero", op=kind, when=several, body=body(lambda ns, x: [x[0] * 0, *x[1:]])
    )

    def detached(number: int) -> Any:
        return body(lambda ns, x: [ns.detach(v) if i == number else v for i, v in enumerate(x)])

    for number, word in ((0, "first"), (1, "second")):
        yield Function(
            name=f"gradient to the {word} input cut",
            op=kind,
            level="gradients",
            when=several,
            body=detached(number),
        )
    yield Function(
        name="gradients of the inputs exchanged",
        op=kind,
        level="gradients",
        when=alike,
        body=lambda ns, layer, x, op, held, training: gradient_of(
            ns, layer(*x), layer(x[1], x[0], *x[2:])
        ),
    )


def _interleave(ns: Namespace, y: Any) -> Any:
    n = int(y.shape[1])
    return ns.take(y, [*range(0, n, 2), *range(1, n, 2)], 1)


def _exchange(ns: Namespace, y: Any, a: int, b: int) -> Any:
    places = list(range(int(y.shape[1])))
    places[a], places[b] = b, a
    return ns.take(y, places, 1)


def flatten() -> Iterator[Mutation]:
    """Flatten."""
    kind = Flatten

    def spread(site: Site) -> bool:
        return max(site.inputs[0][2:]) > 1

    def channels_last(ns: Namespace, layer: Any, x: Any) -> Any:
        return ns.permute(x, (0, 2, 3, 1)).reshape((int(x.shape[0]), -1))

    yield simple(
        kind, "channels last", lambda ns, layer, x, op: channels_last(ns, layer, x), when=spread
    )
    yield simple(
        kind,
        "rows and columns exchanged",
        lambda ns, layer, x, op: layer(ns.permute(x, (0, 1, 3, 2))),
        when=spread,
    )
    yield simple(kind, "in reverse", lambda ns, layer, x, op: flipped(ns, layer(x), 1))
    yield simple(kind, "rolled by one", lambda ns, layer, x, op: rolled(ns, layer(x), 1))
    yield simple(
        kind,
        "over images instead of channels",
        lambda ns, layer, x, op: ns.permute(x, (1, 0, 2, 3)).reshape((int(x.shape[0]), -1)),
    )
    yield simple(
        kind,
        "gradient in reverse",
        lambda ns, layer, x, op: gradient_of(ns, layer(x), flipped(ns, layer(x), 1)),
        level="gradients",
    )
    yield simple(
        kind,
        "gradient of the last feature cut",
        lambda ns, layer, x, op: cut(ns, layer(x), last(ns, layer(x))),
        level="gradients",
    )


def channels() -> Iterator[Mutation]:
    """Return the mutations of what moves channels."""
    yield from shuffle()
    yield from _permutations(ChannelPermute, "indices")
    yield from cut_out()
    yield from concat()
    yield from flatten()
