"""Mistakes in what moves channels, and in what leaves a part of them: shuffles, slices, joins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from zoo.arch import Operator
from zoo.arch.operators import ChannelPermute, ChannelShuffle, Concat, Flatten, Slice
from zoo.proof.mutants.arithmetic import cut, flipped, gradient_of, last, rolled
from zoo.proof.mutants.mutation import Attribute, Function, Mutation, Namespace, Site

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
    yield Function(
        name="gradient not permuted",
        op=kind,
        level="gradients",
        body=lambda ns, layer, x, op, held, training: gradient_of(ns, layer(x[0]), x[0]),
    )
    yield Function(
        name="gradient rolled by one",
        op=kind,
        level="gradients",
        body=lambda ns, layer, x, op, held, training: gradient_of(
            ns, layer(x[0]), layer(rolled(ns, x[0], 1))
        ),
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
    yield Function(
        name="ends a channel early",
        op=kind,
        covers=("stop",),
        when=lambda site: site.output[1] > 1,
        body=lambda ns, layer, x, op, held, training: ns.take(
            layer(x[0]), [*range(op.stop - op.start - 1), op.stop - op.start - 2], 1
        ),
    )
    yield Function(
        name="first channel from its neighbor",
        op=kind,
        covers=("start",),
        when=lambda site: site.output[1] > 1,
        body=lambda ns, layer, x, op, held, training: ns.take(
            layer(x[0]), [1, *range(1, op.stop - op.start)], 1
        ),
    )
    yield Function(
        name="channels in reverse",
        op=kind,
        when=lambda site: site.output[1] > 1,
        body=lambda ns, layer, x, op, held, training: flipped(ns, layer(x[0]), 1),
    )
    yield Function(
        name="every second channel",
        op=kind,
        covers=("start", "stop"),
        when=lambda site: site.inputs[0][1] >= 2 * site.output[1] > 2,
        body=lambda ns, layer, x, op, held, training: ns.take(
            x[0], list(range(0, 2 * (op.stop - op.start), 2)), 1
        ),
    )
    yield Function(
        name="gradient to the neighbors",
        op=kind,
        level="gradients",
        body=lambda ns, layer, x, op, held, training: gradient_of(
            ns, layer(x[0]), layer(rolled(ns, x[0], 1))
        ),
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

    yield Function(
        name="channels last", op=kind, when=spread,
        body=lambda ns, layer, x, op, held, training: channels_last(ns, layer, x[0]),
    )  # fmt: skip
    yield Function(
        name="rows and columns exchanged", op=kind, when=spread,
        body=lambda ns, layer, x, op, held, training: layer(ns.permute(x[0], (0, 1, 3, 2))),
    )  # fmt: skip
    yield Function(
        name="in reverse", op=kind,
        body=lambda ns, layer, x, op, held, training: flipped(ns, layer(x[0]), 1),
    )  # fmt: skip
    yield Function(
        name="rolled by one", op=kind,
        body=lambda ns, layer, x, op, held, training: rolled(ns, layer(x[0]), 1),
    )  # fmt: skip
    yield Function(
        name="over images instead of channels", op=kind,
        body=lambda ns, layer, x, op, held, training: (
            ns.permute(x[0], (1, 0, 2, 3)).reshape((int(x[0].shape[0]), -1))
        ),
    )  # fmt: skip
    yield Function(
        name="gradient in reverse", op=kind, level="gradients",
        body=lambda ns, layer, x, op, held, training: gradient_of(
            ns, layer(x[0]), flipped(ns, layer(x[0]), 1)
        ),
    )  # fmt: skip
    yield Function(
        name="gradient of the last feature cut", op=kind, level="gradients",
        body=lambda ns, layer, x, op, held, training: cut(
            ns, layer(x[0]), last(ns, layer(x[0]))
        ),
    )  # fmt: skip


def channels() -> Iterator[Mutation]:
    """Return the mutations of what moves channels."""
    yield from shuffle()
    yield from _permutations(ChannelPermute, "indices")
    yield from cut_out()
    yield from concat()
    yield from flatten()
