"""Which blocks share a class, and what its constructor takes.

Blocks are alike if they do the same steps with other numbers. A chain whose children are numbers is
written where it stands, and so is one of named children that is written once; every other block is
a class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo.arch import Shape
from zoo.arch.operator import channels_of
from zoo.blocks import names
from zoo.blocks.arguments import Arguments, Column, Place, choose
from zoo.blocks.idioms import REQUIRED, Idioms, Inline
from zoo.blocks.layout import Call, Text, call, flat
from zoo.blocks.tree import Block, Leaf

Value = Callable[[Place], str]


@dataclass
class Class:
    """Blocks that are one class.

    Attributes:
        blocks: where it is used.
        name: of the class.
        arguments: of its constructor.
    """

    blocks: list[Block]
    name: str = ""
    arguments: Arguments = field(default_factory=Arguments)

    def __post_init__(self) -> None:
        self.number = {block.path: i for i, block in enumerate(self.blocks)}


class Classes:
    """The classes of a network, inner ones first."""

    def __init__(
        self, root: Block, shapes: Mapping[str, Shape], idioms: Idioms, network: str
    ) -> None:
        self.root, self.shapes, self.idioms = root, shapes, idioms
        self._skeletons = {block.path: _skeleton(block) for block in root.blocks()}
        groups: dict[Any, list[Block]] = {}
        for block in root.blocks():
            groups.setdefault(self._skeletons[block.path], []).append(block)
        written = self._written()
        self._classes = {
            skeleton: Class(blocks)
            for skeleton, blocks in groups.items()
            if root in blocks or not self._inline(blocks[0], len(written[skeleton]))
        }
        self._name(network)
        for found in self:
            found.arguments = self._choose(found)

    def __iter__(self) -> Iterator[Class]:
        yield from self._classes.values()

    def _written(self) -> dict[Any, set[Any]]:
        """Return for each kind of block where it is written: in which others, under which name."""
        found: dict[Any, set[Any]] = {}
        for block in self.root.blocks():
            for step in block.steps:
                if isinstance(step, Block):
                    place = (self._skeletons[block.path], step.label)
                    found.setdefault(self._skeletons[step.path], set()).add(place)
        return found

    def _inline(self, block: Block, places: int) -> bool:
        if not block.is_chain:
            return False
        return block.is_numbered or (self.idioms.named is not None and places == 1)

    def _name(self, network: str) -> None:
        alike: dict[str, list[Class]] = {}
        taken = {*vars(self.idioms.helpers), *self.idioms.imports}
        for found in self:
            first = found.blocks[0]
            name = network if self.root in found.blocks else names.base(first, network)
            name = names.free(name, taken)
            alike.setdefault(name, []).append(found)
        for name, group in alike.items():
            words = [names.words(c.blocks[0], self._reduces(c.blocks[0])) for c in group]
            for found, chosen in zip(group, names.tell_apart(name, words), strict=True):
                found.name = chosen

    def _reduces(self, block: Block) -> bool:
        sizes = [self.shapes[values[0]][2:] for values in (block.inputs, block.outputs) if values]
        return len(sizes) == 2 and sizes[0] > sizes[1] != (1, 1)

    def _choose(self, found: Class) -> Arguments:
        places: list[Place] = []

        def collect(place: Place) -> str:
            places.append(place)
            return ""

        self.children(found, collect)
        return choose(places, *self.ends(found))

    def ends(self, found: Class) -> tuple[Column | None, Column | None]:
        """Return the channels of what the blocks read and make, where that is one value each."""
        ends: list[Column | None] = []
        for values in ([b.inputs for b in found.blocks], [b.outputs for b in found.blocks]):
            one = all(len(v) == 1 for v in values)
            ends.append(tuple(channels_of(self.shapes[v[0]]) for v in values) if one else None)
        return ends[0], ends[1]

    def children(self, found: Class, value: Value) -> dict[str, Text]:
        """Return label of a child → the expression that makes it.

        Numbers in the code of the method are among them, under the label of the step and theirs.
        """
        made: dict[str, Text] = {}
        for i, step in enumerate(found.blocks[0].steps):
            steps = [block.steps[i] for block in found.blocks]
            text = self._make(steps, value)
            if text is not None:
                made[step.label] = text
                continue
            for label, place in inline_places(steps):
                if len(set(place.column)) > 1:
                    made[label] = value(place)
        return made

    def _make(self, steps: Sequence[Leaf | Block], value: Value) -> Text | None:
        first = steps[0]
        if isinstance(first, Leaf):
            return _layer(first, steps, value) if not isinstance(first.entry, Inline) else None
        shared = self._classes.get(self._skeletons[first.path])
        if shared is not None:
            return self._shared(shared, steps, value)
        inner = [
            self._make([s.steps[i] for s in steps if isinstance(s, Block)], value)
            for i in range(len(first.steps))
        ]
        parts: list[Text] = [part for part in inner if part is not None]
        if first.is_numbered:
            return call(self.idioms.numbered, *_repeated(parts))
        assert self.idioms.named is not None
        return call(self.idioms.named, ordered([s.label for s in first.steps], parts))

    def _shared(self, shared: Class, steps: Sequence[Leaf | Block], value: Value) -> Call:
        numbers = [shared.number[step.path] for step in steps if isinstance(step, Block)]
        arguments: list[tuple[str | None, Text]] = []
        for parameter in shared.arguments.parameters:
            column = tuple(parameter.column[i] for i in numbers)
            text = value(Place(parameter.name, steps[0].label, column, parameter.default))
            if any(v != parameter.default for v in column):
                keyword = None if parameter.default is REQUIRED else parameter.name
                arguments.append((keyword, text))
        return Call(shared.name, tuple(arguments))


def inline_places(steps: Sequence[Leaf | Block]) -> Iterator[tuple[str, Place]]:
    """Yield (name of the attribute, place) of the numbers in the expressions of a method."""
    first = steps[0]
    assert isinstance(first, Leaf)
    for j, argument in enumerate(first.entry.arguments):
        column = tuple(s.entry.arguments[j].value for s in steps if isinstance(s, Leaf))
        yield attribute(first, argument.label), Place(argument.label, first.label, column)


def attribute(step: Leaf, label: str) -> str:
    """Return the attribute that holds a number of a method's expression."""
    return f"{step.label.replace('.', '_')}_{label}"


def ordered(labels: Sequence[str], parts: Sequence[Text]) -> Call:
    """Return an `OrderedDict` of children."""
    if all(label.isidentifier() for label in labels):
        return Call("OrderedDict", tuple(zip(labels, parts, strict=True)))
    rows = [call("", f'"{label}"', part) for label, part in zip(labels, parts, strict=True)]
    return call("OrderedDict", Call("", tuple((None, row) for row in rows), "[]"))


def _layer(first: Leaf, steps: Sequence[Leaf | Block], value: Value) -> Call:
    arguments: list[tuple[str | None, Text]] = []
    for j, argument in enumerate(first.entry.arguments):
        column = tuple(s.entry.arguments[j].value for s in steps if isinstance(s, Leaf))
        text = value(Place(argument.label, first.label, column, argument.default))
        if any(v != argument.default for v in column):
            arguments.append((argument.keyword, text))
    assert not isinstance(first.entry, Inline)
    return Call(first.entry.name, tuple(arguments))


def _repeated(parts: Sequence[Text]) -> list[Text]:
    """Return children with several that are alike as one expression."""
    found: list[Text] = []
    at = 0
    while at < len(parts):
        count = next((i for i, p in enumerate(parts[at:]) if p != parts[at]), len(parts) - at)
        text = f"*({flat(parts[at])} for _ in range({count}))"
        found += [text] if count > 2 and len(text) < 76 else parts[at : at + count]
        at += count
    return found


def _skeleton(block: Block) -> Any:
    """Return what two blocks of one class have in common."""
    numbers = {name: i for i, name in enumerate(block.inputs)}
    rows: list[Any] = []
    for step in block.steps:
        if isinstance(step, Block):
            what: Any = _skeleton(step)
        else:
            entry = step.entry
            labels = tuple((a.label, a.keyword, a.default) for a in entry.arguments)
            spelled = (entry.form, entry.in_place) if isinstance(entry, Inline) else (entry.name,)
            what = (step.kind, spelled, labels)
        rows.append((step.label, what, tuple(numbers[name] for name in step.inputs)))
        for name in step.outputs:
            numbers.setdefault(name, len(numbers))
    return (len(block.inputs), tuple(rows), tuple(numbers[name] for name in block.outputs))
