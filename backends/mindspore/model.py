"""A graph as one native Cell with code of its own, which graph mode and PyNative both run."""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from mindspore import Tensor, nn

from backends.mindspore.operators import CELLS
from zoo.arch import INPUT, Graph

SUFFIXES = {
    "BatchNorm2d": {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }
}
"""Operator → canonical role → MindSpore's name for it, where it has another."""


class Scope(nn.Cell):
    """A level of the dotted names; it only holds the Cells below."""


class Network(nn.Cell):
    """The Cell of a graph; each graph has a subclass of its own, with straight-line code.

    Its parameters carry the graph's paths and MindSpore's own names for the roles
    (``stage2.0.expand.bn.gamma``). A call returns a Tensor, or a tuple of them where the graph has
    several outputs.

    Attributes:
        graph: what it was built from.
        code: the Python source of ``construct``.
    """

    code: ClassVar[str]

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        shapes = graph.shapes()
        cells = []
        for node in graph.nodes:
            cell = CELLS[type(node.op)](node.op, shapes[node.inputs[0]])
            self._insert(node.name, cell)
            cells.append(cell)
        for path, parameter in self.parameters_and_names():
            parameter.name = path
        self.nodes = tuple(cells)
        self._admitted: set[tuple[int, ...]] = set()
        # A new Cell is in evaluation mode, but is compiled under the name of training mode: without
        # this, the first set_train(True) after a call would go on with the evaluation graph.
        self.set_train(False)

    def _insert(self, name: str, cell: nn.Cell) -> None:
        *path, leaf = name.split(".")
        parent: Any = self
        for part in path:
            if part not in parent.name_cells():
                parent.insert_child_to_cell(part, Scope())
            parent = parent.name_cells()[part]
        # A name may be a node and a scope: a concat stands where its convolutions are below.
        scope = parent.name_cells().get(leaf)
        for below, inner in scope.name_cells().items() if scope else ():
            cell.insert_child_to_cell(below, inner)
        parent.insert_child_to_cell(leaf, cell)

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Run the network.

        Raises:
            InputError: the input has the wrong rank, channels or size.
        """
        # Checked before graph mode compiles, whose own message would speak of an inner operator.
        size = tuple(x.shape[1:])
        if size not in self._admitted:
            self.graph.check_input(tuple(x.shape))
            self._admitted.add(size)
        return super().__call__(x, *args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by graph and arrays: the class itself exists in this process only."""
        arrays = {p.name: p.asnumpy().copy() for p in self.get_parameters()}
        return _restore, (self.graph, arrays, self.training)


def _restore(graph: Graph, arrays: dict[str, Any], training: bool) -> Network:
    network = build(graph)
    for parameter in network.get_parameters():
        parameter.set_data(Tensor(arrays[parameter.name]))
    network.set_train(training)
    return network


def source(graph: Graph) -> str:
    """Return the code of ``construct``: a line a node.

    Straight-line, because graph mode unrolls loops by recursion and its stack ends at 1,000 calls;
    on as few variables as values are alive at once, so that PyNative lets go of the others.
    """
    last = graph.last_reader()
    held = {INPUT: "x"}
    free: list[str] = []
    lines = ["def construct(self, x):"]
    for i, node in enumerate(graph.nodes):
        arguments = ", ".join(held[name] for name in node.inputs)
        done = [name for name in held if last.get(name, -1) <= i]
        free.extend(held.pop(name) for name in done)
        held[node.name] = free.pop() if free else f"x{len(held)}"
        lines.append(f"    {held[node.name]} = self.nodes[{i}]({arguments})  # {node.name}")
    outputs = [held[name] for name in graph.outputs]
    if len(outputs) == 1:
        lines.append(f"    return {outputs[0]}")
    else:  # MindSpore's parser complains of lines of thousands of names
        rows = [", ".join(outputs[i : i + 10]) for i in range(0, len(outputs), 10)]
        lines += ["    return (", *(f"        {row}," for row in rows), "    )"]
    return "\n".join(lines) + "\n"


@functools.cache
def _directory() -> Path:
    """Return a folder for generated code that goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="zoo-mindspore-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@functools.cache
def _network_class(graph: Graph) -> type[Network]:
    """Return the subclass for a graph; its source is a file, as MindSpore's parser wants it."""
    code = source(graph)
    file = _directory() / f"network_{hashlib.sha256(code.encode()).hexdigest()[:16]}.py"
    file.write_text(code)
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(compile(code, str(file), "exec"), namespace)
    members = {"construct": namespace["construct"], "code": code, "__module__": __name__}
    return type("Network", (Network,), members)


def build(graph: Graph) -> Network:
    """Return the native Cell of a graph, its parameters not yet filled."""
    return _network_class(graph)(graph)


def freeze(network: Network) -> Network:
    """Return the network for inference: in evaluation mode, with parameters that do not train."""
    for parameter in network.get_parameters():
        parameter.requires_grad = False
    network.set_train(False)
    return network


def is_model(candidate: Any) -> bool:
    """Return whether ``candidate`` is a MindSpore Cell."""
    return isinstance(candidate, nn.Cell)
