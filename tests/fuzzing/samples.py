"""Small valid files and folders for each door; a folder is name → bytes."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from fuzzing.mutate import with_crc
from weights.formats import FORMATS
from zoo.protobuf import bytes_field, integer, integer_field

Case = bytes | dict[str, bytes]


def formats() -> dict[str, list[Case]]:
    """Return files of each format, but for those that PyTorch wrote, made without a framework."""
    rng = np.random.default_rng(0)
    arrays = {
        "stem.weight": rng.standard_normal((2, 3, 3)).astype(np.float32),
        "stem.bias": np.arange(5.0),
        "steps": np.array(7),
        "half": np.arange(6, dtype=np.float16).reshape(2, 3),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 2), np.float32),
    }
    found: dict[str, list[Case]] = {}
    for name, entry in FORMATS.items():
        for metadata in ({}, {"model": "shufflenet_v1", "data": "é"}):
            file = io.BytesIO()
            entry.write(file, arrays, metadata)
            found.setdefault(name, []).append(file.getvalue())
    compressed = io.BytesIO()
    np.savez_compressed(compressed, **arrays, text=np.array(["a"]), order=np.ones((2, 3)).T)
    found["npz"].append(compressed.getvalue())
    records = bytes_field(1, bytes_field(1, b"s") + bytes_field(2, _tensor(b"str", "hé", 0)))
    found["mindspore"].append(with_crc(found["mindspore"][0] + records))
    typed = integer_field(1, 4) + integer_field(2, 7) + bytes_field(8, b"typed")
    typed += bytes_field(7, b"".join(map(integer, (1, -1, 1 << 40, 0))))
    model = integer_field(1, 8) + bytes_field(7, bytes_field(1, b"") + bytes_field(5, typed))
    found["onnx"].append(model)
    return found


def _tensor(type: bytes, text: str, *dims: int) -> bytes:
    shape = b"".join(integer_field(1, dim) for dim in dims)
    return shape + bytes_field(2, type) + bytes_field(3, text.encode("utf-32-le"))


def torch_files() -> list[Case]:
    """Return files that PyTorch itself wrote; the caller has it."""
    import torch

    state = {
        "w": torch.arange(6.0).reshape(2, 3),
        "h": torch.ones(2).bfloat16(),
        "i": torch.ones(1),
    }
    found: list[Case] = []
    for content in (state, {"state_dict": state, "epoch": 3, "args": ["a", None, (1.5, {2})]}):
        for zipped in (True, False):
            file = io.BytesIO()
            torch.save(content, file, _use_new_zipfile_serialization=zipped)
            found.append(file.getvalue())
    return found


# ── Networks ─────────────────────────────────────────────────────────────────────────────────────

SPEC = zoo.spec(
    "shufflenet_v2_1.0x", stage_channels=[8, 16, 32], stage_repeats=[1, 2, 1], stem_channels=[4],
    last_channels=16, num_classes=3, image_size=32,
)  # fmt: skip


def specs() -> list[Case]:
    """Return the JSON of a network of each family."""
    names = ("shufflenet_v1_1.0x_g3", "shufflenet_v2_1.0x", "shufflenet_v2_plus_small", "resnet9")
    return [zoo.spec(name, num_classes=5).to_json().encode() for name in names]


def checkpoints() -> list[Case]:
    """Return weights of a small network in every format, under its own names and others'."""
    import weights

    arrays = weights.initialize(SPEC.graph, 0)
    found: list[Case] = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".safetensors", ".pth", ".ckpt", ".npz", ".onnx"):
            path = Path(folder, "x" + suffix)
            if suffix != ".onnx":
                weights.save_weights(path, SPEC, arrays, preprocessing=weights_preprocessing())
                found.append(path.read_bytes())
        # Without the hash a changed spec is read on.
        told = weights.metadata(SPEC, "zoo")
        for left in (told, {"zoo.spec": told["zoo.spec"]}):
            file = io.BytesIO()
            FORMATS["safetensors"].write(file, arrays, left)
            found.append(file.getvalue())
        for dialect in ("megvii", "torchvision", "pytorchcv"):
            path = Path(folder, f"{dialect}.safetensors")
            weights.save_weights(path, _as(dialect), _arrays(dialect), dialect=dialect)
            found.append(path.read_bytes())
    return found


def weights_preprocessing() -> Any:
    """Return how the pictures of the network here are prepared."""
    from zoo.arch.preprocessing import IMAGENET

    return IMAGENET


def _as(dialect: str) -> Any:
    return SPEC.replace(conventions=dialect)


def _arrays(dialect: str) -> Any:
    import weights

    return weights.initialize(_as(dialect).graph, 0)


def exported() -> list[Case]:
    """Return exported networks, with all that their metadata can tell."""
    found: list[Case] = []
    with tempfile.TemporaryDirectory() as folder:
        for i, optimize in enumerate((False, True)):
            path = Path(folder, f"{i}.onnx")
            zoo.export(
                SPEC, path, optimize=optimize, labels=["a", "b", "c"], mean=[0.5] * 3, std=[0.2] * 3
            )
            found.append(path.read_bytes())
        import onnx

        model = onnx.load(path)
        told = {"preprocessing": json.loads(weights_preprocessing().to_json()), "images": 3}
        model.metadata_props.add(key="zoo.quantization", value=json.dumps(told))
        found.append(model.SerializeToString())
    return found


# ── Recipes and runs ─────────────────────────────────────────────────────────────────────────────


def recipe(**changes: Any) -> zoo.Recipe:
    """Return a recipe for the network here."""
    network = {
        name: getattr(SPEC, name)
        for name in ("stage_channels", "stage_repeats", "stem_channels", "last_channels")
    }
    small = {
        "network": "shufflenet_v2_1.0x",
        "overrides": {**network, "num_classes": 3, "image_size": 32},
        "batch_size": 2,
        "epochs": 2,
    }
    return zoo.recipe("cifar10", **{**small, **changes})


def recipes() -> list[Case]:
    """Return the recipes of the catalog and the small one, as JSON."""
    found = [zoo.recipe(name) for name in zoo.list_recipes()]
    return [made.to_json().encode() for made in (*found, recipe())]


def settings(of_recipe: bool) -> list[Case]:
    """Return arguments of ``--set``."""
    of_spec = [b"num_classes=10", b"image_size=64", b"stage_repeats=[1, 2, 1]", b"bn_eps=1e-3",
               b"conventions=mindcv", b'shuffle="end"', b"classifier_bias=true",
               b"stage_channels=[48, 96, 192]", b"dropout=0.5", b"in_channels=1"]  # fmt: skip
    of_recipes = [b"epochs=3", b"optimizer.lr=0.1", b"batch_size=64", b"network=resnet9",
                  b'optimizer={"name": "adam", "lr": 0.1}', b"schedule.rise=0.5", b"ema=null",
                  b'overrides={"num_classes": 10}', b"overrides.num_classes=4", b"mix.mixup=0.1",
                  b'mix={"mixup": 0.2, "cutmix": 1.0, "p": 0.5}', b"clip_norm=1.5"]  # fmt: skip
    return [*(of_recipes if of_recipe else of_spec)]


def run() -> list[Case]:
    """Return the folder of a run that stands after its first epoch."""
    import weights
    from zoo.training import state

    arrays = weights.initialize(SPEC.graph, 0)
    trained = [n for n in arrays if "running" not in n and "num_batches" not in n]
    slots = {"momentum_buffer": {name: arrays[name] * 0 for name in trained}}
    info = {
        "backend": "torch", "data": "patterns", "source": None, "labels": "fine",
        "skip_corrupt": False, "skipped": [], "classes": ["a", "b", "c"], "pipeline": "numpy",
        "workers": 0, "compiled": False, "weights": None, "started": "2026-01-01T00:00:00+00:00",
        "machine": {"cpu": "x", "cores": 2}, "versions": {"torch": "2"}, "resumed": [],
        "processes": 1,
    }  # fmt: skip
    epoch = {
        "epoch": 1, "step": 3, "lr": 0.1, "loss": 1.1, "top1": 30.0, "val_loss": 1.2,
        "val_top1": 33.3, "val_top5": 100.0, "seconds": 1.0, "images_per_second": 6.0,
        "waited": 0.1,
    }  # fmt: skip
    steps = "".join(f"{i},1,0.1,0.9,1.1\r\n" for i in (1, 2, 3))
    row = ",".join(map(str, epoch.values()))
    with tempfile.TemporaryDirectory() as folder:
        for number, history in ((0, []), (1, [epoch])):
            at = state.State(
                weights=arrays, slots=slots, ema=dict(arrays), step=3 * number, epoch=number,
                best_epoch=number, history=history,
            )  # fmt: skip
            state.save(Path(folder, f"checkpoints/epoch-000{number}"), at, SPEC)
        return [
            {
                "recipe.json": recipe().to_json().encode(),
                "run.json": json.dumps(info).encode(),
                "epochs.csv": f"{','.join(epoch)}\r\n{row}\r\n".encode(),
                "steps.csv": f"step,epoch,lr,momentum,loss\r\n{steps}".encode(),
                **packed(Path(folder)),
            }
        ]


def packed(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
