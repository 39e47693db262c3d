"""The text of a network: imports, helpers, and its classes with docstrings."""

from __future__ import annotations

import ast
import functools
import inspect
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from zoo.arch import Graph, Shape
from zoo.arch.head import head_of
from zoo.arch.operator import channels_of
from zoo.blocks import names
from zoo.blocks.arguments import Arguments, Column, Parameter
from zoo.blocks.classes import Class, Classes, ordered
from zoo.blocks.idioms import REQUIRED, Idioms
from zoo.blocks.layout import Call, Text, call, lay, literal
from zoo.blocks.methods import listed_holders, methods
from zoo.blocks.tree import Block, Leaf, cut


@dataclass(frozen=True)
class Source:
    """A network as code.

    Attributes:
        text: a module that imports what helpers it needs from the backend.
        alone: a file with the helpers' own text, that imports nothing of ours and checks itself.
        root: the name of the network's class.
        given: path → live layer, of operators that have no spelling.
    """

    text: str
    alone: str
    root: str
    given: tuple[tuple[str, Any], ...]


def called(graph: Graph) -> str:
    """Return what a graph's network is called, of which equality does not tell."""
    return str(getattr(graph.origin, "label", "network"))


def write(graph: Graph, idioms: Idioms) -> Source:
    """Return a graph's code.

    Raises:
        GraphError: a scope has the name of a node with parameters.
    """
    root = cut(graph, idioms)
    classes = Classes(root, graph.shapes(), idioms, names.family(called(graph)))
    written = "\n\n\n".join("\n".join(_class(c, classes, graph)) for c in classes)
    used = _used(written, idioms.helpers)
    imported = f"from {idioms.helpers.__name__} import {', '.join(sorted(used))}" if used else ""
    helpers = [_definitions(idioms.helpers)[n][0] for n in _closure(used, idioms.helpers)]
    given = tuple(
        (f"{block.path}.{leaf.label}".lstrip("."), leaf.given)
        for block in root.blocks()
        for leaf in block.steps
        if isinstance(leaf, Leaf) and leaf.given is not None
    )
    name = next(c.name for c in classes if root in c.blocks)
    alone = "\n\n\n".join([*helpers, written, _check(graph, name, idioms)])
    return Source(
        f"{_imports(written, idioms, imported)}\n\n\n{written}\n",
        f"{_imports(alone, idioms)}\n\n\n{alone}\n",
        name,
        given,
    )


def _check(graph: Graph, root: str, idioms: Idioms) -> str:
    """Return the lines that a file checks itself with."""
    shapes = graph.shapes()
    trained = [p.shape for p in graph.parameters.values() if p.trainable]
    return idioms.check.strip().format(
        root=root,
        shape=graph.input_shape,
        count=literal(sum(map(math.prod, trained))),
        outputs=[shapes[name] for name in graph.outputs],
    )


def _imports(text: str, idioms: Idioms, own: str = "") -> str:
    words = set(re.findall(r"\w+", re.sub(r'""".*?"""', "", text, flags=re.S)))
    lines = [line for name, line in idioms.imports.items() if name in words]
    standard = [line for line in lines if line.split()[1] in ("collections", "typing")]
    others = [line for line in dict.fromkeys(lines) if line not in standard]
    parts = ["\n".join(part) for part in (standard, others, [own]) if any(part)]
    return "\n\n".join(parts)


def _class(found: Class, classes: Classes, graph: Graph) -> Iterator[str]:
    idioms, first, arguments = classes.idioms, found.blocks[0], found.arguments
    chain = idioms.named is not None and first.is_chain and classes.root is not first
    yield f"class {found.name}({idioms.named if chain else idioms.module}):"
    yield from _docstring(found, classes)
    yield ""
    yield from _signature(arguments.parameters)
    children = classes.children(found, lambda place: arguments.text(place.column))
    local = [f"        {name} = {text}" for name, text in arguments.local]
    if chain:
        yield from local
        inner = ordered(list(children), list(children.values()))
        yield from lay("", call("super().__init__", inner), indent=8)
        return
    yield "        super().__init__()"
    yield from local
    yield from _attributes(first, children, idioms)
    yield ""
    head = head_of(graph) if classes.root is first else None
    yield from methods(found, classes.idioms, head)


def _signature(parameters: Sequence[Parameter]) -> Iterator[str]:
    texts: list[tuple[str | None, Text]] = [(None, "self")]
    for p in parameters:
        default = "" if p.default is REQUIRED else f" = {literal(p.default)}"
        texts.append((None, f"{p.name}: {p.annotation}{default}"))
    yield from lay("def ", Call("__init__", tuple(texts)), " -> None:", 4)


def _attributes(block: Block, children: dict[str, Text], idioms: Idioms) -> Iterator[str]:
    """Yield the assignments of the children, those of dotted names by what holds them."""
    inside: dict[str, dict[str, Text]] = {}
    for label, text in children.items():
        holder, _, name = label.rpartition(".")
        inside.setdefault(holder, {})[name] = text
        while holder:  # what holds nothing but holders is one as well
            holder = holder.rpartition(".")[0]
            inside.setdefault(holder, {})
    listed = listed_holders(children)
    for holder in sorted(inside, key=lambda h: (h == "", -h.count("."))):
        if holder == "":
            continue
        found = inside[holder]
        outer, _, name = holder.rpartition(".")
        if holder in listed:
            rows = Call("", tuple((None, text) for text in found.values()), "[]")
            inside.setdefault(outer, {})[name] = call(idioms.listed, rows)
            continue
        held = holder.replace(".", "_") + "_layers"
        held = held if held.isidentifier() else f"at_{held}"
        yield f"        {held} = {idioms.module}()"
        for inner, text in found.items():
            yield from _assign(held, inner, text)
        inside.setdefault(outer, {})[name] = held
    for name, text in inside.get("", {}).items():
        yield from _assign("self", name, text)


def _assign(holder: str, name: str, text: Text) -> Iterator[str]:
    if name.isidentifier():
        yield from lay(f"{holder}.{name} = ", text, indent=8)
    else:
        yield from lay("", call("setattr", holder, f'"{name}"', text), indent=8)


def _docstring(found: Class, classes: Classes) -> Iterator[str]:
    if found.blocks[0].is_chain and found.blocks[0].path:  # its name says what it is
        yield f'    """{_shape(found, classes)}."""'
        return
    paths = [block.path for block in found.blocks if block.path]
    shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    title = f"{shown}." if paths else "The network."
    line = f'    """{title}'
    yield line if len(line) <= 88 else f'    """{paths[0]} and {len(paths) - 1} more.'
    yield ""
    yield f"    {_shape(found, classes)}"
    yield '    """'


def _shape(found: Class, classes: Classes) -> str:
    shapes, arguments = classes.shapes, found.arguments
    sizes = [shapes[b.inputs[0]][2:] if b.inputs else () for b in found.blocks]

    def value(names: Sequence[str]) -> str:
        own = [shapes[name] for name in names]
        column: Column = tuple(channels_of(shape) for shape in own)
        known = len(set(column)) == 1 or column in arguments.written
        channels = arguments.text(column) if known else "C"
        return f"(N, {channels}{_spatial(sizes, own, arguments)})"

    def values(kind: str) -> str:
        rows = [getattr(block, kind) for block in found.blocks]
        texts = [value([row[i] for row in rows]) for i in range(min(len(rows[0]), 4))]
        return ", ".join(texts) + (", …" if len(rows[0]) > 4 else "")

    text = f"{values('inputs')} -> {values('outputs')}"
    return text if len(text) <= 84 else f"{len(found.blocks[0].outputs)} values"


def _spatial(sizes: Sequence[Shape], shapes: Sequence[Shape], arguments: Arguments) -> str:
    if len(shapes[0]) != 4:
        columns = zip(*(shape[2:] for shape in shapes), strict=False)
        return "".join(f", {n[0] if len(set(n)) == 1 else '…'}" for n in columns)
    if all(shape[2:] == (1, 1) for shape in shapes):
        return ", 1, 1"
    if any(len(size) != 2 for size in sizes):
        return ", H, W"
    ratios = tuple(
        -(-size[0] // shape[2]) if -(-size[0] // shape[2]) == -(-size[1] // shape[3]) else 0
        for size, shape in zip(sizes, shapes, strict=True)
    )
    if set(ratios) == {1}:
        return ", H, W"
    if len(set(ratios)) == 1 and 0 not in ratios:
        return f", H / {ratios[0]}, W / {ratios[0]}"
    stride = next((p.name for p in arguments.parameters if p.column == ratios), None)
    return f", H / {stride}, W / {stride}" if stride else ", H', W'"


@functools.cache
def _definitions(helpers: ModuleType) -> dict[str, tuple[str, frozenset[str]]]:
    """Return name → (text, names in it) of what a module of helpers defines."""
    text = inspect.getsource(helpers)
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            lines = text.splitlines()[start - 1 : node.end_lineno]
            uses = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            found[node.name] = ("\n".join(lines), frozenset(uses))
    return found


def _used(text: str, helpers: ModuleType) -> set[str]:
    return set(re.findall(r"\w+", text)) & set(_definitions(helpers))


def _closure(used: set[str], helpers: ModuleType) -> list[str]:
    """Return these helpers and those that they need, in the order of their module."""
    found = _definitions(helpers)
    todo, needed = list(used), set(used)
    while todo:
        for name in found[todo.pop()][1] & found.keys() - needed:
            needed.add(name)
            todo.append(name)
    return [name for name in found if name in needed]
