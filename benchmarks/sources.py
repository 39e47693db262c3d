"""Sources of adopted networks: alone, strict, bit for bit what the zoo runs, and clean.

    python benchmarks/sources.py                       # 22 networks of 16 families
    python benchmarks/sources.py --only resnet50

Each is adopted from torchvision with drawn weights and statistics and written as PyTorch and as
MindSpore, under torchvision's names also where it is one of ours. A process without the zoo imports
the file, loads torchvision's own state (MindSpore: a checkpoint under its names) strictly and runs
it on images of 64×64, or of the smallest size that is admitted. ``missing`` tells the first array
of torchvision's state that the source has none for (branches of training alone, bare parameters):
a checkpoint of ours is loaded then. Writes ``benchmarks/results/sources.json`` a network at a time.
"""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from adopted.networks import randomized
from recording import RESULTS, console, machine, save

OUT = RESULTS / "sources.json"
FAMILIES = {
    "ResNet": ("resnet18", "resnet50"), "ResNeXt": ("resnext50_32x4d",),
    "Wide ResNet": ("wide_resnet50_2",), "DenseNet": ("densenet121", "densenet169"),
    "VGG": ("vgg11_bn", "vgg16_bn"), "MobileNet V2": ("mobilenet_v2",),
    "MobileNet V3": ("mobilenet_v3_small", "mobilenet_v3_large"),
    "MNASNet": ("mnasnet0_5", "mnasnet1_0"),
    "ShuffleNet V2": ("shufflenet_v2_x0_5", "shufflenet_v2_x1_0"),
    "RegNet": ("regnet_x_400mf", "regnet_y_400mf"), "EfficientNet": ("efficientnet_b0",),
    "GoogLeNet": ("googlenet",), "Inception": ("inception_v3",), "AlexNet": ("alexnet",),
    "SqueezeNet": ("squeezenet1_1",), "ConvNeXt": ("convnext_tiny",),
}  # fmt: skip
KERNELS = {"mindspore": "AVX2"}
"""What the zoo has MindSpore's oneDNN keep to: other kernels add up in another order."""
SUFFIX = {"torch": ".pth", "mindspore": ".ckpt"}
ALONE = {
    "torch": """
import sys, importlib, json, numpy, torch
sys.path.insert(0, sys.argv[1])
made = getattr(importlib.import_module(sys.argv[2]), sys.argv[3])().eval()
made.load_state_dict(torch.load(sys.argv[2] + ".pth"), strict=True)
with torch.no_grad():
    found = made(torch.from_numpy(numpy.load("images.npy"))).numpy()
numpy.save("found.npy", found)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
""",
    "mindspore": """
import sys, importlib, json, numpy, mindspore
sys.path.insert(0, sys.argv[1])
made = getattr(importlib.import_module(sys.argv[2]), sys.argv[3])().set_train(False)
held = mindspore.load_checkpoint(sys.argv[2] + ".ckpt")
left, missing = mindspore.load_param_into_net(made, held, strict_load=True)
assert not left and not missing, (left, missing)
found = made(mindspore.Tensor(numpy.load("images.npy"))).asnumpy()
numpy.save("found.npy", found)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
""",
}
"""What runs in a process of its own: arguments are the folder, the file's stem, the class."""


def main(only: Annotated[str, typer.Option(help="Shell-style pattern.")] = "*") -> None:
    """Write sources and try them."""
    found: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() else {"networks": {}}
    for family, names in FAMILIES.items():
        for name in fnmatch.filter(names, only):
            found["networks"][name] = {"family": family} | tried(name)
            found["machine"] = machine(["torch", "torchvision", "mindspore", "ruff"])
            save(OUT, found)
            console.print(f"{name}: {found['networks'][name]}")


def tried(name: str) -> dict[str, Any]:
    """Return what became of the sources of a network of torchvision."""
    import torch
    import torchvision

    import zoo

    size = 96 if name == "inception_v3" else 64
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other initial weights some day
        module = randomized(getattr(torchvision.models, name)(weights=None)).eval()
    x = np.random.default_rng(0).standard_normal((2, 3, size, size)).astype(np.float32)
    try:
        net = zoo.adopt(module, example=x, name=name)
    except zoo.ZooError as error:
        return {"refused": str(error).splitlines()[-1].strip()}
    with torch.no_grad():
        theirs = module(torch.from_numpy(x)).numpy()
    row = {"size": size, "recognized": net.model if net.recognized else None}
    return row | {backend: alone(net, backend, x, theirs) for backend in ALONE}


def alone(net: Any, backend: str, x: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """Return what became of the source of an adopted network in a process without the zoo.

    It loads the network's own state, or in MindSpore a checkpoint under the same names.
    """
    import torch

    import backends
    import zoo

    model = zoo.create(net, backend=backend)  # type: ignore[call-overload]
    (ours,) = backends.backend_of(model).predict(model, x)
    model = zoo.create(net.as_read, backend=backend)  # type: ignore[call-overload]
    with tempfile.TemporaryDirectory() as folder:
        stem = Path(folder, f"written_{net.as_read.model}")
        file = zoo.write_source(net, stem.with_suffix(".py"), backend=backend)
        zoo.save(model, stem.with_suffix(SUFFIX[backend]))
        missing = []
        if backend == "torch":
            state = net.original.state_dict()
            missing = [name for name in state if name not in model.state_dict()]
            if not missing:
                torch.save(state, stem.with_suffix(SUFFIX[backend]))
        np.save(Path(folder, "images.npy"), x)
        ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--output-format", "concise"]
        complaints = _run([*ruff, str(file)], folder)
        arguments = [folder, stem.name, type(model).__name__]
        done = _run(
            [sys.executable, "-I", "-c", ALONE[backend], *arguments], folder, KERNELS.get(backend)
        )
        if done.returncode:
            return {"failed": done.stderr.splitlines()[-1]}
        loaded = json.loads(done.stdout.splitlines()[-1])
        found = np.load(Path(folder, "found.npy"))
        return {
            "lines": len(file.read_text().splitlines()),
            "alone": not {"zoo", "weights", "backends"} & set(loaded),
            "equal_bits": found.tobytes() == np.asarray(ours, np.float32).tobytes(),
            "error": float(np.abs(found - theirs).max() / np.abs(theirs).max()),
            "ruff": complaints.stdout.splitlines() if complaints.returncode else [],
        } | ({"missing": missing[0]} if missing else {})


def _run(
    command: list[str], folder: str, kernels: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"DNNL_MAX_CPU_ISA": kernels} if kernels else {})
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    typer.run(main)
