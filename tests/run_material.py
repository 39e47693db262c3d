"""A data set and a run of it, written by hand: what evaluations and reports are tested on."""

from __future__ import annotations

import csv
import json

import numpy as np
from PIL import Image

import weights
import zoo
from zoo.recipes import SGD, Normalize, Recipe
from zoo.recipes.transforms import CenterCrop, RandomCrop, RandomHorizontalFlip, Resize

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox")
SIZE = 32
NORMALIZE = Normalize(mean=(0.5, 0.45, 0.4), std=(0.25, 0.3, 0.2))
RECIPE = Recipe(
    network="shufflenet_v2_0.5x",
    overrides={"num_classes": len(CLASSES), "image_size": SIZE},
    train=(RandomCrop(size=SIZE, padding=4), RandomHorizontalFlip(), NORMALIZE),
    evaluate=(Resize(size=SIZE), CenterCrop(size=SIZE), NORMALIZE),
    optimizer=SGD(lr=0.1),
    epochs=3,
    batch_size=6,
)
EACH = {"train": 5, "test": 3}


def write_data(root):
    """Folders of images, six scenes with noise; one test image of each class shows the next one."""
    rng = np.random.default_rng(0)
    scenes = rng.integers(0, 256, (len(CLASSES), 6, 7, 3))
    for part, each in EACH.items():
        for index, name in enumerate(CLASSES):
            place = root / part / name
            place.mkdir(parents=True)
            for i in range(each):
                shown = (index + 1) % len(CLASSES) if part == "test" and i == 0 else index
                noisy = scenes[shown] + rng.normal(0, 10, scenes[shown].shape)
                pixels = np.clip(noisy, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).resize((40, 36)).save(place / f"{i}.png")
    return root


def inputs(data, part):
    """What the network is fed, and the classes: independent of the code under test."""
    images, labels = [], []
    for index, name in enumerate(CLASSES):
        for file in sorted((data / part / name).iterdir()):
            scaled = Image.open(file).resize((35, SIZE), Image.Resampling.BILINEAR)
            pixels = np.asarray(scaled, np.float64)[:, 2:34] / 255
            images.append((pixels - NORMALIZE.mean) / NORMALIZE.std)
            labels.append(index)
    x = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2), np.float32)
    return x, np.array(labels)


def trained(data):
    """Weights at random, and a classifier that tells the training images apart."""
    found = weights.randomize(RECIPE.spec.graph, seed=0)
    x, labels = inputs(data, "train")
    model = zoo.create(RECIPE.spec, backend="onnx", weights=found, outputs="flatten")
    targets = np.eye(len(CLASSES))[labels] * 6 - 1
    found["classifier.weight"] = (np.linalg.pinv(model(x)) @ targets).T.astype(np.float32)
    return found


def write_run(path, data, arrays, classes=CLASSES):
    """The folder of a run of three epochs, of which the second was the best."""
    path.mkdir()
    (path / "recipe.json").write_text(RECIPE.to_json())
    info = {
        "backend": "torch", "data": data.name, "source": str(data), "labels": "fine",
        "classes": list(classes), "started": "2026-01-02T03:04:05+00:00", "pipeline": "numpy",
        "skip_corrupt": False, "machine": {"cpu": "an abacus", "cores": 2},
        "versions": {"version": "9.9"}, "resumed": [{"backend": "torch", "step": 7}],
    }  # fmt: skip
    (path / "run.json").write_text(json.dumps(info))
    epochs = [
        {"epoch": e, "step": 5 * e, "lr": 0.1 / e, "loss": 2 / e, "top1": 30 * e, "val_loss": 1 / e,
         "val_top1": 20 + 10 * (e == 2), "val_top5": 60, "seconds": 40.5, "images_per_second": 70}
        for e in (1, 2, 3)
    ]  # fmt: skip
    steps = [
        {"step": s, "epoch": 1 + (s - 1) // 5, "lr": 0.1, "momentum": "", "loss": 3 / s}
        for s in range(1, 16)
    ]
    for name, rows in (("epochs", epochs), ("steps", steps)):
        with (path / f"{name}.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)
    worse = arrays | {"classifier.weight": -arrays["classifier.weight"]}
    for epoch, held in ((2, arrays), (3, worse)):
        folder = path / "checkpoints" / f"epoch-{epoch:04d}"
        folder.mkdir(parents=True)
        weights.save_weights(folder / "model.safetensors", RECIPE.spec, held)
        counts = {
            "epoch": epoch, "step": 5 * epoch, "batch": 0, "best_epoch": 2, "sums": [0, 0, 0],
            "history": [], "slots": [], "ema": False,
        }  # fmt: skip
        (folder / "state.json").write_text(json.dumps(counts))
    return path
