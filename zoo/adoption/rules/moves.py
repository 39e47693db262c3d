"""What moves values, and what joins them."""

from __future__ import annotations

from zoo.adoption.program import Call
from zoo.adoption.rules.rule import Held, Rule, UnfitError, expect, plain
from zoo.arch import Operator, Shape
from zoo.arch.operators import Add, ChannelPermute, ChannelShuffle, Mul


def _two(make: type[Operator]) -> Rule:
    def rule(call: Call, read: list[Shape], held: Held) -> list[Operator]:
        if len(read) != 2:
            raise UnfitError(f"{call.kind}: by a number or a parameter")
        return [make()]

    return rule


def _index_select(call: Call, read: list[Shape], held: Held) -> list[Operator]:
    expect(call, dim=1)
    indices, channels = tuple(call.options["indices"]), read[0][1]
    columns = indices[1] if len(indices) == channels > 1 else 0
    if 1 < columns < channels and channels % columns == 0:
        rows = channels // columns  # of the two ways to say it, the one of fewer groups
        shuffle = ChannelShuffle(groups=min(rows, columns), order="gn" if rows <= columns else "ng")
        if tuple(shuffle.indices(channels)) == indices:
            return [shuffle]
    return [ChannelPermute(indices=indices)]


RULES: dict[str, Rule] = {
    "add": _two(Add),
    "channel_shuffle": plain(ChannelShuffle, "groups", "order"),
    "index_select": _index_select,
    "mul": _two(Mul),
}
