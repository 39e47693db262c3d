"""Images through a network, and `zoo.evaluate`: how well it names them, and how fast."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import backends
from zoo.arch import Spec
from zoo.data import Dataset, Images, Split, open_dataset
from zoo.data.batches import batches
from zoo.errors import InputError, WeightsError, unknown
from zoo.evaluation.evaluation import Evaluation
from zoo.evaluation.setup import Network, Setup
from zoo.images import find_pictures, read_truth, readable, uniform
from zoo.loading import Source
from zoo.measures import measure
from zoo.output import Progress
from zoo.preprocessing import Transforms
from zoo.recipes import Recipe

SPLITS = ("test", "train")


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
    batch_size: int = 128,
    workers: int = 2,
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
    setup = Setup.of(
        weights,
        model=model,
        backend=backend,
        recipe=recipe,
        transforms=transforms,
        batch_size=batch_size,
        workers=workers,
        group_conv=group_conv,
        optimize=optimize,
        skip_corrupt=skip_corrupt,
        progress=progress,
        **overrides,
    )
    network = setup.network()
    return evaluate_network(network, open_data(data, network, truth, labels), split)


def open_data(
    data: str | Path | Dataset | None,
    network: Network,
    truth: str | Path | None = None,
    labels: str | None = None,
) -> Dataset:
    """Return a data set, by default that of the network's run, with the labels that this had.

    Raises:
        InputError: it cannot be read, or is not said.
    """
    if truth is not None:
        return _listed(data, truth, network)
    if isinstance(data, Dataset):
        return data
    info = network.run.info if network.run is not None else None
    data = data if data is not None or info is None else info.source
    if data is None:
        raise InputError(f"{network.name}: on which images? give data= (--data)")
    labels = labels or (info.labels if info is not None else "fine")
    return open_dataset(data, labels=labels, skip_corrupt=network.setup.skip_corrupt)


def evaluate_network(
    network: Network, data: Dataset, split: str = "test", *, most: int | None = None
) -> Evaluation:
    """Evaluate a network that was found.

    Args:
        network: of a `Setup`.
        data: the data set.
        split: as for `evaluate`.
        most: take no more than so many images, evenly spaced.

    Raises:
        InputError: there are no such images, one cannot be read, or their classes do not fit.
        WeightsError: the network has no finite logits for an image.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    part = data.test if split == "test" else data.train
    if part is None or not len(part):
        other = "train" if split == "test" else "test"
        raise InputError(
            f"{data.name}: has no {split} images; split={other!r} (--split {other}) takes others"
        )
    known = _numbered(network, data.name, part)
    begun = time.perf_counter()
    order, faults = np.arange(len(part)), list[str]()
    if network.setup.skip_corrupt:
        order, faults = readable(part.images)
        if not len(order):
            raise InputError(f"{data.name}: none of the {len(part)} images can be read")
    if most is not None and most < len(order):
        order = order[np.arange(most) * len(order) // most]
    ran = run(network, part.images, order)
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
        engine=backends.load(network.backend).describe(),
    )


@dataclass(frozen=True, eq=False)
class InferenceResult:
    """What a network made of images, and how long it took; see `Evaluation`."""

    logits: np.ndarray
    first_call_seconds: float
    seconds: float
    timed_images: int


def run(network: Network, images: Images, order: np.ndarray) -> InferenceResult:
    """Return the logits of images, in an order.

    All batches have one size, the last one being filled up with zeros: some run-times compile for
    each size.

    Raises:
        InputError: an image cannot be read, or has another size than the others.
        WeightsError: the network has no finite logits for an image.
    """
    steps = network.pipeline.transforms
    setup = network.setup
    size = network.batch or min(setup.batch_size, len(order))
    prepared = batches(
        uniform(images, steps, int(order[0])),
        steps,
        order,
        batch_size=size,
        seed=0,
        epoch=0,
        workers=setup.workers,
    )
    rows: list[np.ndarray] = []
    seconds: list[float] = []
    done = 0
    call, batch = None, np.empty(0)
    # Closed whatever happens: its threads would live as long as the traceback of an error.
    with closing(prepared):
        for fresh in prepared:
            batch = np.zeros((size, *fresh.shape[1:]), np.float32)
            batch[: len(fresh)] = network.pipeline.ordered(fresh)
            begun = time.perf_counter()
            call = call or network.start()
            logits = call(batch)
            seconds.append(time.perf_counter() - begun)
            rows.append(np.array(logits[: len(fresh)], np.float32))
            bad = np.flatnonzero(~np.isfinite(rows[-1]).all(1))
            if len(bad):
                name = images.name(int(order[done + bad[0]]))
                raise WeightsError(f"{network.name}: the logits of {name} are not finite numbers")
            done += len(fresh)
            if setup.progress is not None:
                setup.progress(f"{network.backend}: images", done, len(order))
    if len(seconds) == 1 and call is not None:
        begun = time.perf_counter()
        call(batch)
        return InferenceResult(rows[0], seconds[0], time.perf_counter() - begun, len(order))
    return InferenceResult(np.concatenate(rows), seconds[0], sum(seconds[1:]), len(order) - size)


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
    classes = network.classes or tuple(map(str, range(count)))
    return Dataset(str(data), None, Split(pictures, labels, classes))


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
