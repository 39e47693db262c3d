"""A graph cut at its scopes: a tree of blocks, each of which can be one call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zoo.arch import INPUT, Graph, Node, Shape
from zoo.arch.graph import shape_read
from zoo.arch.operators import Slice
from zoo.blocks.idioms import Argument, Idioms, Inline, Layer
from zoo.errors import GraphError


@dataclass(frozen=True)
class Leaf:
    """A node, or several slices that are one statement.

    Attributes:
        label: its name within the block; dotted where a scope between the two is no block.
        entry: how it is written.
        inputs, outputs: names of the values that it reads and makes.
        given: the live layer, where the operator has no spelling.
    """

    label: str
    entry: Layer | Inline
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kind: str
    given: Any = None


@dataclass(frozen=True)
class Block:
    """A scope.

    Attributes:
        path: its dotted name; "" for the whole network.
        label: its name within the block around it.
        steps: what it does, in order.
        inputs, outputs: names of the values that it takes and returns.
        as_tuple: whether it returns a tuple even of one value.
    """

    path: str
    label: str
    steps: tuple[Leaf | Block, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    as_tuple: bool = False

    @property
    def is_chain(self) -> bool:
        """Whether it is a row of layers, each of which reads the one before."""
        value = self.inputs
        for step in self.steps:
            if isinstance(step, Leaf) and isinstance(step.entry, Inline):
                return False
            if step.inputs != value or len(step.outputs) != 1 or "." in step.label:
                return False
            value = step.outputs
        return len(self.inputs) == 1 and self.outputs == value

    @property
    def is_numbered(self) -> bool:
        """Whether its children are 0, 1, 2 …."""
        return [step.label for step in self.steps] == [str(i) for i in range(len(self.steps))]

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks in it and it, inner ones first."""
        for step in self.steps:
            if isinstance(step, Block):
                yield from step.blocks()
        yield self


def cut(graph: Graph, idioms: Idioms) -> Block:
    """Return the graph's blocks.

    A scope is a block where it can be one call: nothing that it reads depends on what it makes. Of
    others, of scopes without a layer and of rows of independent layers the nodes belong to the
    block around them.

    Raises:
        GraphError: a scope has the name of a node with parameters.
    """
    return _Cut(graph, idioms).root()


class _Cut:
    def __init__(self, graph: Graph, idioms: Idioms) -> None:
        self.graph, self.shapes, self.idioms = graph, graph.shapes(), idioms
        self.order = {node.name: i for i, node in enumerate(graph.nodes)}
        self.readers: dict[str, list[str]] = defaultdict(list)
        for node in graph.nodes:
            for name in node.inputs:
                self.readers[name].append(node.name)
        self.entries = {node.name: self._entry(node) for node in graph.nodes}
        self.overwriting = frozenset(_overwriting(graph))

    def root(self) -> Block:
        block = self._block("", "", list(self.graph.nodes))
        outputs, as_tuple = self.graph.outputs, self.graph.as_tuple
        return replace(block, inputs=(INPUT,), outputs=outputs, as_tuple=as_tuple)

    def _entry(self, node: Node) -> Any:
        return self.idioms.operators[type(node.op)](node.op, shape_read(node, self.shapes))

    def _block(self, path: str, label: str, nodes: list[Node]) -> Block:
        items = self._items(path, nodes)
        while crossing := _cycles(items, self.readers):
            whole = [key for key in crossing if len(items[key]) > 1]
            for key in whole:
                inner = items.pop(key)
                items |= self._items(_join(path, key), inner, key)
        steps: list[Leaf | Block] = []
        inside = {node.name for node in nodes}
        for key in _sorted(items, self.readers, self.order):
            found = items[key]
            if len(found) == 1 and not found[0].name.startswith(f"{_join(path, key)}."):
                steps.append(self._leaf(key, found[0], inside))
            else:
                steps.append(self._block(_join(path, key), key, found))
        inputs = dict.fromkeys(n for node in nodes for n in node.inputs if n not in inside)
        outputs = [
            node.name
            for node in nodes
            if node.name in self.graph.outputs
            or any(reader not in inside for reader in self.readers[node.name])
        ]
        merged = tuple(_chunks(steps, self.graph, self.shapes, self.idioms))
        # What nobody reads is computed all the same: its layers are there.
        return Block(path, label, merged, tuple(inputs), tuple(outputs or [nodes[-1].name]))

    def _items(self, path: str, nodes: list[Node], prefix: str = "") -> dict[str, list[Node]]:
        """Group nodes by what follows the path in their names, which begin the keys returned."""
        depth = path.count(".") + 1 if path else 0
        groups: dict[str, list[Node]] = defaultdict(list)
        for node in nodes:
            if node.name == path:
                if node.op.parameters():
                    raise GraphError(f"{path}: a node with parameters cannot be a scope as well")
                groups[path.rpartition(".")[2] + "_"].append(node)
            else:
                groups[node.name.split(".")[depth]].append(node)
        items: dict[str, list[Node]] = {}
        for key, found in groups.items():
            full, scope = f"{prefix}.{key}" if prefix else key, _join(path, key)
            alone = len(found) == 1 and found[0].name in (scope, path)
            if alone or self._is_block(scope, found):
                items[full] = found
            else:
                items |= self._items(scope, found, full)
        return items

    def _is_block(self, scope: str, nodes: list[Node]) -> bool:
        layers = [n for n in nodes if not isinstance(self.entries[n.name], Inline)]
        below = {node.name.removeprefix(f"{scope}.") for node in nodes}
        inside = {node.name for node in nodes}
        independent = (
            len(nodes) > 1
            and all(name.isdigit() for name in below)
            and not any(name in inside for node in nodes for name in node.inputs)
        )
        return bool(layers) and not independent

    def _leaf(self, label: str, node: Node, inside: set[str]) -> Leaf:
        entry, given = self.entries[node.name], None
        # What comes from outside is not the block's to write over: others may call it.
        overwrites = node.name in self.overwriting and node.inputs[-1] in inside
        if isinstance(entry, Layer) and entry.in_place:
            argument = Argument(entry.in_place, overwrites, entry.in_place, False)
            entry = replace(entry, arguments=(*entry.arguments, argument))
        elif isinstance(entry, Inline) and not overwrites:
            entry = replace(entry, in_place=None)
        elif not isinstance(entry, Layer | Inline):
            entry, given = Layer(self.idioms.placeholder), entry
        kind = type(node.op).__name__
        return Leaf(label, entry, node.inputs, (node.name,), kind, given)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _chunks(
    steps: Sequence[Leaf | Block], graph: Graph, shapes: Mapping[str, Shape], idioms: Idioms
) -> Iterator[Leaf | Block]:
    """Yield the steps with slices that cut a value into equal parts as one."""
    slices: dict[str, list[Leaf]] = defaultdict(list)
    for step in steps:
        if isinstance(step, Leaf) and isinstance(step.entry, Inline) and step.kind == "Slice":
            slices[step.inputs[0]].append(step)
    whole: dict[str, list[Leaf]] = {}
    for name, found in slices.items():
        size, rest = divmod(shapes[name][1], len(found))
        expected = [Slice(start=i * size, stop=(i + 1) * size) for i in range(len(found))]
        ops = [graph.by_name[leaf.outputs[0]].op for leaf in found]
        if rest == 0 and len(found) > 1 and ops == expected:
            whole[name] = found
    for step in steps:
        name = step.inputs[0] if isinstance(step, Leaf) and step.kind == "Slice" else ""
        if name not in whole or step not in whole[name]:
            yield step
        elif step is whole[name][0]:
            form = idioms.chunk.replace("{count}", str(len(whole[name])))
            outputs = tuple(leaf.outputs[0] for leaf in whole[name])
            label = step.label.rpartition(".")[0] or step.label
            yield Leaf(label, Inline(form), step.inputs, outputs, "Chunk")


def _edges(
    items: Mapping[str, Sequence[Node]], readers: Mapping[str, Sequence[str]]
) -> dict[str, set[str]]:
    home = {node.name: key for key, nodes in items.items() for node in nodes}
    return {
        key: {home[r] for node in nodes for r in readers[node.name] if r in home} - {key}
        for key, nodes in items.items()
    }


def _cycles(items: Mapping[str, Sequence[Node]], readers: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the items that depend on each other."""
    edges = _edges(items, readers)
    # What nothing depends on, or depends on nothing, is in no circle: what is left is.
    while True:
        read = set().union(*edges.values()) if edges else set()
        ends = {key for key, others in edges.items() if not others or key not in read}
        if not ends:
            return set(edges)
        edges = {key: others - ends for key, others in edges.items() if key not in ends}


def _sorted(
    items: Mapping[str, Sequence[Node]],
    readers: Mapping[str, Sequence[str]],
    order: Mapping[str, int],
) -> list[str]:
    """Return the items so that each comes after what it reads, and else as the nodes are."""
    edges = _edges(items, readers)
    waiting = dict.fromkeys(items, 0)
    for others in edges.values():
        for key in others:
            waiting[key] += 1
    first = {key: min(order[node.name] for node in nodes) for key, nodes in items.items()}
    done: list[str] = []
    while len(done) < len(items):
        key = min((k for k, n in waiting.items() if n == 0), key=first.__getitem__)
        del waiting[key]
        done.append(key)
        for other in edges[key]:
            waiting[other] -= 1
    return done


def _overwriting(graph: Graph) -> Iterator[str]:
    """Yield the nodes that may write over their last input, which saves them memory.

    Nothing else reads that input, it is no output, and the operator that made it neither hands out
    a view (Slice) nor keeps its result for the backward pass (Sigmoid). Of two images, what is the
    same of all has another shape than what it is added to.
    """
    readers: dict[str, int] = defaultdict(int)
    for name in (*graph.outputs, *(name for node in graph.nodes for name in node.inputs)):
        readers[name] += 1
    shapes = graph.shapes((2, *graph.input_shape[1:]))
    for node in graph.nodes:
        source = graph.by_name.get(node.inputs[-1]) if node.op.traits.overwrites else None
        if source is None or readers[source.name] != 1:
            continue
        if source.op.traits.result == "own" and shapes[source.name] == shapes[node.name]:
            yield node.name


def places(graph: Graph, idioms: Idioms) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return path → (names of the values it takes, of those it returns) of a network's modules."""
    root = cut(graph, idioms)
    found = {}
    for block in root.blocks():
        for step in block.steps:
            if isinstance(step, Block) or not isinstance(step.entry, Inline) or step.given:
                path = f"{block.path}.{step.label}".lstrip(".")
                found[path] = step.inputs, step.outputs
    return found
