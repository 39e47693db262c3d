"""Small valid files and folders for each door; a folder is name → bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import zoo
from fuzzing.mutate import with_crc
from weights.formats import FORMATS
from weights.formats.protobuf import bytes_field, integer, integer_field

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
        import json

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
    from zoo.training.log import Log
    from zoo.training.run import Run, save_checkpoint, start_run
    from zoo.training.state import State

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
    state = State(arrays, slots, dict(arrays))
    with tempfile.TemporaryDirectory() as folder:
        made = Run(Path(folder, "run"), recipe(), info)
        start_run(made, state)
        state.step, state.epoch, state.best_epoch, state.history = 3, 1, 1, [epoch]
        save_checkpoint(made, state)
        with Log(made.path, [epoch], 0) as log:
            log.board = None
            for i in range(3):
                log.step({"step": i + 1, "epoch": 1, "lr": 0.1, "momentum": 0.9, "loss": 1.1})
            log.epoch([epoch])
        return [packed(made.path, leave="tensorboard")]


def packed(folder: Path, leave: str = "\0") -> dict[str, bytes]:
    """Return the files below a folder by name, but for some."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: path.read_bytes() for name, path in names.items() if leave not in name}


# ── Pictures and data sets ───────────────────────────────────────────────────────────────────────


def picture(size: int = 12, seed: int = 0) -> Image.Image:
    """Return a picture that is not all of one color."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size + 1, 3), np.uint8)
    return Image.fromarray(pixels)


def encoded(form: str, image: Image.Image | None = None, **options: Any) -> bytes:
    """Return a picture as a file."""
    file = io.BytesIO()
    (image or picture()).save(file, form, **options)
    return file.getvalue()


def pictures() -> dict[str, list[Case]]:
    """Return pictures of all formats that are decoded, in the modes that they have."""
    rgb = picture()
    palette, rgba, gray = rgb.quantize(16), rgb.convert("RGBA"), rgb.convert("L")
    exif = Image.Exif()
    exif[274], exif[270] = 6, "é"
    return {
        "png": [
            encoded("PNG"), encoded("PNG", palette, transparency=3), encoded("PNG", rgba),
            encoded("PNG", gray), encoded("PNG", rgb.convert("1")), encoded("PNG", exif=exif),
            encoded("PNG", gray.convert("LA")),
            encoded("PNG", save_all=True, append_images=[picture(12, 1)]),
        ],
        "jpeg": [
            encoded("JPEG"), encoded("JPEG", progressive=True), encoded("JPEG", gray),
            encoded("JPEG", rgb.convert("CMYK")), encoded("JPEG", exif=exif, comment=b"x"),
            encoded("JPEG", subsampling=0, quality=95, restart_marker_blocks=1),
        ],
        "bmp": [encoded("BMP"), encoded("BMP", palette), encoded("BMP", rgb.convert("1"))],
        "gif": [
            encoded("GIF", palette), encoded("GIF", palette, transparency=1),
            encoded("GIF", palette, save_all=True, append_images=[picture(12, 1).quantize(16)]),
        ],
        "ppm": [encoded("PPM"), encoded("PPM", gray), encoded("PPM", rgb.convert("1")),
                b"P3\n2 2\n255\n1 2 3 4 5 6 7 8 9 10 11 12\n"],
        "tiff": [
            encoded("TIFF"), encoded("TIFF", compression="tiff_lzw"), encoded("TIFF", palette),
            encoded("TIFF", compression="tiff_adobe_deflate"), encoded("TIFF", rgba),
            encoded("TIFF", compression="jpeg"), encoded("TIFF", compression="packbits"),
            encoded("TIFF", rgb.convert("1"), compression="group4"),
        ],
        "webp": [encoded("WEBP"), encoded("WEBP", lossless=True), encoded("WEBP", rgba),
                 encoded("WEBP", save_all=True, append_images=[picture(12, 1)])],
    }  # fmt: skip


def folders() -> list[dict[str, bytes]]:
    """Return data sets as folders, in all layouts."""
    images = [encoded("PNG", picture(6, i)) for i in range(4)]
    classes = {f"{part}/{name}/{i}.png": images[i] for part in ("train", "test")
               for name in ("cat", "dog") for i in range(2)}  # fmt: skip
    tiny = {
        "wnids.txt": b"n01\nn02\n", "words.txt": b"n01\tcat, tabby\nn02\tdog\n",
        "train/n01/images/a.png": images[0], "train/n02/images/b.png": images[1],
        "val/val_annotations.txt": b"v0.png\tn01\t0\t0\t5\t5\nv1.png\tn02\t0\t0\t5\t5\n",
        "val/images/v0.png": images[2], "val/images/v1.png": images[3],
    }  # fmt: skip
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3072), np.uint8)
    names = b"".join(b"class %d\n" % i for i in range(10))
    record = b"".join(bytes([i]) + pixels[i].tobytes() for i in range(2))
    binary = {f"cifar-10-batches-bin/data_batch_{i}.bin": record for i in range(1, 6)}
    binary |= {"cifar-10-batches-bin/batches.meta.txt": names}
    batch = pickle.dumps({"data": pixels, "fine_labels": [1, 2], "coarse_labels": [0, 1]}, 2)
    meta = {"fine_label_names": [str(i) for i in range(100)],
            "coarse_label_names": [str(i) for i in range(20)]}  # fmt: skip
    pickled = {"train": batch, "test": batch, "meta": pickle.dumps(meta, 2)}
    return [classes, tiny, binary, pickled]


def archived(kind: str) -> list[Case]:
    """Return the same in archives."""
    found: list[Case] = []
    for files in folders():
        file = io.BytesIO()
        if kind == "zip":
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in files.items():
                    archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        else:
            long = {"deep/" * 30 + name: data for name, data in files.items()}
            with tarfile.open(fileobj=file, mode="w") as archive:
                for name, data in (long if len(found) == 1 else files).items():
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
        data = file.getvalue()
        packs = {
            "gz": lambda data: gzip.compress(data, 1, mtime=0), "bz2": lambda d: bz2.compress(d, 1),
            "xz": lambda data: lzma.compress(data, preset=0),
        }  # fmt: skip
        found.append(packs[kind](data) if kind in packs else data)
    return found


def arrays() -> list[Case]:
    """Return data sets in one .npz."""
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), np.uint8)
    labels = np.array([0, 1, 2, 0])
    found: list[Case] = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, x_train=images, y_train=labels[:, None], x_test=images, y_test=labels)
        found.append(file.getvalue())
    return found
