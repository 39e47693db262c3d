"""What trained weights see in pictures: an object, a JSON file, a table, the pictures in a grid."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.data import Images
from zoo.output import write

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
class Predictions:
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

    def save(self, path: str | Path) -> None:
        """Write `to_json` to a file, whole or not at all.

        Raises:
            ZooError: it cannot be written.
        """
        write(Path(path), (self.to_json() + "\n").encode())

    def plot(self, path: str | Path, most: int = SHOWN) -> None:
        """Draw the pictures with what they were taken for as a PNG, whole or not at all.

        Args:
            path: the destination.
            most: the first so many pictures.

        Raises:
            ZooError: it cannot be written.
        """
        from zoo.evaluation.chart import Tile, draw_grid, shortened
        from zoo.evaluation.samples import thumbnail

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
