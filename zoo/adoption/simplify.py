"""Small rewrites of a program into the calls that operators are.

What moves data by hand, and what multiplies and clamps by hand, becomes the function that it is.
Each finds one idiom and replaces its last call; what is then read by nobody goes at the end.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from zoo.adoption.gates import gated, normalized
from zoo.adoption.moves import moved
from zoo.adoption.program import Call, Program
from zoo.adoption.spelled import spelled

COPIES = frozenset({"contiguous", "clone", "alias", "detach", "lift_fresh_copy", "identity"})
"""Calls that return what they read."""


IDLE = {
    "add_scalar": ("value", 0),
    "dropout": ("p", 0),
    "feature_dropout": ("p", 0),
    "mul_scalar": ("value", 1),
    "stochastic_depth": ("p", 0),
}
"""Function → its option and the value with which it returns what it reads."""


def simplified(program: Program) -> Program:
    """Return the program in canonical form."""
    for rewrite in REWRITES:
        program = rewrite(program)
    return program


def without_copies(program: Program) -> Program:
    """Let readers of a copy read the original; a dropout that drops nothing is one as well."""
    shapes = program.shapes()
    same: dict[str, str] = {}
    made: dict[str, Call] = {}
    readers = Counter(name for call in program.calls for name in call.inputs)
    kept = []
    for call in program.calls:
        call.inputs = tuple(same.get(name, name) for name in call.inputs)
        if call.kind == "cat":  # what is empty adds nothing
            call.inputs = tuple(n for n in call.inputs if 0 not in shapes[n]) or call.inputs
        still = call.kind in ("reshape", "flatten") and call.shape == shapes[call.inputs[0]]
        alone = call.kind == "cat" and len(call.inputs) == 1
        idle = call.kind in IDLE and call.options[IDLE[call.kind][0]] == IDLE[call.kind][1]
        bare = call.kind == "pad" and not any(call.options["sides"])
        if call.kind in COPIES or still or alone or idle or bare:
            same[call.name] = source = call.inputs[0]
            # A module whose last call hands on what one inside of it made is that one.
            inside = source in made and made[source].scope.startswith(f"{call.scope}.")
            if call.scope in program.modules and inside and readers[source] == 1:
                made[source].scope = call.scope
        else:
            kept.append(call)
            made[call.name] = call
    program.calls = kept
    program.outputs = tuple(same.get(name, name) for name in program.outputs)
    return program


def paddings(program: Program) -> Program:
    """Let what slides a window pad by itself what is padded before it.

    To a maximum, zeros beside what a ReLU made are as good as nothing.
    """

    def pad(call: Call, made: dict[str, Call], shapes: dict[str, tuple[int, ...]]) -> None:
        before = made.get(call.inputs[0]) if call.inputs else None
        if before is None or before.kind != "pad" or before.options["mode"] != "constant":
            return
        if call.options.get("padding") == "SAME_UPPER":
            return
        top, left, bottom, right = before.options["sides"]
        given = call.options.get("padding", ())
        given = () if isinstance(given, str) else (*given, *given)[:4]
        after = made[before.inputs[0]].kind if before.inputs[0] in made else ""
        value, alike = before.options["value"], (top, left) == (bottom, right)
        if min(top, left, bottom, right) < 0 or not given:
            return
        own = (*given[:2], *given[2:])
        sides = (top + own[0], left + own[1], bottom + own[2], right + own[3])
        pooled = not any(own[:2]) and not call.options.get("ceil_mode")
        if value == 0 and call.kind == "conv2d":
            call.options = {**call.options, "padding": sides}
        elif value == 0 and call.kind == "avg_pool2d" and pooled and alike:
            if any(own) and call.options["count_include_pad"]:
                return
            # What hangs over beside does not count.
            call.options = {**call.options, "padding": sides, "count_include_pad": True}
        elif (
            call.kind == "max_pool2d"
            and pooled
            and not any(own)
            and (value == -math.inf or (value == 0 and after == "relu"))
        ):
            call.options = {**call.options, "padding": sides}
        else:
            return
        call.inputs = (before.inputs[0], *call.inputs[1:])

    return _each(program, pad)


def shuffles(program: Program) -> Program:
    """Turn view → transpose → view of channels into a channel shuffle (arXiv:1707.01083)."""

    def shuffle(call: Call, made: dict[str, Call], shapes: dict[str, tuple[int, ...]]) -> None:
        turned = made.get(call.inputs[0]) if call.inputs else None
        apart = made.get(turned.inputs[0]) if turned and turned.kind == "transpose" else None
        if call.kind != "reshape" or turned is None or apart is None or apart.kind != "reshape":
            return
        source = apart.inputs[0]
        n, channels, *size = shapes[source] if len(shapes[source]) == 4 else (0, 0)
        if (
            set(turned.options["dims"]) == {1, 2}
            and call.shape == shapes[source]
            and len(apart.shape) == 5
            and apart.shape == (n, apart.shape[1], channels // apart.shape[1], *size)
        ):
            call.kind, call.inputs = "channel_shuffle", (source,)
            rows = apart.shape[1]
            columns = channels // rows  # of the two ways to say it, the one of fewer groups
            call.options = {
                "groups": min(rows, columns),
                "order": "gn" if rows <= columns else "ng",
            }

    return _each(program, shuffle)


def strides(program: Program) -> Program:
    """Let parts of channels that lie some apart be the parts of a shuffle that stand together."""
    readers, shapes = program.readers(), program.shapes()
    for call in program.calls:
        source = shapes[call.inputs[0]] if call.inputs else ()
        if call.kind != "reshape" or len(source) != 4 or len(call.shape) != 5:
            continue
        n, rows, columns, *size = call.shape
        part = (n, rows, *size)
        wanted = source == (n, rows * columns, *size)
        if wanted and all(_is_column(p, readers[p.name], part) for p in readers[call.name]):
            call.kind, call.shape = "channel_shuffle", source
            call.options = {
                "groups": min(rows, columns), "order": "gn" if rows <= columns else "ng"
            }  # fmt: skip
            for column in readers[call.name]:
                start = column.options["start"] * rows
                column.options = {"dim": 1, "start": start, "end": start + rows, "step": 1}
                column.shape = part
    return without_copies(program)


def _is_column(call: Call, readers: list[Call], shape: tuple[int, ...]) -> bool:
    bounds = {"dim": 2, "step": 1}
    return (
        call.kind == "slice"
        and {name: call.options[name] for name in bounds} == bounds
        and call.options["end"] == call.options["start"] + 1
        and all(reader.kind == "reshape" and reader.shape == shape for reader in readers)
    )


def gates(program: Program) -> Program:
    """Let the gate of each channel be the second factor of a product, as `Mul` has it."""

    def gate(call: Call, made: dict[str, Call], shapes: dict[str, tuple[int, ...]]) -> None:
        if call.kind == "mul" and len(call.inputs) == 2:
            first, second = (shapes[name] for name in call.inputs)
            if math.prod(first) < math.prod(second):
                call.inputs = call.inputs[::-1]

    return _each(program, gate)


def swishes(program: Program) -> Program:
    """Turn x · sigmoid(x) into SiLU (arXiv:1702.03118)."""

    def swish(call: Call, made: dict[str, Call], shapes: dict[str, tuple[int, ...]]) -> None:
        if call.kind != "mul" or len(call.inputs) != 2:
            return
        for x, gate in (call.inputs, call.inputs[::-1]):
            if gate in made and made[gate].kind == "sigmoid" and made[gate].inputs == (x,):
                call.kind, call.inputs = "silu", (x,)
                return

    return _each(program, swish)


def multiples(program: Program) -> Program:
    """Turn a + c · b, which a difference is too, into a product and a sum."""
    calls = []
    for call in program.calls:
        if call.kind == "add_times":
            times = replace(
                call, name=f"{call.name}_times", kind="mul_scalar", inputs=call.inputs[1:],
                shape=program.shapes()[call.inputs[1]], options={"value": call.options["alpha"]},
            )  # fmt: skip
            calls.append(times)
            call.kind, call.inputs, call.options = "add", (call.inputs[0], times.name), {}
        calls.append(call)
    program.calls = calls
    return program


def unread(program: Program) -> Program:
    """Leave out what no output depends on."""
    alive = set(program.outputs)
    for call in reversed(program.calls):
        if call.name in alive:
            alive.update(call.inputs)
    program.calls = [call for call in program.calls if call.name in alive]
    return program


def _each(
    program: Program, change: Callable[[Call, dict[str, Call], dict[str, tuple[int, ...]]], None]
) -> Program:
    made: dict[str, Call] = {}
    shapes = program.shapes()
    for call in program.calls:
        change(call, made, shapes)
        made[call.name] = call
    return program


REWRITES: tuple[Callable[[Program], Program], ...] = (
    without_copies,
    multiples,
    normalized,
    spelled,
    without_copies,
    paddings,
    shuffles,
    unread,
    moved,
    strides,
    gates,
    swishes,
    gated,
    unread,
)
"""In the order that they are applied in."""
