"""PyTorch: eager and compiled, in both memory layouts."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np

from engines.base import Network, NotRunnableError, Run, Task, material
from engines.peers import torch_module, torch_name


def network(module: Any, threads: int, *, channels_last: bool = False) -> Network:
    """Return an eager module."""
    import torch

    torch.set_num_threads(threads)
    return _bound(module, module, channels_last)


def compiled(module: Any, threads: int, *, frozen: bool, autotune: bool = False) -> Network:
    """Return a module compiled for each shape.

    Args:
        module: what to compile.
        threads: how many it may use.
        frozen: as someone who tunes it does: weights are constants (folded and packed), channels
            last, and C++ calls the kernels; otherwise as ``torch.compile(module)`` does.
        autotune: also measure which kernels are the fastest.
    """
    if shutil.which("g++") is None:
        raise NotRunnableError("torch.compile needs g++, which is not there")
    import torch
    from torch._inductor import config

    torch.set_num_threads(threads)
    config.freezing = config.cpp_wrapper = frozen
    mode = "max-autotune-no-cudagraphs" if autotune else None
    # A shape each: a batch that stays open costs speed, and compiling anew does not. (Parts of a
    # batch of 32, as other run-times profit from, are at most a tenth faster, and compile longer.)
    forward = torch.compile(module, mode=mode, dynamic=False)
    return _bound(forward, module, channels_last=frozen)


def _bound(forward: Any, module: Any, channels_last: bool) -> Network:
    """Return the calls of a module; images, and with ``channels_last`` filters, are in a layout."""
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    module.eval()
    if channels_last:  # otherwise as its author made it: ours, optimized, has such filters anyhow
        module.to(memory_format=layout)

    def bind(x: np.ndarray) -> Run:
        images = torch.from_numpy(x).contiguous(memory_format=layout)

        def run() -> np.ndarray:
            with torch.inference_mode():
                return forward(images).numpy()

        return run

    return Network(sum(parameter.numel() for parameter in module.parameters()), bind)


def peer(task: Task) -> Any:
    """Return the peer's module with the weights of the material, if there is any."""
    import torch

    module = torch_module(task.model)
    if task.material is not None:
        module.load_state_dict(torch.load(material(task, "peer.pth"), weights_only=True))
    return module


def ours(task: Task, **options: Any) -> Any:
    """Return our module with the peer's weights, if there is material."""
    import zoo

    if task.material is not None:
        # The libraries' names are those of their presets.
        options["weights"] = material(task, "peer.pth")
        options["conventions"] = torch_name(task.model)[0]
    return zoo.create(task.model, backend="torch", **options)
