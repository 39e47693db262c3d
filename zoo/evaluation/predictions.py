"""`zoo.predict`, and what it returns: an object, a JSON file, a table, the pictures in a grid."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.arch import Spec
from zoo.data import Images
from zoo.errors import InputError, ZooError
from zoo.evaluation.runner import run
from zoo.evaluation.setup import Network, Setup
from zoo.images import Uniform, collect, readable
from zoo.loading import Source
from zoo.measures import BEST, softmax
from zoo.output import Progress, Summarized, write
from zoo.preprocessing import Transforms
from zoo.recipes import Recipe
from zoo.recipes.pictures import fixed_size

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = 6
SHOWN = 48
"""Pictures in a grid, at most."""
GUESSES = 3
"""Classes below each of them, at most."""
CAPTION = 26
"""Characters that fit below a picture."""


@dataclass(frozen=True)
class Guess:
    """A class and how probable the network takes it to be.

    Attributes:
        index: the number of the class.
        name: its name; its number as text where that is not known.
        probability: from 0 to 1, of all classes together 1.
    """

    index: int
    name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """A picture, and the most probable classes, the best first."""

    image: str
    guesses: tuple[Guess, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions(Summarized):
    """What a network says of pictures.

    Attributes:
        weights: what was asked: a run and its epoch, a file, the name of published weights.
        model: the network's name.
        backend: what ran it.
        pipeline: how pictures were prepared, and who says so.
        rows: a prediction for each picture, in the order that they were given in.
        logits: of each, float32 (pictures, classes).
        images: the pictures.
        numbers: which of them the rows are.
        skipped: what is wrong with pictures that were left out, where that was asked for.
        notes: what else there is to know.
    """

    weights: str
    model: str
    backend: str
    pipeline: str
    rows: tuple[Prediction, ...]
    logits: np.ndarray
    images: Images
    numbers: tuple[int, ...]
    skipped: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> str:
        """Return all but logits and pictures as JSON."""
        told = ("weights", "model", "backend", "pipeline", "skipped", "notes")
        fields = {name: getattr(self, name) for name in told}
        fields["images"] = [
            {"image": row.image, "classes": [dataclasses.asdict(guess) for guess in row.guesses]}
            for row in self.rows
        ]
        return json.dumps(fields, indent=1, ensure_ascii=False)

    def plot(self, path: str | Path, most: int = SHOWN) -> None:
        """Draw the pictures with what they were taken for as a PNG, whole or not at all.

        Args:
            path: the destination.
            most: the first so many pictures.

        Raises:
            ZooError: it cannot be written.
        """
        from zoo.evaluation.charts import Tile, draw_grid, shortened, thumbnail

        tiles = []
        for number, row in list(zip(self.numbers, self.rows, strict=True))[:most]:
            told = [
                f"{shortened(guess.name, CAPTION - 7)} {100 * guess.probability:.1f} %"
                for guess in row.guesses[:GUESSES]
            ]
            caption = "\n".join([shortened(Path(row.image).name, CAPTION), *told])
            tiles.append(Tile(thumbnail(self.images.picture(number)), caption))
        title = f"{self.weights}, {self.backend}"
        if len(tiles) < len(self.rows):
            title += f": the first {len(tiles)} of {len(self.rows)} pictures"
        rows = [tiles[at : at + COLUMNS] for at in range(0, len(tiles), COLUMNS)]
        write(Path(path), draw_grid(rows, title))

    def table(self) -> Table:
        """Return a row for each picture, with its best classes (`rich`)."""
        from rich.table import Table

        from zoo.style import STYLE, ending, escape

        view = Table(title=escape(f"{self.weights}, {self.backend}"), **STYLE)
        view.add_column("image", overflow="fold")
        view.add_column("class: probability, %")
        for row in self.rows:
            best = ", ".join(
                f"{guess.name}: {100 * guess.probability:.1f}" for guess in row.guesses
            )
            view.add_row(escape(ending(row.image)), escape(best))
        return view

    def __repr__(self) -> str:
        return f"<Predictions of {self.weights}, {self.backend}: {len(self.rows)} pictures>"


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
    batch_size: int = 32,
    workers: int = 2,
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
    if top < 1:
        raise ZooError(f"top (={top}) must be at least 1")
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
    classes = _classes(labels, network)
    faults: list[str] = []
    given = [inputs] if isinstance(inputs, str | Path) else inputs
    images = collect(given, missing=faults if skip_corrupt else None)
    order = np.arange(len(images))
    if skip_corrupt:
        order, unreadable = readable(images)
        faults += unreadable
        if not len(order):
            raise InputError("; ".join(faults))
    shown: Images = images
    steps, side, scaled = network.pipeline.transforms, network.image_size, set[int]()
    if side is not None and fixed_size(steps) is None:
        shown = Uniform(images, steps, (side, side), scaled=scaled)
    ran = run(network, shown, order)
    notes: tuple[str, ...] = ()
    if scaled:
        notes = (
            f"{len(scaled)} of {len(order)} pictures were scaled to {side} × {side} first, which "
            "is not in the transforms",
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
