"""The doors that files of strangers come in by: valid samples of each, and what reads them.

A reader returns or raises a `ZooError`, whatever it is given; nothing else. It imports what it
needs when it is first called, so that no process has more than its door.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fuzzing import datasets, networks, samples
from fuzzing.mutate import damage
from fuzzing.samples import Case
from weights.formats import FORMATS


@dataclass(frozen=True)
class Door:
    """Where files come in.

    Attributes:
        valid: returns samples, which it reads.
        read: reads what is at a path.
        share: of all cases, as a weight: what is quick has many.
        suffix: of the file's name, where the reader goes by it.
    """

    valid: Callable[[], list[Case]]
    read: Callable[[Path], Any]
    share: float
    suffix: str = ""


def case(name: str, valid: list[Case], seed: int, number: int) -> Case:
    """Return the damaged file or folder of a number: some valid one, changed."""
    rng = random.Random(f"{seed}:{name}:{number}")
    data = rng.choice(valid)
    if isinstance(data, bytes):
        return damage(data, rng, framed=0.75 if data[:64].isascii() and data[:1] > b" " else 0.4)
    changed = dict(data)
    for _ in range(rng.choice((1, 1, 1, 2))):
        file = rng.choice(list(changed)) if rng.random() < 0.5 else _text(changed, rng)
        kind = rng.randrange(20)
        if kind == 0:
            del changed[file]
        elif kind == 1:
            changed[file] = b""
        elif kind == 2:
            changed[f"{file}/x"] = changed.pop(file)  # a folder in its place
        elif kind == 3:
            changed[file] = changed[rng.choice(list(changed))]
        elif kind == 4:
            new = rng.choice((file.upper(), file + "x", "é" + file, f"x/{file}", f".{file}", "x"))
            changed[new] = changed.pop(file)
        else:
            changed[file] = damage(changed[file], rng, framed=0.7)
        if not changed:
            break
    return changed


def _text(files: dict[str, bytes], rng: random.Random) -> str:
    """Return the name of a file of text, where there is one: what its reader is ours."""
    texts = [name for name in files if name.endswith((".json", ".csv", ".txt"))]
    return rng.choice(texts or list(files))


# ── Readers ──────────────────────────────────────────────────────────────────────────────────────


def read_format(path: Path) -> Any:
    from weights import formats

    return formats.read(path)


def read_weights(path: Path) -> Any:
    import zoo

    found = zoo.load_weights(path)
    return found.summary(), found.preprocessing


def read_spec(path: Path) -> Any:
    import zoo

    return zoo.spec_from_json(_text_of(path))


def read_preprocessing(path: Path) -> Any:
    from zoo.arch.preprocessing import Preprocessing
    from zoo.preprocessing import for_size

    return str(for_size(Preprocessing.from_json(_text_of(path)), 32))


def read_recipe(path: Path) -> Any:
    import zoo

    return zoo.Recipe.from_json(_text_of(path))


def read_setting(path: Path) -> Any:
    import zoo
    from zoo.cli.options import parse

    return zoo.spec("shufflenet_v2_1.0x", **parse([_text_of(path)]))


def read_recipe_setting(path: Path) -> Any:
    import zoo
    from zoo.cli.options import parse

    return zoo.recipe("cifar10").replace(**parse([_text_of(path)], of_recipe=True))


def read_run(path: Path) -> Any:
    import zoo
    from zoo.training.log import Log
    from zoo.training.run import load_state

    run = zoo.open_run(path)
    _ = run.classes, run.epochs, run.steps, run.best, run.last, run.finished
    state = load_state(run)
    with Log(path, state.history, state.step):
        return state


def resume(path: Path) -> Any:
    import numpy as np
    import torch

    import zoo
    from zoo.data import ArrayImages, Dataset, Split

    torch.set_num_threads(1)
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    split = Split(ArrayImages(images), np.array([0, 1, 2, 0, 1, 2]), ("a", "b", "c"))
    return zoo.resume(path, data=Dataset("patterns", split, split))


def read_picture(path: Path) -> Any:
    from zoo.pictures import decode, read_file

    return decode(read_file(path)).size


def read_dataset(path: Path) -> Any:
    import zoo

    found = zoo.open_dataset(path)
    for split in (found.train, found.test):
        if split is not None:
            split.images.picture(len(split) - 1)
    return found


def read_exported(path: Path) -> Any:
    import zoo

    picture = path.with_name("picture.png")
    if not picture.exists():
        picture.write_bytes(datasets.encoded("PNG"))
    return zoo.predict(path, picture, workers=0)


def read_adopted(path: Path) -> Any:
    import zoo

    net = zoo.adopt(path, example=(2, 3, networks.SIZE, networks.SIZE))
    return net.summary(), net.spec.sha256


def read_graph(path: Path) -> Any:
    import zoo
    from zoo.sources import source

    spec = zoo.spec_from_json(_text_of(path))
    return zoo.cost(spec.graph), compile(source(spec), "graph", "exec")


def read_truth(path: Path) -> Any:
    from zoo.images import find_pictures, read_truth

    folder = path.with_name("pictures")
    for name in ("a.png", "b.png"):
        folder.mkdir(exist_ok=True)
        (folder / name).touch()
    return read_truth(path, find_pictures(folder))


def _text_of(path: Path) -> str:
    """Return a file as arguments of a command come in: what is no UTF-8 as surrogates."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _of_format(name: str) -> list[Case]:
    return samples.formats()[name] + (samples.torch_files() if name == "torch" else [])


TRUTH = "file,index,name\n" + "".join(f"{c}.png,{i},class {i}\n" for i, c in enumerate("abcdefgh"))

DOORS: dict[str, Door] = {
    **{name: Door(partial(_of_format, name), read_format, 60) for name in FORMATS},
    "weights": Door(samples.checkpoints, read_weights, 4),
    "spec": Door(samples.specs, read_spec, 8),
    "preprocessing": Door(
        lambda: [samples.weights_preprocessing().to_json().encode()], read_preprocessing, 50
    ),
    "recipe": Door(samples.recipes, read_recipe, 8),
    "set": Door(lambda: samples.settings(False), read_setting, 4),
    "set of a recipe": Door(lambda: samples.settings(True), read_recipe_setting, 5),
    "truth": Door(lambda: [TRUTH.encode()], read_truth, 60),
    "run": Door(samples.run, read_run, 2),
    "resume": Door(samples.run, resume, 0.1),
    **{
        kind: Door(partial(lambda kind: datasets.pictures()[kind], kind), read_picture, 66)
        for kind in ("png", "jpeg", "bmp", "gif", "ppm", "tiff", "webp")
    },
    "folder": Door(lambda: [*datasets.folders()], read_dataset, 12),
    "zip": Door(partial(datasets.archived, "zip"), read_dataset, 15),
    **{
        kind: Door(partial(datasets.archived, kind), read_dataset, 8)
        for kind in ("tar", "gz", "bz2", "xz")
    },
    "arrays": Door(datasets.arrays, read_dataset, 60),
    "adopted": Door(networks.foreign, read_adopted, 6, ".onnx"),
    "mindir": Door(networks.mindirs, read_adopted, 6, ".mindir"),
    "graph": Door(networks.graphs, read_graph, 6),
    "exported": Door(samples.exported, read_exported, 2, ".onnx"),
}
