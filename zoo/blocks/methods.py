"""The methods of a class: one, or for a whole network those that people cut it by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zoo.arch.head import Head
from zoo.blocks.body import body, variables
from zoo.blocks.classes import Class, attribute, inline_places
from zoo.blocks.idioms import Idioms, Inline
from zoo.blocks.layout import Call, lay, literal
from zoo.blocks.tree import Block, Leaf


def methods(found: Class, idioms: Idioms, head: Head | None) -> Iterator[str]:
    """Yield the lines of a class's methods.

    Args:
        found: the class.
        idioms: the framework's.
        head: where the network's head begins; None for all other blocks.
    """
    block, method = found.blocks[0], _Method(found, idioms)
    parts = _parts(block, head) if head is not None else None
    if parts is None:
        yield from method.signature(idioms.forward, block)
        yield from method.lines(block)
        return
    features, pooling, logits = parts
    yield from method.signature("forward_features", features)
    yield from method.lines(features)
    yield ""
    yield from method.signature("forward_head", pooling, "pre_logits: bool = False")
    if logits is None:
        yield from method.lines(pooling)
    else:
        yield from (line for line in method.lines(pooling, "x = ") if line.strip() != "x = x")
        rest = list(method.lines(logits))
        made = rest[0].strip().removeprefix("return ")
        if len(rest) == 1 and len(line := f"        return x if pre_logits else {made}") <= 88:
            yield line
        else:
            yield from ("        if pre_logits:", "            return x", *rest)
    yield ""
    yield from method.signature(idioms.forward, block)
    yield "        return self.forward_head(self.forward_features(x))"


def _parts(block: Block, head: Head) -> tuple[Block, Block, Block | None] | None:
    """Return the steps up to the features, from there to the classifier, and from it on.

    None where a step reads across: the network is then one method.
    """
    ends = (head.features, *dict.fromkeys((head.pre_logits, *block.outputs)))
    parts, steps, read = [], list(block.steps), block.inputs
    for end in ends:
        at = next((i for i, step in enumerate(steps) if end in step.outputs), -1) + 1
        part = Block("", "", tuple(steps[:at]), read, (end,))
        made = {*read, *(name for step in part.steps for name in step.outputs)}
        if not (part.steps or read == (end,)) or any(
            name not in made for s in part.steps for name in s.inputs
        ):
            return None
        parts.append(part)
        steps, read = steps[at:], (end,)
    if steps:  # what nobody reads
        return None
    features, pooling, *logits = parts
    return features, pooling, logits[0] if logits else None


@dataclass
class _Method:
    """How the steps of a class's blocks are written into a method."""

    found: Class
    idioms: Idioms

    def __post_init__(self) -> None:
        block = self.found.blocks[0]
        self.listed = listed_holders(
            step.label
            for step in block.steps
            if isinstance(step, Block) or not isinstance(step.entry, Inline)
        )
        self.varying = {
            name
            for i, step in enumerate(block.steps)
            if isinstance(step, Leaf) and isinstance(step.entry, Inline)
            for name, place in inline_places([b.steps[i] for b in self.found.blocks])
            if len(set(place.column)) > 1
        }

    def signature(self, name: str, block: Block, *further: str) -> Iterator[str]:
        """Yield the line that a method begins with."""
        inputs, tensor = variables(len(block.inputs))[: len(block.inputs)], self.idioms.tensor
        taken = ("self", *(f"{name}: {tensor}" for name in inputs), *further)
        made = ", ".join([tensor] * len(block.outputs))
        made = f"tuple[{made}]" if len(block.outputs) > 1 or block.as_tuple else made
        result = f" -> {made}:" if len(block.outputs) <= 3 else ":"
        yield from lay("def ", Call(name, tuple((None, text) for text in taken)), result, 4)

    def lines(self, block: Block, result: str = "return ") -> Iterator[str]:
        """Yield the lines of a method's body."""
        for line in body(block, self._callee, self._value, result):
            yield f"        {line}"

    def _callee(self, label: str) -> str:
        text = "self"
        for i, part in enumerate(label.split(".")):
            path = ".".join(label.split(".")[:i])
            if part.isdigit() and path in self.listed:
                text = f"{text}[{part}]"
            else:
                text = f"{text}.{part}" if part.isidentifier() else f'getattr({text}, "{part}")'
        return text

    def _value(self, step: Leaf, label: str) -> str:
        name = attribute(step, label)
        if name in self.varying:
            return f"self.{name}"
        return literal(next(a.value for a in step.entry.arguments if a.label == label))


def listed_holders(labels: Iterable[str]) -> set[str]:
    """Return what holds 0, 1, 2 … and nothing else."""
    inside: dict[str, list[str]] = {}
    for label in labels:
        holder, _, name = label.rpartition(".")
        inside.setdefault(holder, []).append(name)
    return {
        holder
        for holder, found in inside.items()
        if holder
        and found == [str(i) for i in range(len(found))]
        and not any(other.startswith(f"{holder}.") for other in inside)
    }
