"""A network in training, in MindSpore's graph mode, in one process or several (`msrun`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn

from backends.mindspore import processes
from backends.mindspore.model import build
from backends.mindspore.optimizers import Update
from backends.mindspore.parameters import parameters
from backends.mindspore.run import graph_mode, kept
from backends.mindspore.step import Finish, Gradients, Part, Step, make_sums
from backends.mindspore.training_layers import prepare, set_key
from zoo.arch import Graph, operators
from zoo.errors import InputError, SpecError
from zoo.recipes import Recipe, check_slots

Arrays = dict[str, np.ndarray]


class Trainer:
    """See `backends.Trainer`.

    A step compiles when images of another number or size come for the first time.
    """

    def __init__(self, graph: Graph, weights: Arrays, recipe: Recipe) -> None:
        self.graph, self.recipe, self.steps = graph, recipe, 0
        self.rank, self.world = processes.join()
        self.classes = graph.shapes()[graph.outputs[0]][-1]
        self._admitted: set[tuple[int, ...]] = set()
        with graph_mode():
            self.network, self._found, self._key = self.make()
            self._fill(weights)
            found = self._found
            self._trained = {n: p for n, p in found.items() if graph.parameters[n].trainable}
            self.update = Update(graph, self._trained, recipe)
            ordered = [self._trained[name] for name in self.update.names]
            gradients = Gradients(self.network, ordered, recipe.loss_scale)
            mean = processes.Mean(self.world)
            if recipe.accumulate == 1:
                self._step = Step(gradients, mean, self.update).set_train()
            else:
                sums = make_sums(ordered)
                self._part = Part(gradients, sums).set_train()
                self._finish = Finish(sums, mean, self.update).set_train()

    def make(self) -> tuple[nn.Cell, dict[str, Parameter], Parameter | None]:
        """Return what is trained, its parameters by the graph's names, and the key of its draws."""
        network = build(self.graph).set_train(True)
        key = prepare(network, self.graph, self.recipe.precision)
        return network, parameters(network), key

    def _fill(self, weights: Arrays) -> None:
        for name, array in weights.items():
            self._found[name].set_data(Tensor(array, self._found[name].dtype))

    def step(
        self, images: np.ndarray, targets: np.ndarray, *, lr: float, momentum: float | None
    ) -> tuple[float, np.ndarray]:
        self._admit(images, targets)
        scalars = self.update.scalars(lr, momentum, self.steps)
        with graph_mode():
            if self.recipe.accumulate == 1:
                loss, classes = self._run(0, self._step, images, targets, *scalars)
            else:
                loss, classes = self._parts(images, targets)
                self._finish(*scalars)
        self.steps += 1
        return loss, classes

    def _run(
        self, part: int, cell: Any, images: np.ndarray, targets: np.ndarray, *more: Tensor
    ) -> tuple[float, np.ndarray]:
        if self._key is not None:
            set_key(self._key, self.recipe.seed, self.steps, self.rank, part)
        x, y = (Tensor(np.ascontiguousarray(a, np.float32)) for a in (images, targets))
        loss, logits = cell(x, y, *more)
        return float(loss.asnumpy()), logits.asnumpy().argmax(1)

    def _parts(self, images: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
        """Add up the gradients of the parts; return the batch's loss and classes."""
        total, classes = 0.0, []
        parts = np.array_split(np.arange(len(images)), min(self.recipe.accumulate, len(images)))
        for number, part in enumerate(parts):
            share = len(part) / len(images)
            run = slice(part[0], part[-1] + 1)
            more = Tensor(np.float32(share)), Tensor(np.bool_(number == 0))
            loss, found = self._run(number, self._part, images[run], targets[run], *more)
            total += loss * share
            classes.append(found)
        return total, np.concatenate(classes)

    def weights(self) -> Arrays:
        # asnumpy() is a view that changes with the parameter: astype copies.
        return {name: p.asnumpy().astype(np.float32) for name, p in self._found.items()}

    def slots(self) -> dict[str, Arrays]:
        return {
            slot: {name: p.asnumpy().copy() for name, p in found.items()}
            for slot, found in self.update.slots().items()
        }

    def restore(self, weights: Arrays, slots: dict[str, Arrays], steps: int) -> None:
        own = self.update.slots()
        check_slots(self.recipe, self._trained, slots)
        self._fill(weights)
        for slot, found in own.items():
            for name, p in found.items():
                # What another trainer does not have yet is what an optimizer starts from.
                array = slots[slot][name] if slot in slots else np.zeros(p.shape)
                p.set_data(Tensor(np.array(array, np.float32)))
        self.steps = steps

    def place(self, model: Any) -> Any:
        return model

    def sum(self, values: np.ndarray) -> np.ndarray:
        with graph_mode():
            return processes.total(values, self.world)

    def _admit(self, images: np.ndarray, targets: np.ndarray) -> None:
        """Raise `InputError` unless a step can be taken on these arrays."""
        if targets.shape != (len(images), self.classes):
            raise InputError(
                f"targets: shape {targets.shape} must be ({len(images)}, {self.classes}): "
                "a probability for each image and class"
            )
        shape = (len(images) // self.recipe.accumulate or 1, *images.shape[1:])
        if shape in self._admitted:
            return
        if not len(images):
            raise InputError("images (=0) must be at least 1")
        self.graph.check_input(images.shape)
        # Where PyTorch refuses, MindSpore makes NaN of the running variance.
        shapes = self.graph.shapes(shape)
        for node in self.graph.nodes:
            if isinstance(node.op, operators.BatchNorm2d):
                values = int(np.prod(shapes[node.name])) // node.op.num_features
                if values < 2:
                    raise InputError(
                        f"{node.name}: values per channel (={values}) must be at least 2 in "
                        f"training; got images of shape {images.shape}, taken in "
                        f"{self.recipe.accumulate} part(s)"
                    )
        self._admitted.add(shape)


def trainer(graph: Graph, weights: Arrays, recipe: Recipe, *, compiled: bool = False) -> Trainer:
    """Return a trainer that starts from these weights.

    Args:
        graph: the network.
        weights: canonical name → array.
        recipe: what to train it by.
        compiled: makes no difference: the steps always are.

    Raises:
        SpecError: the recipe's precision is none that MindSpore can train in here.
    """
    if recipe.precision == "bfloat16":
        raise SpecError(
            "precision (=bfloat16): MindSpore cannot train in it on a CPU (no convolution, batch "
            "norm or pool takes it); use float32"
        )
    made: list[Trainer] = []

    def make() -> Trainer:
        made.append(Trainer(graph, weights, recipe))
        return made[0]

    found = kept(("trainer", graph, recipe.to_json()), make)
    if not made:
        found.restore(weights, {}, 0)
    return found
