"""Views of a program carried out where something computes with them, the images outermost.

A chain of reshapes is one, a permutation after another is one, and what changes nothing is gone. A
part of an axis is taken before what moves it. Where the images are not on axis 0, what computes
along the last axes, or value by value, does so on the value with its images in front.
"""

from __future__ import annotations

from dataclasses import replace

from zoo.adoption.arrange import (
    Arranged,
    Axis,
    Factor,
    apart,
    groups,
    permuted,
    reshaped,
    size_of,
    solid,
    without,
)
from zoo.adoption.program import UNREAD, Call, Program
from zoo.arch import Shape

VIEWS = frozenset({"flatten", "permute", "reshape", "select", "slice", "transpose"})
"""Functions that move values, and what they read is followed through."""
ALIKE = {
    "permute": ("permute", "transpose"),
    "reshape": ("flatten", "reshape"),
    "slice": ("slice",),
}
"""What a move that is carried out may have been."""
ALONG_LAST = frozenset({"layer_norm", "linear"})
"""Functions of the last axes of each value."""
MATRICES = frozenset({"matmul", "scaled_dot_product_attention"})
"""Functions of the last two."""
ALONG = frozenset({"add", "amax", "cat", "mean", "mul", "normalize", "softmax", "sum"}) | MATRICES
"""Functions that do the same with the images on any other axis."""


def moved(program: Program) -> Program:
    """Return the program with its views carried out; see the module."""
    return _Walk(program).run()


class _Walk:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.values = {program.input: solid(program.input, program.input_shape, True)}
        self.calls: list[Call] = []
        self.by: dict[str, Call] = {}
        self.made: dict[object, Arranged] = {}
        self.taken: set[str] = set()
        self.problems: list[str] = []

    def run(self) -> Program:
        """Return the new program."""
        for call in self.program.calls:
            self.values[call.name] = self._view(call) or self._compute(call)
        outputs = tuple(self._settled(name, None) for name in self.program.outputs)
        self.program.problems += tuple(self.problems)
        self.program.calls, self.program.outputs = self.calls, outputs
        return self.program

    def _view(self, call: Call) -> Arranged | None:
        """Return what a view sees; None of what is none."""
        if call.kind not in VIEWS:
            return None
        self.by[call.name] = call
        x = self.values[call.inputs[0]]
        rank = len(x.axes)
        if call.kind in ("permute", "transpose"):
            dims = [d % rank for d in call.options["dims"]]
            if call.kind == "transpose":
                order = list(range(rank))
                order[dims[0]], order[dims[1]] = dims[1], dims[0]
                dims = order
            return permuted(x, dims)
        if call.kind == "select":
            dim, at = call.options["dim"] % rank, call.options["index"]
            at %= size_of(x.axes[dim])
            part = self._part(call, x, dim, at, at + 1, 1)
            return part and without(part, dim)
        if call.kind == "slice":
            o = call.options
            return self._part(call, x, o["dim"] % rank, o["start"], o["end"], o["step"])
        found = reshaped(x, call.shape, call.images)
        if found is None and x.is_settled and call.images in (0, -1):
            x = self._solid(x, call)
            return self._emit(call, "reshape", x, call.shape)
        return found

    def _part(
        self, call: Call, x: Arranged, dim: int, start: int, stop: int, step: int
    ) -> Arranged | None:
        """Return a part of an axis, taken of the source."""
        if (start, stop, step) == (0, size_of(x.axes[dim]), 1):
            return x
        if len(x.axes[dim]) != 1 or x.axes[dim][0].images:
            if not x.is_settled or any(f.images for f in x.axes[dim]):
                return None
            x = self._solid(x, call)
        (factor,) = x.axes[dim]
        (at,) = (i for i, axis in enumerate(x.stored) if factor in axis)
        inner = size_of(x.stored[at][1:])
        if x.stored[at][0] is not factor or (step > 1 and inner > 1):
            cut, at = apart(x, factor)
            shape = tuple(map(size_of, cut))
            source = self._emit(call, "reshape", x, shape)
            x, inner = replace(x, source=source.source, stored=tuple(cut), shape=shape), 1
        bounds = {"dim": at, "start": start * inner, "end": stop * inner, "step": step}
        count = -(-(stop - start) // step)
        shape = (*x.shape[:at], count * inner, *x.shape[at + 1 :])
        source = self._emit(call, "slice", x, shape, **bounds)
        # The factor is another one, and none where one place is left.
        kept = (Factor(count),) if count > 1 else ()

        def without_rest(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
            return tuple(
                tuple(f for g in axis for f in (kept if g is factor else (g,))) for axis in axes
            )

        return Arranged(source.source, without_rest(x.stored), shape, without_rest(x.axes))

    def _compute(self, call: Call) -> Arranged:
        """Add a call that computes, and return what it makes."""
        read = [self.values[name] for name in call.inputs]
        if call.kind == "expand":
            x = read[0]
            if (call.shape, call.images) == (x.seen, x.images):
                return x
            if x.images < 0 and call.images == 0 and call.shape == x.seen:
                call = replace(call, inputs=(call.inputs[0], self._images()))
        if len(read) == 1 and not read[0].is_settled and self._is_by_image(call, read[0]):
            return self._in_front(call, read[0])
        if call.kind in ALONG and (found := self._turned(call, read)):
            return found
        inputs = tuple(
            self._settled(name, call) if name in self.values else name for name in call.inputs
        )
        wrong = not all(x.is_settled for x in read)  # which is told
        self._add(replace(call, inputs=inputs, kind=UNREAD if wrong else call.kind))
        return solid(call.name, call.shape, call.images >= 0)

    def _images(self) -> str:
        """Return the last value that has as many places on axis 0 as there are images."""
        found = (c.name for c in reversed(self.calls) if c.images == 0 and c.shape[0] == 1)
        return next(found, self.program.input)

    def _is_by_image(self, call: Call, x: Arranged) -> bool:
        """Return whether a function does not care where the images are."""
        if call.kind in ALONG_LAST:
            return x.images < len(x.axes) - self._trailing(call)
        return call.shape == x.seen and not {"dim", "dims"} & set(call.options)

    def _trailing(self, call: Call) -> int:
        return len(call.options.get("normalized_shape", (0,))) if call.kind in ALONG_LAST else 0

    def _in_front(self, call: Call, x: Arranged) -> Arranged:
        """Compute with the images in front, and see the result as the program does."""
        count = self._trailing(call)
        lead, rest = x.axes[: len(x.axes) - count], x.axes[len(x.axes) - count :]
        first = next(f for axis in x.axes for f in axis if f.images)
        others = [tuple(f for f in axis if f is not first) for axis in lead]
        others = [axis for axis in others if axis]
        value = self._solid(replace(x, axes=((first,), *others, *rest)), call)
        shape = (*value.seen[: len(value.seen) - count], *call.shape[len(call.shape) - count :])
        if not count:
            shape = value.seen
        self._add(replace(call, inputs=(value.source,), shape=shape, images=0))
        made = solid(call.name, shape, True)
        # Each axis in front is told in the factors that it had.
        copies = {id(f): Factor(f.size, f.images) for axis in lead for f in axis}
        copies[id(first)] = made.stored[0][0]
        stored = (
            (copies[id(first)],),
            *(tuple(copies[id(f)] for f in axis) for axis in others),
            *made.stored[1 + len(others) :],
        )
        seen = tuple(tuple(copies[id(f)] for f in axis) for axis in lead)
        return Arranged(call.name, stored, shape, (*seen, *made.stored[1 + len(others) :]))

    def _turned(self, call: Call, read: list[Arranged]) -> Arranged | None:
        """Compute along axes with the images in front, and see the result as the program does."""
        at, rank = read[0].images, len(read[0].axes)
        alike = {(x.images, len(x.axes)) for x in read} == {(at, rank)}
        given = call.options.get("dim", ())
        dims = [d % rank for d in ((given,) if isinstance(given, int) else given)]
        if at < 1 or not alike or at in dims or (call.kind in MATRICES and at >= rank - 2):
            return None
        order = [at, *(i for i in range(rank) if i != at)]
        sources = [self._solid(permuted(x, order), call) for x in read]
        if not all(x.is_source for x in sources):
            return None
        gone = dims if call.options.get("keepdim") is False else []
        seen = [i for i in order if i not in gone]
        kept = sorted(seen)
        shape = tuple(call.shape[kept.index(i)] for i in seen)
        options = dict(call.options)
        if dims:
            moved = [order.index(d) for d in dims]
            options["dim"] = moved[0] if isinstance(given, int) else moved
        inputs = tuple(x.source for x in sources)
        self._add(replace(call, inputs=inputs, shape=shape, options=options, images=0))
        made = solid(call.name, shape, True)
        return permuted(made, [seen.index(i) for i in kept])

    def _settled(self, name: str, call: Call | None) -> str:
        """Return the value as the program sees it, carried out."""
        x = self.values[name]
        if not x.is_settled:
            place = call.place if call else self.by[name].place
            reader = call.kind if call else "the network"
            if reader != UNREAD:  # which is told
                self.problems.append(
                    f"{place}: {reader} reads {x.seen} with the images on axis {x.images}, not in "
                    "front"
                )
            return x.source
        return self._solid(x, self.by.get(name) or call).source

    def _solid(self, x: Arranged, call: Call | None) -> Arranged:
        if x.is_source or not x.is_settled or call is None:
            return solid(x.source, x.shape, x.images >= 0) if x.is_source else x
        images = x.images >= 0
        flat = [factor for axis in x.axes for factor in axis]
        if flat == x.order:
            return self._emit(call, "reshape", x, x.seen)
        stored, dims = groups(x)
        shape = tuple(map(size_of, stored))
        value = solid(x.source, x.shape, images)
        if shape != x.shape:
            value = self._emit(call, "reshape", value, shape)
        turned = tuple(shape[i] for i in dims)
        value = self._emit(call, "permute", value, turned, dims=tuple(dims))
        return value if turned == x.seen else self._emit(call, "reshape", value, x.seen)

    def _emit(
        self, call: Call, kind: str, x: Arranged, shape: Shape, **options: object
    ) -> Arranged:
        """Add a move of a source, unless it is there."""
        key = (kind, x.source, shape, tuple(sorted(options.items())))
        if key not in self.made:
            call = self._told(call, kind, shape)
            name = call.name if call.kind in VIEWS else f"{call.name}_input"
            while name in self.taken or (name in self.values and name != call.name):
                name += "_"
            if kind == call.kind or (kind, call.kind) == ("reshape", "flatten"):
                kind = call.kind
            images = 0 if x.images >= 0 else -1
            added = Call(
                name, kind, (x.source,), shape, call.scope, options, {}, call.where, images
            )
            self._add(added)
            self.made[key] = solid(name, shape, images == 0)
        return self.made[key]

    def _told(self, call: Call, kind: str, shape: Shape) -> Call:
        """Return the view on the way to a call that a move is called like, if one looks like it."""
        found, view = call, self.by.get(call.name)
        while view is not None:
            if view.kind in ALIKE[kind] and view.shape == shape and view.name not in self.taken:
                found = view
            view = self.by.get(view.inputs[0])
        return found

    def _add(self, call: Call) -> None:
        self.taken.add(call.name)
        self.calls.append(call)
