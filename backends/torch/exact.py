"""What a GPU is asked for, so that it computes what other processors do, and the same twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Let float32 be float32 on a GPU, and give the same bits each time, inside the body.

    PyTorch lets convolutions round to TF32, 10 bits, and sum in whatever order is fastest: a run
    that goes on would be another run, and no step that of another framework. What has no kernel of
    the kind is warned about by PyTorch. Recipes for speed say ``precision="bfloat16"``.
    """
    if device.type != "cuda":
        yield
        return
    # cuBLAS reads it once, when it is used first.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    switches: tuple[tuple[Any, str, bool], ...] = (
        (torch.backends.cudnn, "allow_tf32", False),
        (torch.backends.cuda.matmul, "allow_tf32", False),
        (torch.backends.cudnn, "benchmark", False),
        (torch.backends.cudnn, "deterministic", True),
    )
    before = [getattr(where, name) for where, name, _ in switches]
    enabled = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        for where, name, value in switches:
            setattr(where, name, value)
        yield
    finally:
        for (where, name, _), value in zip(switches, before, strict=True):
            setattr(where, name, value)
        torch.use_deterministic_algorithms(enabled, warn_only=warned)
