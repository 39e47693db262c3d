"""The first steps of our recipes: how large the loss becomes, from either initialization.

Each run is the loop of `zoo train` with the recipe's own learning rates, as it is and without
clipping where it clips; the loss is told in that of guessing, ln(classes). What is there already is
not run again.

    ZOO_DATA=… python benchmarks/start.py                # writes benchmarks/results/start.json
    ZOO_DATA=… python benchmarks/start.py cifar10 --batch-size 32
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import torch
import typer

import backends
from weights import initialize
from zoo.data import open_dataset
from zoo.recipes import Recipe, recipe
from zoo.training.interrupts import Interrupt
from zoo.training.loader import Loader
from zoo.training.loop import Loop
from zoo.training.run import Run
from zoo.training.state import State

RESULTS = Path(__file__).parent / "results" / "start.json"
CIFAR, TINY = "cifar10_exact_subset.npz", "tiny_imagenet_200.zip"
# Recipe → data there are, and their classes: part of Tiny ImageNet, no CIFAR-100.
RECIPES = {
    "cifar10": (CIFAR, 10),
    "tiny_imagenet": (TINY, 100),
    "cifar10_2.0x": (CIFAR, 10),
    "cifar100_coarse": (CIFAR, 10),
}
CLIPS = ("clip_norm", "clip_value")


class Recorded:
    """A trainer that keeps the losses of its first steps, and then asks the loop to stop."""

    def __init__(self, trainer: Any, steps: int, interrupt: Interrupt) -> None:
        self.trainer, self.steps, self.interrupt = trainer, steps, interrupt
        self.losses: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trainer, name)

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """Take a step."""
        loss, predicted = self.trainer.step(*args, **kwargs)
        self.losses.append(loss)
        self.interrupt.asked = len(self.losses) == self.steps
        return loss, predicted


def first_steps(chosen: Recipe, data: Path, steps: int) -> dict[str, Any]:
    """Take the first steps of a recipe; return what is told of them."""
    torch.set_num_threads(1)
    engine, train = backends.load("torch"), open_dataset(data).train
    assert train is not None
    weights = initialize(chosen.spec.graph, chosen.seed)
    interrupt = Interrupt()
    trainer = Recorded(engine.trainer(chosen.spec.graph, weights, chosen), steps, interrupt)
    loop = Loop(
        run=Run(Path(), chosen, {}), engine=engine, trainer=trainer, train=train, test=None,
        feed=Loader(engine, "numpy", 0, chosen.seed), state=State(weights=weights),
        interrupt=interrupt, log=None, progress=None,
    )  # fmt: skip
    loop.go()
    guessing = math.log(chosen.spec.num_classes)
    return {
        "first": trainer.losses[0] / guessing,
        "max": max(trainer.losses) / guessing,
        "last_ten": fmean(trainer.losses[-10:]) / guessing,
        "images": len(train),
    }


def main(
    recipes: Annotated[list[str] | None, typer.Argument(help="by default all of ours")] = None,
    steps: Annotated[int, typer.Option(min=1)] = 100,
    batch_size: Annotated[int | None, typer.Option(help="by default the recipe's")] = None,
) -> None:
    """Run what is not there yet, and write it down run by run."""
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    for name in recipes or RECIPES:
        file, classes = RECIPES[name]
        plain = recipe(name, **{"overrides.num_classes": classes})
        if batch_size is not None:
            plain = plain.replace(batch_size=batch_size)
        for initialization in ("damped", "fan_in"):
            begun = plain.replace(**{"overrides.initialization": initialization})
            bare = begun.replace(**dict.fromkeys(CLIPS))
            for chosen in (bare,) if bare == begun else (bare, begun):
                row = {
                    "recipe": name,
                    "network": chosen.network,
                    "initialization": initialization,
                    **{clip: getattr(chosen, clip) for clip in CLIPS},
                    "batch_size": chosen.batch_size,
                    "steps": steps,
                }
                if any(row.items() <= done.items() for done in rows):
                    continue
                rows.append(row | first_steps(chosen, Path(os.environ["ZOO_DATA"]) / file, steps))
                print(rows[-1], flush=True)
                RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
