"""Networks of other code bases, live: made, fed with files, run and saved by their own code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adopted import mindcv
from adopted.networks import run_torch


@dataclass(frozen=True)
class CodeBase:
    """What is done with a code base's networks.

    Attributes:
        names: returns those of all of them.
        make: returns one by name, in evaluation mode, with weights as they come.
        suffix: of its files.
        read: loads a file into one, strictly.
        save: writes one's weights, as its users do.
        logits: returns what one makes of images.
        backend: ours for its framework.
    """

    names: Callable[[], Iterable[str]]
    make: Callable[[str], Any]
    suffix: str
    read: Callable[[Any, Path], None]
    save: Callable[[Any, Path], None]
    logits: Callable[[Any, np.ndarray], np.ndarray]
    backend: str = "torch"


def _torchvision_names() -> list[str]:
    from torchvision import models

    return models.list_models(module=models)


def _torchvision(name: str) -> Any:
    from torchvision import models

    return models.get_model(name, weights=None).eval()


def _timm_names() -> list[str]:
    import timm

    return timm.list_models()


def _timm(name: str) -> Any:
    import timm

    return timm.create_model(name, pretrained=False).eval()


def _mindcv_names() -> list[str]:
    import backends

    backends.load("mindspore")  # before an operator runs: its convolutions are the fast ones
    import mindcv

    return mindcv.list_models()


def _mindcv(name: str) -> Any:
    import mindcv

    return mindcv.create_model(name).set_train(False)


def _read_torch(module: Any, path: Path) -> None:
    import torch

    state, held = module.state_dict(), torch.load(path, weights_only=True)
    counters = {name for name in state if name.endswith("num_batches_tracked")}
    if set(held) | counters != set(state):
        raise ValueError(f"{path.name}: not strictly {sorted(set(held) ^ (set(state) - counters))}")
    state.update(held)  # so that the version of the code stays with it
    module.load_state_dict(state, strict=True)


def _save_torch(module: Any, path: Path) -> None:
    import torch

    torch.save(module.state_dict(), path)


def _read_mindspore(cell: Any, path: Path) -> None:
    import mindspore

    held = mindspore.load_checkpoint(str(path))
    left, missing = mindspore.load_param_into_net(cell, held, strict_load=True)
    if left or missing:
        raise ValueError(f"{path.name}: not loaded {left}, missing {missing}")


def _save_mindspore(cell: Any, path: Path) -> None:
    import mindspore

    mindspore.save_checkpoint(cell, str(path))


_TORCH = (".pth", _read_torch, _save_torch, run_torch)
CODE_BASES = {
    "torchvision": CodeBase(_torchvision_names, _torchvision, *_TORCH),
    "timm": CodeBase(_timm_names, _timm, *_TORCH),
    "mindcv": CodeBase(
        _mindcv_names, _mindcv, ".ckpt", _read_mindspore, _save_mindspore, mindcv.run, "mindspore"
    ),
}
