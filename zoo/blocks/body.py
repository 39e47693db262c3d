"""The code of a block's ``forward``: calls nested where that reads well, few variables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from zoo.blocks.idioms import Inline
from zoo.blocks.layout import Call, lay
from zoo.blocks.tree import Block, Leaf

NESTED = 64
"""Characters of an expression that is still written into another."""
SHORT = 24
"""Characters of an expression that is written beside others."""

Value = Callable[[Leaf, str], str]
"""From a step and the label of an argument to the text of its value."""


@dataclass
class _Statement:
    """A step, or several nested ones; ``{name}`` are the values in its text."""

    text: str
    reads: list[str]
    makes: tuple[str, ...]
    atom: bool = True
    in_place: bool = False


def body(
    block: Block, callee: Callable[[str], str], value: Value, result: str = "return "
) -> Iterator[str]:
    """Yield the lines of the method's body.

    Args:
        block: the block.
        callee: from the label of a child to what calls it.
        value: see `Value`.
        result: what stands before the result: the method may go on with it.
    """
    statements = _nest(block, [_statement(step, callee, value) for step in block.steps])
    yield from _write(block, statements, result)


def _hole(name: str) -> str:
    return f"«{name}»"


def _statement(step: Leaf | Block, callee: Callable[[str], str], value: Value) -> _Statement:
    if isinstance(step, Leaf) and isinstance(step.entry, Inline):
        entry = step.entry
        holes = [_hole(name) for name in step.inputs]
        values = {a.label: value(step, a.label) for a in entry.arguments}
        form = entry.in_place or entry.form
        every = ", ".join(holes) + ("," if len(holes) == 1 else "")
        text = form.format(*holes, all=every, **values)
        in_place = entry.in_place is not None
        return _Statement(text, list(step.inputs), step.outputs, entry.atom, in_place)
    arguments = ", ".join(_hole(name) for name in step.inputs)
    return _Statement(f"{callee(step.label)}({arguments})", list(step.inputs), step.outputs)


def _nest(block: Block, statements: list[_Statement]) -> list[_Statement]:
    """Write statements into the next one where that alone reads what they make."""
    uses = Counter(block.outputs)
    for statement in statements:
        uses.update(statement.reads)
    done: list[_Statement] = []
    for statement in statements:
        outer = statement
        while done and not outer.in_place and _fits(done[-1], outer, uses):
            outer = _inserted(done.pop(), outer)
        done.append(outer)
    return done


def _inserted(inner: _Statement, outer: _Statement) -> _Statement:
    (name,) = inner.makes
    text = inner.text if inner.atom or _alone(outer, name) else f"({inner.text})"
    at = outer.reads.index(name)
    reads = outer.reads[:at] + inner.reads + outer.reads[at + 1 :]
    return _Statement(outer.text.replace(_hole(name), text), reads, outer.makes, outer.atom)


def _fits(inner: _Statement, outer: _Statement, uses: Counter[str]) -> bool:
    if inner.in_place or len(inner.makes) != 1 or inner.makes[0] not in outer.reads:
        return False
    if uses[inner.makes[0]] != 1:
        return False
    limit = NESTED if len(outer.reads) == 1 else SHORT
    plain = re.sub("«.*?»", "x", inner.text)
    whole = re.sub("«.*?»", "x", outer.text) + plain
    return len(plain) <= limit and len(whole) <= NESTED


def _alone(statement: _Statement, name: str) -> bool:
    """Return whether a value stands between brackets or commas."""
    return bool(re.search(rf"[(,] ?{re.escape(_hole(name))}[,)]", statement.text))


def _write(block: Block, statements: list[_Statement], result: str) -> Iterator[str]:
    last = {name: i for i, s in enumerate(statements) for name in s.reads}
    last |= {name: len(statements) for name in block.outputs}
    held = dict(zip(block.inputs, variables(len(block.inputs)), strict=False))
    for i, statement in enumerate(statements):
        text = statement.text
        for name in statement.reads:
            text = text.replace(_hole(name), held[name])
        read = [held[name] for name in statement.reads]
        dying = [held[name] for name in statement.reads if last[name] <= i]
        unread = [held.pop(name) for name in list(held) if last.get(name, -1) <= i]
        if statement.in_place:
            yield text
            held[statement.makes[0]] = read[-1]
            continue
        # Several may be a list in TorchScript: their names are returned.
        last_one = i == len(statements) - 1 and block.outputs == statement.makes
        if last_one and len(statement.makes) == 1 and not block.as_tuple:
            yield from lay(result, _breakable(text))
            return
        free = [*dict.fromkeys([*dying, *unread])]
        for name in statement.makes:
            taken = {*held.values()}
            fresh = next(v for v in variables(len(held) + len(free) + 1) if v not in taken)
            candidates = [v for v in free if v not in taken]
            held[name] = candidates[0] if candidates else fresh
        # Of several, the last goes on under the name of what was read: what passes by has another.
        names = [held[name] for name in statement.makes]
        if len(names) > 1 and names[0] in dying:
            names = [*names[1:], names[0]]
            held |= dict(zip(statement.makes, names, strict=True))
        for name in statement.makes:
            if name not in last:  # made for nobody
                held.pop(name)
        yield from lay(_targets(names), _breakable(text))
    results = [held[name] for name in block.outputs]
    if block.as_tuple and len(results) == 1:
        yield f"{result}({results[0]},)"
    elif len(results) == 1:
        yield f"{result}{results[0]}"
    else:
        yield from lay(result, _tuple(results))


def _targets(names: Sequence[str]) -> str:
    return ", ".join(names) + " = "


def _tuple(names: Sequence[str]) -> Call | str:
    line = ", ".join(names)
    if len(line) < 70:
        return line
    return Call("", tuple((None, name) for name in names))


def _breakable(text: str) -> str | Call:
    """Return a call whose arguments may be put on lines of their own."""
    found = re.fullmatch(r"([\w.]+)\((.*)\)", text)
    if found is None:
        return text
    arguments, depth, start = [], 0, 0
    inner = found[2]
    for i, letter in enumerate(inner):
        depth += letter in "([{"
        depth -= letter in ")]}"
        if depth < 0:
            return text
        if letter == "," and depth == 0:
            arguments.append(inner[start:i].strip())
            start = i + 1
    arguments.append(inner[start:].strip())
    return Call(found[1], tuple((None, _nested(a)) for a in arguments if a))


def _nested(text: str) -> str | Call:
    if text.startswith("(") and text.endswith(")"):
        inner = _breakable(f"tuple{text}")
        if isinstance(inner, Call):
            return Call("", inner.arguments)
    return _breakable(text)


def variables(count: int) -> list[str]:
    """Return names of values: x, y, z, then numbered."""
    letters = ["x", "y", "z", "u", "v", "w"]
    return [*letters, *(f"x{i}" for i in range(count))][: max(count, len(letters))]
