"""Which networks are tried of each code base, and what makes them."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

SIZES = (64, 96, 128, 224)
"""Of the images: the first that a network admits."""
LARGEST = 90e6
"""Parameters of a network that is proven at more levels than the first."""


@dataclass(frozen=True)
class Network:
    """One network of a code base.

    Attributes:
        code_base: where it comes from.
        name: what it is called there.
        module: the module of the code base that it is of.
        make: returns it, live, with random weights; or the file that it was written to.
        parameters: how many it has, where that is told before it is made.
        sizes: of the images, the first that works is taken.
        runs: returns what its own code makes of images, in evaluation mode.
    """

    code_base: str
    name: str
    module: str
    make: Callable[[], Any]
    parameters: int
    runs: Callable[[Any, np.ndarray], np.ndarray]
    sizes: tuple[int, ...] = field(default=SIZES)


def torchvision_networks() -> Iterator[Network]:
    """Yield all of torchvision's classifiers."""
    from torchvision import models

    for name in models.list_models(module=models):
        weights = next(iter(models.get_model_weights(name)))
        make = getattr(models, name)
        nominal = weights.transforms().crop_size[0]
        # Of those whose windows and positions are made for one size.
        fixed = {"vit": 224, "max": nominal, "swi": nominal}.get(name[:3])
        yield Network(
            "torchvision", name, make.__module__.rpartition(".")[2],
            lambda make=make: randomized(make(weights=None)),  # type: ignore[misc]
            weights.meta["num_params"], run_torch,
            (fixed,) if fixed else (*SIZES[:3], nominal),
        )  # fmt: skip


def timm_networks(only: str = "*") -> Iterator[Network]:
    """Yield of each module of timm the alphabetically first network that is not too large.

    Args:
        only: a shell-style pattern: modules without a network that fits are not looked at.
    """
    import timm

    for module in timm.list_modules():
        names = sorted(timm.list_models(module=module))
        if not fnmatch.filter(names, only):
            continue
        for name in names:
            count = _parameters(name)
            if count is None or count > LARGEST:
                continue
            own = timm.get_pretrained_cfg(name)
            nominal = (own.input_size if own else (3, 224, 224))[1]
            fixed = own is not None and own.fixed_input_size
            sizes = (nominal,) if fixed else tuple(dict.fromkeys((*SIZES, nominal)))
            yield Network("timm", name, module, partial(_timm, name), count, run_torch, sizes)
            break


def _timm(name: str) -> Any:
    """Return one of timm's networks, randomized."""
    import timm

    return randomized(timm.create_model(name))


def _parameters(name: str) -> int | None:
    """Return how many one of timm's networks has; None where it needs packages that we lack."""
    import timm
    import torch

    for device in ("meta", "cpu"):  # some look at values of theirs
        try:
            with torch.device(device):
                return sum(p.numel() for p in timm.create_model(name).parameters())
        except Exception:  # whatever their code raises
            continue
    return None


def mindcv_networks() -> Iterator[Network]:
    """Yield a network of each module of MindCV that has one that is not too large."""
    from adopted.mindcv import makers, run

    for name, (module, make, count, sizes) in makers().items():
        yield Network("MindCV", name, module, make, count, run, sizes)


def onnx_networks(folder: Path) -> Iterator[Network]:
    """Yield torchvision's networks as both of PyTorch's exporters write them to files."""
    import torch

    chosen = (n for n in torchvision_networks() if n.parameters <= LARGEST)
    for network, dynamo in itertools.product(chosen, (True, False)):

        def make(network: Network = network, dynamo: bool = dynamo) -> Path:
            module = network.make().eval()
            path = folder / f"{network.name}.onnx"
            size = network.sizes[0] if len(network.sizes) == 1 else 96
            how: dict[str, Any] = (
                {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim.DYNAMIC},)}
                if dynamo
                else {"dynamo": False, "input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}}
            )
            torch.onnx.export(
                module, (torch.randn(2, 3, size, size),), path, external_data=False,
                verbose=False, **how,
            )  # fmt: skip
            return path

        kind = "torch.export" if dynamo else "TorchScript"
        size = network.sizes if len(network.sizes) == 1 else (96,)
        yield Network(
            f"ONNX ({kind})", network.name, network.module, make, network.parameters,
            run_onnx, size,
        )  # fmt: skip


def run_torch(module: Any, images: np.ndarray) -> np.ndarray:
    """Return what a PyTorch module makes of images."""
    import torch

    with torch.no_grad():
        out = module.eval()(torch.from_numpy(images))
    return np.asarray(out.numpy())


def run_onnx(path: Path, images: np.ndarray) -> np.ndarray:
    """Return what ONNX Runtime makes of images with a file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (out, *_) = session.run(None, {session.get_inputs()[0].name: images})
    return np.asarray(out)


def randomized(module: Any, seed: int = 0) -> Any:
    """Return a module with statistics, biases and scales that would show if they were left out."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if not tensor.is_floating_point() or tensor.numel() < 2:
                continue
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=draw)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(0, 0.3, generator=draw)
            elif tensor.dim() == 1 or bool((tensor == tensor.flatten()[0]).all()):
                tensor.uniform_(0.5, 1.5, generator=draw)  # scales; class tokens that start at 0
    return module
