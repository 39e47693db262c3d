"""A zoo's network in whatever PyTorch has been made to wrap around it or put into it."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.optim.swa_utils import AveragedModel

from backends.torch.model import build
from zoo.arch import Graph, Node
from zoo.blocks import called
from zoo.blocks.live import Live, Made

WRAPPERS = ("_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")
"""Where torch.compile, activation checkpointing and the first FSDP keep the module itself."""

OUTER = nn.DataParallel | nn.parallel.DistributedDataParallel | AveragedModel

SAME = ("FrozenBatchNorm2d", "SyncBatchNorm")
"""Of PyTorch and torchvision: in evaluation mode, they are a BatchNorm2d of the same arrays."""


class TorchLive(Live):
    """See `Live`."""

    def networks(self, module: nn.Module) -> Iterator[tuple[str, Any]]:
        for path, inner in module.named_modules():
            if isinstance(inner.__dict__.get("zoo_graph"), Graph):
                yield path, inner

    def child(self, module: nn.Module, name: str) -> Any:
        return unwrap(module._modules.get(name))

    def made(self, graph: Graph) -> Mapping[str, Made]:
        return _made(graph, called(graph))

    def tell(self, layer: nn.Module) -> Made:
        kind = type(layer)
        if parametrize.is_parametrized(layer) and kind.__name__.startswith("Parametrized"):
            kind = kind.__mro__[1]
        told = kind.extra_repr(layer).replace("inplace=True", "").removesuffix(", ")
        return Made(kind, told)

    def computes_as(self, found: type, expected: type) -> bool:
        if expected is nn.BatchNorm2d and found.__name__ in SAME:
            return True
        own: Any = getattr(found, "forward", None)
        return own is getattr(expected, "forward", None)

    def shape(self, layer: nn.Module, role: str, node: Node) -> tuple[int, ...] | None:
        held = layer._parameters | layer._buffers
        if role not in held:
            return None  # computed from others, see `tensors`
        return tuple(getattr(held[role], "shape", ()))


LIVE = TorchLive()


def unwrap(module: Any) -> Any:
    """Return the module inside what wraps a module and computes the same."""
    while isinstance(module, nn.Module):
        held = module._modules
        inner = next((held[name] for name in WRAPPERS if name in held), None)
        inner = module.module if isinstance(module, OUTER) else inner
        if inner is None:
            return module
        module = inner
    return module


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Have a module in evaluation mode, and each of its own in its mode of before afterwards."""
    modes = {inner: inner.training for inner in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for inner, mode in modes.items():
            inner.training = mode


@functools.lru_cache(maxsize=64)
def _made(graph: Graph, named: str) -> dict[str, Made]:
    with torch.device("meta"):  # nothing is allocated
        twin = build(graph)
    return {path: LIVE.tell(module) for path, module in twin.named_modules() if path}
