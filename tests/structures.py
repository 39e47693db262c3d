"""A network's structure as a text to review: a line for each block, equal repeats told once.

`stage2.1..3:` heads the line of three equal blocks. In it stand the operators in their order, those
that multiply with the shape of what they multiply by; what comes out; multiply-adds; and the first
digits of a hash of all that is known of the nodes: names, shapes, what reads what, parameters.
`python tests/structures.py NAME` prints that, node by node.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
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
    return "\n".join([*_facts(name), "", *summed(folded(nodes(name)))]) + "\n"


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


def summed(folded: Iterable[str]) -> Iterator[str]:
    """Yield a line for each block."""
    blocks: list[tuple[str, list[str]]] = []
    for line in folded:
        if line.startswith(" "):
            blocks[-1][1].append(line)
        else:
            blocks.append((line, []))
    for heading, lines in blocks:
        operators, macs = [], 0
        for line in lines:
            _, operator, shape, *_ = line[1:].split(" ")
            own = re.search(r"macs (\d+)", line)
            weight = re.search(r"weight (\S+?)(,|$)", line) if own else None
            operators.append(f"{operator} {weight[1]}" if weight else operator)
            macs += int(own[1]) if own else 0
        digest = sha256("\n".join(lines).encode()).hexdigest()[:8]
        yield f"{heading} {', '.join(operators)} → {shape}; {macs} macs; {digest}"


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


if __name__ == "__main__":
    print("\n".join(folded(nodes(sys.argv[1]))))
