"""A network's structure as a text to review: blocks by name, equal repeats told once.

`stage2.1..3:` heads the lines of three equal blocks. In a line stand the node within its block, its
operator, the shape of its result, what it reads (`.split.1` is in the same block, `<` the result of
the block before), its parameters, and its multiply-adds. Nothing is left out: `unfolded` gives all
the nodes back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import zoo


class Node(NamedTuple):
    name: str
    what: str
    """Operator, and the shape of its result."""
    inputs: tuple[str, ...]
    owned: str
    """Parameters and multiply-adds."""


def text(name: str) -> str:
    return "\n".join([*_facts(name), "", *folded(nodes(name))]) + "\n"


def _facts(name: str) -> Iterator[str]:
    spec, cost = zoo.spec(name), zoo.cost(name)
    for key, value in json.loads(spec.to_json()).items():
        for part, stated in value.items() if isinstance(value, dict) else [("", value)]:
            yield f"{key}{part and '.'}{part}: {json.dumps(stated)}"
    yield f"sha256: {spec.sha256}"
    for count in ("params", "buffers", "macs", "peak_bytes"):
        yield f"{count}: {getattr(cost, count)}"


def nodes(name: str) -> list[Node]:
    graph = zoo.spec(name).graph
    owned: dict[str, list[str]] = {node.name: [] for node in graph.nodes}
    for parameter, array in graph.parameters.items():
        owner, _, kind = parameter.rpartition(".")
        owned[owner].append(f"{kind} {_shape(array.shape)}")
    return [
        Node(
            node.name,
            f"{row.op} {_shape(row.shape[1:])}",
            node.inputs,
            ", ".join([*owned[node.name], *([f"macs {row.macs}"] if row.macs else [])]),
        )
        for node, row in zip(graph.nodes, zoo.cost(name).nodes, strict=True)
    ]


def _shape(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes))


def _block(name: str) -> str:
    """stage2.1.expand.conv → stage2.1, stem.conv → stem; nothing for a node outside of blocks."""
    found = re.match(r"\w+(\.\d+)?(?=\.)", name)
    return found[0] if found else ""


def folded(nodes: list[Node]) -> Iterator[str]:
    blocks: list[tuple[str, list[str]]] = []
    before = last = ""
    for block, members in groupby(nodes, lambda node: _block(node.name)):
        lines = []
        for name, what, inputs, owned in members:
            own = [_from_block(source, block, before) for source in inputs]
            lines.append(f" {name[len(block) :]} {what} of {' '.join(own)}{owned and ': '}{owned}")
            last = name
        blocks.append((block, lines))
        before = last
    while blocks:
        first, lines = blocks.pop(0)
        stem, _, number = first.rpartition(".")
        end = first
        while stem and blocks and blocks[0] == (f"{stem}.{int(end.split('.')[-1]) + 1}", lines):
            end = blocks.pop(0)[0]
        yield f"{first}:" if end == first else f"{stem}.{number}..{end.split('.')[-1]}:"
        yield from lines


def _from_block(source: str, block: str, before: str) -> str:
    if source == before:
        return "<"
    return source[len(block) :] if block and _block(source) == block else source


def unfolded(lines: list[str]) -> list[Node]:
    found: list[Node] = []
    blocks: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith(" "):
            blocks[-1][1].append(line)
        else:
            blocks.append((line[:-1], []))
    for heading, members in blocks:
        many = re.fullmatch(r"(.+)\.(\d+)\.\.(\d+)", heading)
        names = [f"{many[1]}.{i}" for i in range(int(many[2]), int(many[3]) + 1)] if many else ""
        for block in names or [heading]:
            before = found[-1].name if found else ""
            for member in members:
                head, _, owned = member[1:].partition(": ")
                name, op, shape, _, *inputs = head.split(" ")
                full = (before if i == "<" else block + i if i[0] == "." else i for i in inputs)
                found.append(Node(block + name, f"{op} {shape}", tuple(full), owned))
    return found
