"""What the tests of MindSpore's trainer run in other processes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from trainer_material import (
    CYCLE,
    RESTORED,
    SGD_PLAIN,
    STEPS,
    TOGETHER,
    small_batches,
    small_network,
    small_recipe,
    small_weights,
    steps_of,
)

import backends


def resume(file: Path) -> None:
    """Take two steps here, and two more in a trainer restored from what they left."""
    engine = backends.load("mindspore")
    optimizer, changes, momenta = RESTORED["adam"]
    graph = small_network(dropout=0.4)
    weights, batches = small_weights(graph), small_batches(STEPS)
    recipe = small_recipe(optimizer, **changes)
    before = engine.trainer(graph, weights, recipe)
    steps_of(before, batches[:2], momenta)
    trainer = engine.trainer(graph, weights, recipe)
    trainer.restore(before.weights(), before.slots(), 2)
    steps_of(trainer, batches[2:], momenta, 2)
    np.savez(file, **trainer.weights())


def together(folder: Path) -> None:
    """Take the steps of one of two processes, on its half of each batch."""
    engine = backends.load("mindspore")
    graph = small_network(norm=False)
    weights, batches = small_weights(graph), small_batches(STEPS)
    found: dict[str, object] = {}
    for name, (optimizer, changes) in TOGETHER.items():
        trainer = engine.trainer(graph, weights, small_recipe(optimizer, **changes))
        half = slice(6 * trainer.rank, 6 * trainer.rank + 6)
        steps = steps_of(trainer, [(x[half], y[half]) for x, y in batches])
        found[f"{name}.losses"] = np.array([loss for loss, _ in steps])
        found |= {f"{name}.weights.{n}": array for n, array in trainer.weights().items()}
    values = [[[2.0**31 - 1, 2.0**-30], [1e300, 0.1]], [[1.0, 0.0], [1.0, 0.7]]]
    found["sum"] = trainer.sum(np.array(values[trainer.rank]))
    random = engine.trainer(
        small_network(norm=False, dropout=0.4), weights, small_recipe(SGD_PLAIN)
    )
    found["dropout"] = random.step(*batches[0], lr=0.1, momentum=CYCLE[0] * 0)[0]
    found |= {"rank": trainer.rank, "world": trainer.world}
    np.savez(folder / f"rank{trainer.rank}.npz", **found)


if __name__ == "__main__":
    {"resume": resume, "together": together}[sys.argv[1]](Path(sys.argv[2]))
