"""`zoo.predict`: what trained weights see in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.arch import Spec
from zoo.data import Images
from zoo.data.transforms import center_crop, resize
from zoo.errors import InputError, ZooError
from zoo.evaluation.evaluating import WORKERS
from zoo.evaluation.inputs import ImageView, PathImages, collect, fixed_size, readable, size_after
from zoo.evaluation.network import Network
from zoo.evaluation.pipeline import Transforms
from zoo.evaluation.predictions import Guess, Prediction, Predictions
from zoo.evaluation.running import Progress, run
from zoo.evaluation.source import find
from zoo.loading import Source
from zoo.measures import BEST, softmax
from zoo.recipes import Recipe
from zoo.recipes.transforms import CenterCrop, Resize

if TYPE_CHECKING:
    from PIL.Image import Image

BATCH = 32


def predict(
    weights: Source,
    inputs: str | Path | Sequence[str | Path],
    *,
    model: str | Spec | None = None,
    backend: str | None = None,
    top: int = BEST,
    labels: str | Path | Sequence[str] | None = None,
    recipe: str | Path | Recipe | None = None,
    transforms: Transforms | None = None,
    batch_size: int = BATCH,
    workers: int = WORKERS,
    group_conv: str = "native",
    optimize: bool = True,
    skip_corrupt: bool = False,
    progress: Progress | None = None,
    **overrides: Any,
) -> Predictions:
    """Show trained weights pictures, and return the classes that they see.

    Args:
        weights: as for `evaluate`.
        inputs: files and folders of images (with those below), and ``"-"`` for paths on standard
            input, one a line.
        model: as for `evaluate`.
        backend: likewise.
        top: how many classes are told of each picture.
        labels: the names of the classes, or a text file with one on each line; by default those of
            the run or the file, else their numbers.
        recipe: as for `evaluate`. Where it leaves pictures as large as they are, as those for
            CIFAR do, others are scaled to the network's size first.
        transforms: likewise.
        batch_size: pictures a batch.
        workers: threads that prepare pictures.
        group_conv: as for `create`.
        optimize: as for `evaluate`.
        skip_corrupt: leave out pictures that are missing or cannot be read.
        progress: told of every batch; for progress bars.
        **overrides: fields of the spec.

    Raises:
        InputError: a picture is missing or cannot be read; or there are none.
        ZooError: as `evaluate`; or there are not as many labels as classes.
    """
    for name, value in (("top", top), ("batch_size", batch_size)):
        if value < 1:
            raise ZooError(f"{name} (={value}) must be at least 1")
    network = find(
        weights,
        model=model,
        backend=backend,
        transforms=transforms,
        recipe=recipe,
        group_conv=group_conv,
        optimize=optimize,
        overrides=overrides,
    )
    classes = _classes(labels, network)
    faults: list[str] = []
    given = [inputs] if isinstance(inputs, str | Path) else inputs
    images = PathImages(collect(given, missing=faults if skip_corrupt else None))
    order = np.arange(len(images))
    if skip_corrupt:
        order, unreadable = readable(images)
        faults += unreadable
        if not len(order):
            raise InputError("; ".join(faults))
    shown = _fitted(images, network)
    ran = run(network, shown, order, batch_size, workers, progress)
    notes: tuple[str, ...] = ()
    if isinstance(shown, Fitted) and shown.scaled:
        notes = (
            f"{len(shown.scaled)} of {len(order)} pictures were scaled to {shown.side} × "
            f"{shown.side} first, which is not in the transforms",
        )
    return Predictions(
        weights=network.name,
        model=network.model,
        backend=network.backend,
        pipeline=str(network.pipeline),
        rows=tuple(
            Prediction(images.name(number), _best(row, classes, top))
            for number, row in zip(order.tolist(), softmax(ran.logits), strict=True)
        ),
        logits=ran.logits,
        images=images,
        numbers=tuple(order.tolist()),
        skipped=tuple(faults),
        notes=notes,
    )


@dataclass(frozen=True, eq=False)
class Fitted(ImageView):
    """Pictures that are scaled to a network's size where its transforms would not.

    Attributes:
        side: height and width of the network's images.
        scaled: the numbers of those that had to be.
    """

    side: int
    scaled: set[int] = field(default_factory=set)

    def picture(self, index: int) -> Image:
        """Return a picture, the middle of it where it is no square.

        Raises:
            InputError: it cannot be read.
        """
        picture = self.images.picture(index)
        if size_after(self.transforms, picture.size) == (self.side, self.side):
            return picture
        self.scaled.add(index)
        return center_crop(resize(picture, Resize(size=self.side)), CenterCrop(size=self.side))


def _fitted(images: Images, network: Network) -> Images:
    steps = network.pipeline.transforms
    if fixed_size(steps) is not None or network.image_size is None:
        return images
    return Fitted(images, steps, network.image_size)


def _classes(labels: str | Path | Sequence[str] | None, network: Network) -> tuple[str, ...]:
    """Return the names of the classes.

    Raises:
        ZooError: the file cannot be read, or there are not as many names as classes.
    """
    count, where = network.num_classes, "labels"
    if labels is None:
        return network.classes or tuple(map(str, range(count)))
    if isinstance(labels, str | Path):
        where = str(labels)
        try:
            labels = Path(labels).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ZooError(f"{where}: cannot be read: {error}") from None
    if len(labels) != count:
        raise ZooError(f"{where}: has {len(labels)} names, must have {count}, one a class")
    return tuple(labels)


def _best(probabilities: np.ndarray, classes: Sequence[str], top: int) -> tuple[Guess, ...]:
    order = np.argsort(-probabilities, kind="stable")[:top]
    return tuple(Guess(int(i), classes[i], float(probabilities[i])) for i in order)
