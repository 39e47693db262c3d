"""The networks of other libraries that stand for ours, under their names."""

from __future__ import annotations

import re
from typing import Any

from engines.base import NoPeerError

_V1_WIDTHS = {"1.0": "w1", "0.5": "wd2"}


def _v1(model: str) -> tuple[str, str]:
    """Return (width, groups) of a ShuffleNet V1, as in ``("1.0", "3")``."""
    found = re.fullmatch(r"shufflenet_v1_(\d\.\d)x_g(\d)", model)
    if found is None:
        raise NoPeerError(f"other libraries have no {model}")
    return found[1], found[2]


def _v2(model: str) -> str | None:
    """Return the width of a ShuffleNet V2, as in ``"1_0"``; None if it is none."""
    found = re.fullmatch(r"shufflenet_v2_(\d)\.(\d)x", model)
    return found and f"{found[1]}_{found[2]}"


def torch_name(model: str) -> tuple[str, str]:
    """Return (library, its name for the network) of the peer in PyTorch."""
    if width := _v2(model):
        return "torchvision", f"shufflenet_v2_x{width}"
    width, groups = _v1(model)
    if width not in _V1_WIDTHS:
        raise NoPeerError(f"pytorchcv has no {model}")
    return "pytorchcv", f"shufflenet_g{groups}_{_V1_WIDTHS[width]}"


def torch_module(model: str) -> Any:
    """Build the peer's module, with the weights that it starts with."""
    library, name = torch_name(model)
    if library == "torchvision":
        from torchvision import models as networks
    else:
        from pytorchcv.models import shufflenet as networks
    if not hasattr(networks, name):
        raise NoPeerError(f"{library} has no {name}")
    return getattr(networks, name)()


def mindcv_name(model: str) -> str:
    """Return MindCV's name for the network."""
    if width := _v2(model):
        return f"shufflenet_v2_x{width}"
    width, groups = _v1(model)
    return f"shufflenet_v1_g{groups}_{width.replace('.', '')}"


def mindcv_cell(model: str) -> Any:
    """Build MindCV's cell, with the weights that it starts with."""
    from mindcv import create_model, is_model

    name = mindcv_name(model)
    if not is_model(name):
        raise NoPeerError(f"MindCV has no {name}")
    return create_model(name)
