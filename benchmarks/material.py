"""What the engines of deploy.py are built from and checked with, written by the peers' own code.

    python benchmarks/material.py peer shufflenet_v2_1.0x FOLDER

Of torchvision's or pytorchcv's network it writes ``peer.pth`` (its state), ``peer.onnx`` (its
export by PyTorch), ``peer.json`` (what it is) and ``peer.npz`` (images, and its logits computed in
float64); ``mindcv`` instead of ``peer`` writes ``mindcv.ckpt`` and ``mindcv.npz`` (in float32:
MindSpore's convolutions have no other on a CPU). Where a library has no such network, nothing.

The networks get random weights and the batch norms random scales and the statistics of random
images: with those that they start with, folding a batch norm would change nothing, activations
would shrink from layer to layer, and arithmetic on the smallest floats is slow. Shifts are around
one, so that most values pass the ReLUs: around zero these networks amplify rounding errors by a
tenth a unit, and what float32 loses would hide a small mistake.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from engines.base import BATCHES, IMAGE_SIZE, NoPeerError
from engines.peers import mindcv_cell, torch_module, torch_name

SEED = 0
CALIBRATION = 8
"""Images that the statistics of the batch norms come from."""
MINDCV_STEPS = 20
"""Passes in training mode, after which 0.9 to this power of the initial statistics is left."""
PART = 8
"""Images at a time in float64."""


def images(count: int, seed: int) -> np.ndarray:
    """Return random images."""
    random = np.random.default_rng(seed)
    return random.standard_normal((count, 3, *IMAGE_SIZE), dtype=np.float32)


def peer(model: str, folder: Path) -> None:
    """Write the material of the peer in PyTorch."""
    import torch
    from torch import nn

    library, name = torch_name(model)
    torch.manual_seed(SEED)
    module = torch_module(model)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, 0.5, 1.5)
            layer.momentum = None  # the plain mean of the passes
            layer.reset_running_stats()
    with torch.inference_mode():
        module.train()(torch.from_numpy(images(CALIBRATION, SEED + 1)))
    module.eval()
    torch.save(module.state_dict(), folder / "peer.pth")
    about = {
        "library": library,
        "name": name,
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
    }
    (folder / "peer.json").write_text(json.dumps(about))
    _export(module, folder / "peer.onnx")

    x = images(max(BATCHES), SEED)
    module = module.double()
    with torch.inference_mode():
        parts = [module(part.double()) for part in torch.from_numpy(x).split(PART)]
    np.savez(folder / "peer.npz", images=x, logits=torch.cat(parts).numpy())


def _export(module: Any, path: Path) -> None:
    """Export as PyTorch recommends it, for any batch."""
    import torch

    example = torch.from_numpy(images(2, SEED))
    batch = torch.export.Dim("batch", min=1, max=1024)
    program = torch.onnx.export(
        module, (example,), dynamo=True, dynamic_shapes=({0: batch},), verbose=False
    )
    program.save(path)


def mindcv(model: str, folder: Path) -> None:
    """Write the material of MindCV."""
    import mindspore as ms
    from mindspore import Tensor, nn

    import backends.mindspore  # noqa: F401 - limits oneDNN, without which this takes minutes

    ms.set_seed(SEED)
    cell = mindcv_cell(model)
    random = np.random.default_rng(SEED)
    for layer in cell.cells_and_names():
        if isinstance(layer[1], nn.BatchNorm2d):
            shape = layer[1].gamma.shape
            layer[1].gamma.set_data(Tensor(random.uniform(0.5, 1.5, shape).astype(np.float32)))
            layer[1].beta.set_data(Tensor(random.uniform(0.5, 1.5, shape).astype(np.float32)))
    calibration = Tensor(images(CALIBRATION, SEED + 1))
    cell.set_train(True)
    for _ in range(MINDCV_STEPS):
        cell(calibration).asnumpy()
    cell.set_train(False)
    ms.save_checkpoint(cell, str(folder / "mindcv.ckpt"))
    x = images(max(BATCHES), SEED)
    parts = [cell(Tensor(part)).asnumpy() for part in np.split(x, len(x) // PART)]
    np.savez(folder / "mindcv.npz", images=x, logits=np.concatenate(parts))


def main(what: str, model: str, folder: Path) -> None:
    """Write the material, or nothing where the library has no such network."""
    try:
        {"peer": peer, "mindcv": mindcv}[what](model, folder)
    except (NoPeerError, ImportError) as error:
        print(error, file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
