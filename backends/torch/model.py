"""A graph as a PyTorch module of nested modules, whose code is generated (`zoo.blocks`).

Whatever takes other modules takes it: hooks, replaced layers, ``torch.compile``, ``torch.export``,
``torch.jit``, ``torch.fx``, DDP, deepcopy and pickling.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

import torch
from torch import nn

from backends.torch.head import get_classifier, replace_classifier
from backends.torch.operators import IDIOMS
from backends.torch.recompute import __prepare_scriptable__, set_grad_checkpointing
from zoo.arch import Graph
from zoo.arch.described import described
from zoo.blocks import Source, class_of, counterpart, source_of, write


def build(graph: Graph) -> nn.Module:
    """Return the native module of a graph, its parameters not yet filled.

    The random state of PyTorch is left as it is. The module returns a tensor, or a tuple of them
    where the graph has several outputs. ``zoo_graph`` and ``code`` tell what it is, and so do the
    attributes of `described`.
    """
    source = write(graph, IDIOMS)
    with torch.random.fork_rng(devices=[]):
        module: Any = _class_of(source)()
    for path, layer in source.given:
        parent, _, name = path.rpartition(".")
        setattr(module.get_submodule(parent), name, layer)
    tell(module, graph)
    made: nn.Module = module
    return made


def class_of_graph(graph: Graph) -> type[nn.Module]:
    """Return the class of a graph's module."""
    return _class_of(write(graph, IDIOMS))


def _class_of(source: Source) -> type[nn.Module]:
    return _checked(class_of(source.text, source.root, _picklable))


def tell(module: nn.Module, graph: Graph) -> None:
    """Give a module the graph that it is of, and what that tells."""
    for name, value in {"zoo_graph": graph, **described(graph)}.items():
        setattr(module, name, value)


def reset_classifier(self: Any, num_classes: int, seed: int = 0) -> None:
    """Put a new classifier in the place of the old one, or none for 0 classes.

    It starts from the weights that `zoo.create` gives it for the seed, on the device and in the
    dtype of the old one. All other layers, their hooks and what trains stay as they are.

    Raises:
        SpecError: there cannot be so many classes.
        ZooError: the module's class is no longer the one that it was made with.
    """
    graph = replace_classifier(self, num_classes, seed)
    # Each text has classes of its own, also for the blocks that are alike.
    kind, before = class_of_graph(graph), type(self).__module__
    for module in self.modules():
        if type(module).__module__ == before:
            module.__class__ = counterpart(type(module), kind)
    tell(self, graph)


METHODS = (get_classifier, reset_classifier, set_grad_checkpointing, __prepare_scriptable__)
"""What the class of a whole network has beside those that are generated."""


def _checked(kind: type[nn.Module]) -> type[nn.Module]:
    """Let a network's class check its input, outside of what compilers and tracers read."""
    if "admitted" in vars(kind):
        return kind
    # TorchDynamo counts the graphs of a code object: each class has one of its own.
    call = FunctionType(_call.__code__.replace(), globals(), "__call__")
    code = property(lambda self: source_of(type(self)))
    found: dict[str, Any] = {"__call__": call, "code": code, "__jit_unused_properties__": ["code"]}
    if hasattr(kind, "forward_features"):
        found |= {method.__name__: method for method in METHODS}
    for name, value in (*found.items(), ("admitted", set())):
        setattr(kind, name, value)
    return kind


def _call(self: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    recorded = torch.compiler.is_compiling() or torch.jit.is_tracing()
    if type(x) is torch.Tensor and not recorded and x.shape[1:] not in self.admitted:
        self.zoo_graph.check_input(tuple(x.shape))
        self.admitted.add(x.shape[1:])
    return nn.Module.__call__(self, x, *args, **kwargs)


def _picklable(kind: type) -> None:
    """Let instances of a generated class take its text along: another process does not have it."""

    def __reduce_ex__(self: Any, protocol: int) -> tuple[Any, ...]:  # noqa: N807
        plain: Any = object.__reduce_ex__(self, protocol)
        return (_remake, (source_of(kind), kind.__name__, "admitted" in vars(kind)), *plain[2:])

    setattr(kind, "__reduce_ex__", __reduce_ex__)  # noqa: B010


def _remake(text: str, name: str, whole: bool) -> nn.Module:
    kind = class_of(text, name, _picklable)
    made: nn.Module = kind.__new__(_checked(kind) if whole else kind)
    return made


def freeze(module: nn.Module) -> nn.Module:
    """Return the module for inference: evaluation mode, no gradients, channels last.

    With filters whose channels are last, convolutions make such values too, and oneDNN's kernels
    for that layout are the fast ones.
    """
    return in_layout(module.eval().requires_grad_(False), torch.channels_last)


def in_layout(module: nn.Module, layout: torch.memory_format) -> nn.Module:
    """Return the module with its filters in a layout.

    ``Module.to`` would ask it of arrays of five axes as well, which have no such layout.
    """
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return module


def is_model(candidate: Any) -> bool:
    """Return whether ``candidate`` is a PyTorch module."""
    return isinstance(candidate, nn.Module)
