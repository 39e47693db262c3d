"""A graph as a ``torch.fx.GraphModule``: readable ``.code``, native layers under dotted names.

``torch.compile``, ``torch.export``, DDP, deepcopy and pickling take it as any other module.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from backends.torch.operators import FUNCTIONS, IN_PLACE, MODULES
from zoo.arch import INPUT, Graph


class CheckedInput(nn.Module):
    """The network's input: passes it on if the network admits it, and tells what the network is.

    It carries the graph because a submodule is what survives deepcopy and pickling of a
    ``GraphModule``; attributes of the outer module do not.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.in_channels = graph.in_channels
        self._admitted: set[tuple[int, ...]] = set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            self.graph.check_input(tuple(x.shape))
        # Tracing would unroll the walk over the graph, and a compiler knows the shapes by itself.
        if not torch.compiler.is_compiling():
            size = tuple(x.shape[2:])
            if size not in self._admitted:
                self.graph.check_input(tuple(x.shape))
                self._admitted.add(size)
        return x


def build(graph: Graph) -> fx.GraphModule:
    """Return the native module of a graph, with memory but no values in its parameters.

    The random state of PyTorch is left as it is. The module returns a tensor, or a tuple of them
    where the graph has several outputs.
    """
    module = fx.GraphModule(nn.Module(), fx.Graph(), class_name="ZooModule")
    shapes = graph.shapes()
    code = fx.Graph()
    module.add_submodule(INPUT, CheckedInput(graph))
    values: dict[str, fx.Node] = {
        INPUT: code.create_node("call_module", INPUT, (code.placeholder("x"),), name=INPUT)
    }
    overwrites = _overwrites(graph)
    for node in graph.nodes:
        inputs = tuple(values[name] for name in node.inputs)
        label = node.name.replace(".", "_")
        if type(node.op) in FUNCTIONS:
            target, args = FUNCTIONS[type(node.op)](node.op, inputs)
            if node.name in overwrites:
                target, args = IN_PLACE[target], args[::-1]
            values[node.name] = code.create_node("call_function", target, args, name=label)
            continue
        layer: Any = MODULES[type(node.op)](node.op, shapes[node.inputs[0]])
        if node.name in overwrites:
            layer.inplace = True
        module.add_submodule(node.name, layer)
        values[node.name] = code.create_node("call_module", node.name, inputs, name=label)
    outputs = tuple(values[name] for name in graph.outputs)
    code.output(outputs[0] if len(outputs) == 1 else outputs)
    module.graph = code
    return module


def _overwrites(graph: Graph) -> set[str]:
    """Return the nodes that may write over their last input, which saves them memory.

    Nothing else reads that input, it is no output, and the operator that made it neither hands out
    a view (Slice) nor keeps its result for the backward pass (Sigmoid).
    """
    readers: dict[str, int] = {}
    for name in (*graph.outputs, *(name for node in graph.nodes for name in node.inputs)):
        readers[name] = readers.get(name, 0) + 1

    def may_be_lost(name: str) -> bool:
        source = graph.by_name.get(name)
        return source is not None and readers[name] == 1 and source.op.traits.result == "own"

    return {n.name for n in graph.nodes if n.op.traits.overwrites and may_be_lost(n.inputs[-1])}


def freeze(module: nn.Module) -> nn.Module:
    """Return the module for inference: evaluation mode, no gradients, channels last.

    With filters whose channels are last, convolutions make such values too, and oneDNN's kernels
    for that layout are the fast ones.
    """
    module.eval().requires_grad_(False)
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


def is_model(candidate: Any) -> bool:
    """Return whether ``candidate`` is a PyTorch module."""
    return isinstance(candidate, nn.Module)
