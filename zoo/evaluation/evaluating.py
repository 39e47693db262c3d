"""`zoo.evaluate`: loss, accuracy, confusions and speed of trained weights on any backend."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import backends as engines
from zoo.arch import Spec
from zoo.data import Dataset, Split, open_dataset
from zoo.errors import InputError, ZooError, unknown
from zoo.evaluation.evaluation import Evaluation
from zoo.evaluation.inputs import PathImages, readable
from zoo.evaluation.network import Network
from zoo.evaluation.pipeline import Transforms
from zoo.evaluation.running import Progress, run
from zoo.evaluation.source import find
from zoo.images import find_pictures, read_truth
from zoo.loading import Source
from zoo.measures import measure
from zoo.recipes import Recipe

SPLITS = ("test", "train")
BATCH = 128
WORKERS = 2


def evaluate(
    weights: Source,
    data: str | Path | Dataset | None = None,
    *,
    model: str | Spec | None = None,
    backend: str | None = None,
    split: str = "test",
    truth: str | Path | None = None,
    recipe: str | Path | Recipe | None = None,
    transforms: Transforms | None = None,
    labels: str | None = None,
    batch_size: int = BATCH,
    workers: int = WORKERS,
    group_conv: str = "native",
    optimize: bool = True,
    skip_corrupt: bool = False,
    progress: Progress | None = None,
    **overrides: Any,
) -> Evaluation:
    """Show trained weights the images of a data set, and measure how well they name them.

    Args:
        weights: the folder of a run (its best checkpoint) or of a checkpoint, a file of any code
            base, an exported ``.onnx``, published weights by name, or canonical name → array.
        data: a folder or archive that `open_dataset` reads, or a data set; by default that of the
            run.
        model: the network, where the weights do not tell it: published ones by name do not.
        backend: ``"torch"``, ``"mindspore"``, ``"onnx"``, ``"openvino"`` or ``"numpy"``. By default
            ONNX Runtime for an ``.onnx``, which it runs as it is, and PyTorch for all else.
        split: ``"test"`` or ``"train"``.
        truth: the classes of the images in ``data``, a folder: CSV with the columns file and
            index. For images that are in no folders of classes.
        recipe: prepare the images as this recipe does in evaluation: a name, a file, or a recipe.
        transforms: or by these, or as ``"imagenet"`` or ``"megvii"`` or a `Preprocessing` says. By
            default as the run's recipe, the publisher of the weights or the file's metadata say.
        labels: of CIFAR-100: ``"fine"`` or ``"coarse"``. By default as in the run, else fine.
        batch_size: images a batch.
        workers: threads that prepare images.
        group_conv: as for `create`.
        optimize: run the form for inference, which is the same function, faster.
        skip_corrupt: leave out images that cannot be read, rather than refuse the data.
        progress: told of every batch; for progress bars.
        **overrides: fields of the spec.

    Raises:
        WeightsError: there are no such weights, or they do not fit the network.
        InputError: the data cannot be read, or have other classes than the network.
        ZooError: it is not known how images are prepared, or an argument is out of range.
        UnknownNameError: there is no such backend, recipe, preprocessing or split.
        BackendNotInstalledError: the backend's framework is missing.

    Example:
        >>> evaluate("runs/cifar10", backend="onnx").top1  # doctest: +SKIP
    """
    (network,), dataset = prepare(
        weights,
        data,
        backends=[backend],
        model=model,
        truth=truth,
        recipe=recipe,
        transforms=transforms,
        labels=labels,
        group_conv=group_conv,
        optimize=optimize,
        skip_corrupt=skip_corrupt,
        **overrides,
    )
    return evaluate_network(
        network,
        dataset,
        split=split,
        batch_size=batch_size,
        workers=workers,
        skip_corrupt=skip_corrupt,
        progress=progress,
    )


def prepare(
    weights: Source,
    data: str | Path | Dataset | None,
    *,
    backends: Sequence[str | None],
    truth: str | Path | None = None,
    labels: str | None = None,
    skip_corrupt: bool = False,
    model: str | Spec | None = None,
    recipe: str | Path | Recipe | None = None,
    transforms: Transforms | None = None,
    group_conv: str = "native",
    optimize: bool = True,
    **overrides: Any,
) -> tuple[list[Network], Dataset]:
    """Return the network that is meant on each backend, not yet built, and the data.

    The arguments are those of `evaluate`, which says what may be raised.
    """
    networks = [
        find(
            weights,
            model=model,
            backend=backend,
            transforms=transforms,
            recipe=recipe,
            group_conv=group_conv,
            optimize=optimize,
            overrides=overrides,
        )
        for backend in backends
    ]
    if truth is not None:
        return networks, _listed(data, truth, networks[0])
    return networks, open_data(data, networks[0], labels=labels, skip_corrupt=skip_corrupt)


def open_data(
    data: str | Path | Dataset | None,
    network: Network,
    *,
    labels: str | None = None,
    skip_corrupt: bool = False,
) -> Dataset:
    """Return a data set, by default that of the network's run, with the labels that this had.

    Raises:
        InputError: it cannot be read, or is not said.
    """
    if isinstance(data, Dataset):
        return data
    info = network.run.info if network.run is not None else None
    data = data if data is not None or info is None else info.source
    if data is None:
        raise InputError(f"{network.name}: on which images? give data= (--data)")
    labels = labels or (info.labels if info is not None else "fine")
    return open_dataset(data, labels=labels, skip_corrupt=skip_corrupt)


def evaluate_network(
    network: Network,
    data: Dataset,
    *,
    split: str = "test",
    batch_size: int = BATCH,
    workers: int = WORKERS,
    skip_corrupt: bool = False,
    most: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a network that was found.

    Args:
        network: of `prepare`.
        data: the data set.
        split: as for `evaluate`.
        batch_size: likewise.
        workers: likewise.
        skip_corrupt: likewise.
        most: take no more than so many images, evenly spaced.
        progress: as for `evaluate`.

    Raises:
        InputError: there are no such images, one cannot be read, or their classes do not fit.
        WeightsError: the network has no finite logits for an image.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if batch_size < 1:
        raise ZooError(f"batch_size (={batch_size}) must be at least 1")
    part = data.test if split == "test" else data.train
    if part is None or not len(part):
        other = "train" if split == "test" else "test"
        raise InputError(
            f"{data.name}: has no {split} images; split={other!r} (--split {other}) takes others"
        )
    known = _numbered(network, data.name, part)
    begun = time.perf_counter()
    order, faults = np.arange(len(part)), list[str]()
    if skip_corrupt:
        order, faults = readable(part.images)
        if not len(order):
            raise InputError(f"{data.name}: none of the {len(part)} images can be read")
    if most is not None and most < len(order):
        order = order[np.arange(most) * len(order) // most]
    ran = run(network, part.images, order, batch_size, workers, progress)
    found = measure(ran.logits, known[order])
    return Evaluation(
        **vars(found),
        weights=network.name,
        model=network.model,
        backend=network.backend,
        data=data.name,
        split=split,
        classes=_told(part.classes, network.classes),
        logits=ran.logits,
        labels=known[order],
        numbers=order,
        names=tuple(part.images.name(i) for i in order.tolist()),
        skipped=(*data.skipped, *faults),
        pipeline=str(network.pipeline),
        first_call_seconds=ran.first_call_seconds,
        seconds=ran.seconds,
        timed_images=ran.timed_images,
        total_seconds=time.perf_counter() - begun,
        engine=engines.load(network.backend).describe(),
    )


def _listed(data: str | Path | Dataset | None, truth: str | Path, network: Network) -> Dataset:
    """Return the images in a folder, with classes from a table."""
    if data is None or isinstance(data, Dataset):
        raise InputError("truth (--truth) needs data (--data), the folder that the images are in")
    pictures = find_pictures(data)
    labels = np.array(read_truth(truth, pictures), np.int64)
    count = network.num_classes
    if not 0 <= labels.min() <= labels.max() < count:
        bad = labels.max() if labels.max() >= count else labels.min()
        raise InputError(f"{truth}: index (={bad}) must be from 0 to {count - 1}")
    images = PathImages(tuple(pictures.folder / name for name in pictures.files))
    classes = network.classes or tuple(map(str, range(count)))
    return Dataset(str(data), None, Split(images, labels, classes))


def _numbered(network: Network, data: str, part: Split) -> np.ndarray:
    """Return the class of each image by the network's numbers, which names tell if both have some.

    Raises:
        InputError: there are more or fewer classes than the network has, or others.
    """
    theirs, ours = part.classes, network.classes
    if len(theirs) != network.num_classes:
        raise InputError(
            f"{data}: has {len(theirs)} classes, {network.name} tells {network.num_classes} apart"
        )
    if ours is None or theirs == ours or _only_numbers(theirs) or _only_numbers(ours):
        return part.labels
    if set(theirs) != set(ours):
        name = next(name for name in theirs if name not in ours)
        raise InputError(
            f"{data}: its class {name!r} is none of those that {network.name} tells apart "
            f"({', '.join(ours[:5])}{', …' if len(ours) > 5 else ''})"
        )
    place = {name: i for i, name in enumerate(ours)}
    numbers = np.array([place[name] for name in theirs], np.int64)
    return np.asarray(numbers[part.labels])


def _told(theirs: tuple[str, ...], ours: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the names of the classes in the network's order, numbers only where there are none."""
    return theirs if ours is None or _only_numbers(ours) else ours


def _only_numbers(classes: tuple[str, ...]) -> bool:
    return classes == tuple(map(str, range(len(classes))))
