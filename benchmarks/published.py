"""The published weights of torchvision, timm and MindCV, read off the installed packages.

    python benchmarks/published.py            # writes weights/pretrained/published/*.json
    python benchmarks/published.py --check    # fails if they are not what it would write

Addresses, hashes, licenses and how pictures are prepared come from the packages' own tables, and
torchvision's accuracies too. Those of timm and MindCV are in files of their repositories alone,
which ``benchmarks/published/*.csv`` repeats as far as our networks go, with commit and path. An
entry is listed if its network is one of the catalog by name and its arrays are by shape; nothing is
downloaded.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import typer
from pages import Check, settle

import backends
import zoo
from weights.recognize import recognize
from zoo.arch.preprocessing import IMAGENET
from zoo.errors import ZooError
from zoo.families import base_model

HERE = Path(__file__).parent
DATA = HERE.parent / "weights" / "pretrained" / "published"
CLASSES = 1000
Row = dict[str, Any]

LICENSES = {
    "apache-2.0": "Apache-2.0",
    "bsd-3-clause": "BSD-3-Clause",
    "mit": "MIT",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "seer-license": "LicenseRef-SEER",
    "https://github.com/facebookresearch/SWAG/blob/main/LICENSE": "LicenseRef-SWAG",
    None: "NOASSERTION",  # SPDX's word for what nobody states
}
OF_CODE = {"torchvision": "BSD-3-Clause", "mindcv": "Apache-2.0"}
"""Code bases that state a license for themselves as a whole, and seldom one for weights."""


def main(check: Check = False) -> None:
    """Write the tables, or tell whether they are up to date."""
    for code_base, rows in TABLES.items():
        fitting = [dict(row, model=model) for row in rows() if (model := network(code_base, row))]
        settle(DATA / f"{code_base}.json", text(fitting), check)


def text(rows: Iterable[Row]) -> str:
    """Return a table as JSON, a row a line, so that changes can be read."""
    ordered = sorted(rows, key=lambda row: (row["model"], row["name"]))
    lines = [json.dumps({"model": row["model"], **row}) for row in ordered]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def torchvision() -> Iterator[Row]:
    """Yield the rows of ``torchvision.models.*_Weights``."""
    from torchvision.models import get_model_weights, list_models

    for name in filter(named, list_models()):
        for weights in get_model_weights(name):
            meta, how = weights.meta, weights.transforms()
            measured = meta["_metrics"]["ImageNet-1K"]
            if not math.isfinite(measured["acc@1"]):
                continue  # no classifier
            (resize,), (crop,) = how.resize_size, how.crop_size
            stated = meta.get("license")
            yield {
                "name": f"{name}.{weights.name}",
                "url": weights.url,
                "license": LICENSES[stated] if stated else OF_CODE["torchvision"],
                **pictures(how.mean, how.std, resize, crop, how.interpolation.value),
                "top1": measured["acc@1"],
                "top5": measured["acc@5"],
                # Keys of before torchvision 0.3, which its `_load_state_dict` renames.
                **({"dialect": "torchvision_published"} if name.startswith("densenet") else {}),
            }


def timm() -> Iterator[Row]:
    """Yield the rows of timm's ``default_cfgs``: for pictures as its ``validate.py`` has them."""
    import_module("timm")
    configs = import_module("timm.models._registry")._model_pretrained_cfgs
    accuracies = {row["model"]: row for row in repeated("timm")}
    for name, config in configs.items():
        plain, _, trained = name.partition(".")
        if not (trained and named(plain) and config.hf_hub_id and config.num_classes == CLASSES):
            continue
        if config.crop_mode != "center" or config.hf_hub_filename or config.custom_load:
            continue  # squashed pictures; files of others' making
        crop = (config.test_input_size or config.input_size)[-1]
        share = config.test_crop_pct or config.crop_pct
        measured = accuracies.get(name)
        if measured and (int(measured["img_size"]), float(measured["crop_pct"])) != (
            crop,
            round(share, 3),
        ):
            measured = None  # on other pictures
        yield {
            "name": name,
            "url": f"hf-hub:{config.hf_hub_id}",
            "license": LICENSES[config.license],
            **pictures(config.mean, config.std, math.floor(crop / share), crop,
                       config.interpolation),
            **({"top1": float(measured["top1"]), "top5": float(measured["top5"])}
               if measured else {}),
            **({"preset": "timm_tf"} if name.startswith("tf_") else {}),
        }  # fmt: skip


USUAL = (224, 0.875, "bilinear")
RECIPES = {
    "convnext": (224, 0.95, "bicubic"),
    "efficientnet": (224, 0.875, "bicubic"),
    "efficientnet_b1": (240, 0.875, "bicubic"),
}
"""MindCV's modules and networks whose recipes have another image_resize, crop_pct, interpolation
than the usual ones (looked up for one network of each family, and EfficientNet-B1)."""


def mindcv() -> Iterator[Row]:
    """Yield the rows of MindCV's ``default_cfgs``.

    The pictures' treatment is not among them: its recipes (configs/*/*_ascend.yaml) have it, of
    which mindcv/data/transforms_factory.py (0.3.0) makes Resize(floor(image_resize / crop_pct)) of
    the shorter side and CenterCrop(image_resize);
    mindcv/data/constants.py has mean and deviation, there times 255.
    """
    accuracies = {row["file"]: row for row in repeated("mindcv")}
    modules = {path.stem for path in Path(import_module("mindcv.models").__path__[0]).glob("*.py")}
    for module in sorted(modules - {"__init__"}):
        configs = getattr(import_module(f"mindcv.models.{module}"), "default_cfgs", {})
        for name, config in configs.items():
            file = config["url"].rpartition("/")[2]
            if not (named(name) and re.search(r"-[0-9a-f]{8}\.ckpt$", file)):
                continue  # nothing to hold a file without a hash against
            if config["num_classes"] != CLASSES:
                continue  # MobileNetV1's recipes train 1001, of which nothing tells the order
            size, share, interpolation = RECIPES.get(name) or RECIPES.get(module, USUAL)
            measured = accuracies.get(file)
            yield {
                "name": name,
                "url": config["url"],
                "license": OF_CODE["mindcv"],
                **pictures(IMAGENET.mean, IMAGENET.std, math.floor(size / share), size,
                           interpolation),
                **({"top1": float(measured["top1"]), "top5": float(measured["top5"]),
                    "source": measured["source"]} if measured else {}),
            }  # fmt: skip


TABLES: dict[str, Callable[[], Iterator[Row]]] = {
    "torchvision": torchvision,
    "timm": timm,
    "mindcv": mindcv,
}


def repeated(code_base: str) -> list[dict[str, str]]:
    """Return the accuracies that the files of a repository state."""
    lines = (HERE / "published" / f"{code_base}.csv").read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def pictures(mean: Any, std: Any, resize: int, crop: int, interpolation: str) -> Row:
    """Return the fields of a preprocessing, without what ImageNet's usual one has too."""
    found = {"mean": list(mean), "std": list(std), "resize": resize, "crop": crop,
             "interpolation": interpolation}  # fmt: skip
    usual = {"mean": list(IMAGENET.mean), "std": list(IMAGENET.std), "resize": IMAGENET.resize,
             "crop": IMAGENET.crop, "interpolation": IMAGENET.interpolation}  # fmt: skip
    return {field: value for field, value in found.items() if value != usual[field]}


@cache
def named(name: str) -> bool:
    """Return whether a code base's name is one of a network of the catalog."""
    try:
        return bool(zoo.spec(called(name)))
    except ZooError:
        return False


def called(name: str) -> str:
    """Return the name of a network alone: timm's ``tf_`` tells whose conventions it has."""
    return name.partition(".")[0].removeprefix("tf_")


def network(code_base: str, row: Row) -> str | None:
    """Return the network of the catalog that a row's arrays are of; None where they are of none.

    A name alone may lead to two: torchvision's regnet_y_8gf is another one than timm's.
    """
    found = recognized(code_base, row["name"].partition(".")[0])
    if found is None or zoo.spec(called(row["name"])).family != zoo.spec(found).family:
        return None
    if "preset" in row and row["preset"] not in zoo.spec(found).presets:
        return None
    return found


@cache
def recognized(code_base: str, name: str) -> str | None:
    """Return the network of the catalog that the arrays of a code base's network are of."""
    shapes = arrays(code_base, name)
    try:
        found = recognize(
            {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()},
            dialect=code_base,
        )
    except ZooError:
        return None
    return base_model(found.spec)


def arrays(code_base: str, name: str) -> dict[str, tuple[int, ...]]:
    """Return name → shape of what a network of theirs holds, which needs no values."""
    if code_base == "mindcv":
        backends.load("mindspore")
        cell = import_module("mindcv").create_model(name)
        return {parameter.name: tuple(parameter.shape) for parameter in cell.get_parameters()}
    import torch
    from torch.overrides import TorchFunctionMode

    class Shapes(TorchFunctionMode):
        """Parameters without values: some networks compute with other tensors as they are made."""

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            more = {"device": "meta"} if func is torch.empty else {}
            return func(*args, **{**(kwargs or {}), **more})

    with Shapes():
        if code_base == "timm":
            net = import_module("timm").create_model(name, pretrained=False)
        else:
            net = import_module("torchvision.models").get_model(name)
    return {key: tuple(value.shape) for key, value in net.state_dict().items()}


if __name__ == "__main__":
    typer.run(main)
