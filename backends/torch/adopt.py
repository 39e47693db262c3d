"""The way in for PyTorch modules: `torch.export`, whose ATen calls become a program.

The module is exported in evaluation mode with a batch of two that stays open, not decomposed:
parameters keep their names, and each call knows the module that it was made in. What training does
beside (dropout, batch norm's statistics) is said by our operators.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.export import Dim, ExportedProgram, export

from backends.torch.adopt_module import own_gradients, require_plain
from backends.torch.adopt_reader import Reader
from backends.torch.live import unwrap
from backends.torch.original import Original
from zoo.adoption.program import Program, drawn
from zoo.errors import AdoptionError


def program(source: nn.Module, images: np.ndarray | None) -> Program:
    """Return what a module computes.

    Args:
        source: it; left as it was found.
        images: float32 (N, C, H, W), N of at least 2, or None.

    Raises:
        AdoptionError: `torch.export` cannot take it, or it computes with what is no float32 image
            batch.
    """
    require_plain(source)
    images = drawn() if images is None else images
    example = torch.from_numpy(images)
    try:
        with _undisturbed(source), own_gradients():
            exported = export(source, (example,), dynamic_shapes=({0: Dim.AUTO},), strict=False)
    except AdoptionError:
        raise
    except Exception as error:  # whatever a user's forward raises, or torch.export refuses
        raise AdoptionError(
            f"{type(source).__name__}: torch.export cannot take it: {_first_line(error)}"
        ) from error
    _inline(exported)
    return Reader(source, exported, images.shape).program()


def _inline(exported: ExportedProgram) -> None:
    """Put what is done with autocast switched off where it is called."""
    graph = exported.graph
    for node in list(graph.nodes):
        if getattr(node.target, "__name__", "") != "wrap_with_autocast" or node.args[2]:
            continue
        body = getattr(exported.graph_module, node.args[4].target).graph
        given = zip((n for n in body.nodes if n.op == "placeholder"), node.args[5:], strict=True)
        with graph.inserting_before(node):
            made: Any = graph.graph_copy(body, dict(given))
        for part in list(node.users):
            part.replace_all_uses_with(made[part.args[1]])
            graph.erase_node(part)
        graph.erase_node(node)


def inner(source: nn.Module) -> nn.Module:
    """Return the module in what wraps one: DataParallel, torch.compile, AveragedModel."""
    found: nn.Module = unwrap(source)
    return found


def original(source: nn.Module, theirs: Mapping[str, str]) -> Any:
    """Return what runs a module as if it were a backend; see `Original`."""
    return Original(source, theirs)


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


@torch.library.custom_op("parity_zoo::stochastic_depth", mutates_args=())
def _stochastic_depth(x: torch.Tensor, p: float) -> torch.Tensor:
    """Mark where a branch is dropped in training: nothing of it is left in what is recorded."""
    return x.clone()


@_stochastic_depth.register_fake
def _(x: torch.Tensor, p: float) -> torch.Tensor:
    return torch.empty_like(x)


def _marked(module: Any) -> float:
    """Return with which probability a module drops whole images in training; 0 for all others."""
    kind = type(module).__name__
    if kind == "StochasticDepth" and module.mode == "row":  # torchvision
        return float(module.p)
    if kind == "DropPath":  # timm, and many who took it from there
        return float(getattr(module, "drop_prob", 0.0) or 0.0)
    return 0.0


@contextmanager
def _undisturbed(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode for a while, and leave all as it was."""
    modes = {part: part.training for part in module.modules()}
    marked: dict[nn.Module, Any] = {part: p for part in modes if (p := _marked(part))}
    module.eval()
    for part, p in marked.items():
        vars(part)["forward"] = functools.partial(_stochastic_depth, p=p)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for part in marked:
            del vars(part)["forward"]
        for part, mode in modes.items():
            part.training = mode
