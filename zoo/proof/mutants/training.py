"""Mistakes in training: another recipe than was asked for, or another trainer than the recipe's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.arch import Graph
from zoo.arch.operators import BatchNorm2d
from zoo.passes import Weights
from zoo.proof.mutants.general import general
from zoo.proof.mutants.mutation import Mutant, Site, sites
from zoo.proof.mutants.wrapped import Wrapped

if TYPE_CHECKING:
    from backends import Trainable
    from zoo.recipes import Recipe

SGD = ("sgd", "nesterov", "clip_norm", "clip_value", "accumulate", "decay_all", "decay_weights")
"""Variants (`zoo.proof.variants`) by SGD."""
ADAM = ("adam", "adamw")


@dataclass(frozen=True, kw_only=True)
class Training:
    """A kind of mistake in training.

    Attributes:
        name: what reports call it.
        variants: the variants of training that it shows in.
        recipe: from the recipe to the mistaken one.
        wrapper: what is put around the trainer.
        graph: from the network to the mistaken one, for the trainer alone.
        backends: those that can do what it does, or none for all.
        when: whether a network admits it.
    """

    name: str
    variants: tuple[str, ...]
    recipe: Callable[[Recipe], Recipe] = lambda recipe: recipe
    wrapper: type[Wrapped] | None = None
    graph: Callable[[Graph], Graph] = lambda graph: graph
    backends: tuple[str, ...] = ()
    when: Callable[[Graph], bool] = lambda graph: True

    def mutants(self, graph: Graph, *, all_variants: bool = True) -> Iterator[Mutant]:
        """Yield a mutant for each variant, or the first; its node is the variant's name."""

        def trainer(
            engine: Trainable[Any], trained: Graph, weights: Weights, recipe: Recipe, **how: Any
        ) -> Any:
            made = engine.trainer(self.graph(trained), weights, self.recipe(recipe), **how)
            return self.wrapper(made, trained) if self.wrapper else made

        if not self.when(graph):
            return
        for variant in self.variants if all_variants else self.variants[:1]:
            yield Mutant(
                mutation=self.name,
                kind="training",
                operator="trainer",
                node=variant,
                level="training",
                graph=graph,
                trainer=trainer,
                backends=self.backends,
            )


def _optimizer(**changes: Callable[[Any], Any]) -> Callable[[Recipe], Recipe]:
    def change(recipe: Recipe) -> Recipe:
        fields = {name: f(recipe.optimizer) for name, f in changes.items()}
        return replace(recipe, optimizer=replace(recipe.optimizer, **fields))

    return change


def _recipe(**changes: Callable[[Recipe], Any]) -> Callable[[Recipe], Recipe]:
    return lambda recipe: replace(recipe, **{name: f(recipe) for name, f in changes.items()})


def _changed(change: Callable[..., tuple[Any, ...]]) -> type[Wrapped]:
    """Return a wrapper whose steps are given something else."""

    class Changed(Wrapped):
        def change(self, images: Any, targets: Any, lr: float, momentum: Any) -> tuple[Any, ...]:
            return change(images, targets, lr, momentum)

    return Changed


class _RateOfTheStepBefore(Wrapped):
    before: float | None = None

    def change(self, images: Any, targets: Any, lr: float, momentum: Any) -> tuple[Any, ...]:
        was, self.before = self.before, lr
        return images, targets, lr if was is None else was, momentum


class _FirstStepDampened(Wrapped):
    def finish(self) -> None:
        if self.steps == 1:
            self.remember(0.1)


class _MemoryForgotten(Wrapped):
    def finish(self) -> None:
        self.remember(0.0)


class _NoBiasCorrection(Wrapped):
    def begin(self) -> None:
        self.remember(1.0, steps=100_000)


class _CountOffByOne(Wrapped):
    def begin(self) -> None:
        self.remember(1.0, steps=1)


class _StatisticsForgotten(Wrapped):
    def weights(self) -> Weights:
        """Return the running statistics as they were at the start."""
        found: Weights = self.trainer.weights()
        still = {n: self.start[n] for n, p in self.graph.parameters.items() if not p.trainable}
        return found | still


class _OneParameterStays(Wrapped):
    def finish(self) -> None:
        name = [n for n, p in self.graph.parameters.items() if p.trainable][-1]
        weights = self.trainer.weights() | {name: self.start[name]}
        self.trainer.restore(weights, self.trainer.slots(), self.steps)


class _NormsStay(Wrapped):
    def finish(self) -> None:
        norms = [n.name for n in self.graph.nodes if isinstance(n.op, BatchNorm2d)]
        still = {
            f"{name}.{role}": self.start[f"{name}.{role}"]
            for name in norms
            for role in ("weight", "bias")
        }
        self.trainer.restore(self.trainer.weights() | still, self.trainer.slots(), self.steps)


class _WeightsOfTheStepBefore(Wrapped):
    def step(self, images: Any, targets: Any, *, lr: float, momentum: float | None) -> Any:
        """Keep the weights before it."""
        self.before = self.trainer.weights()
        return super().step(images, targets, lr=lr, momentum=momentum)

    def weights(self) -> Weights:
        """Return the weights before the last step."""
        found: Weights = self.before
        return found


def _mutated_output(name: str) -> Callable[[Graph], Graph]:
    """Return a change that puts a mutation of `general` at the output."""

    def change(graph: Graph) -> Graph:
        site: Site = next(s for s in sites(graph) if s.node.name in graph.outputs)
        mutation = next(m for m in general(type(site.op)) if m.name == name)
        mutant = mutation.at(site)
        assert mutant is not None
        return mutant.graph

    return change


def _has_biases(graph: Graph) -> bool:
    """Return whether there are biases but those of batch norms, which are spared anyway."""
    return any(
        "bias" in node.op.parameters() and not isinstance(node.op, BatchNorm2d)
        for node in graph.nodes
    )


def _one_hot(targets: np.ndarray) -> np.ndarray:
    return np.asarray(np.eye(targets.shape[1], dtype=targets.dtype)[targets.argmax(1)])


TRAININGS: tuple[Training, ...] = (
    Training(name="momentum 0.89 for 0.9", variants=SGD,
             recipe=_optimizer(momentum=lambda o: o.momentum - 0.01)),
    Training(name="momentum of a step not heeded", variants=("sgd", "nesterov", *ADAM),
             wrapper=_changed(lambda x, y, lr, momentum: (x, y, lr, None))),
    Training(name="Nesterov", variants=("sgd", "clip_norm"),
             recipe=_optimizer(nesterov=lambda o: True)),
    Training(name="plain momentum for Nesterov", variants=("nesterov",),
             recipe=_optimizer(nesterov=lambda o: False)),
    Training(name="first step dampened", variants=("sgd", "nesterov"), wrapper=_FirstStepDampened),
    Training(name="memory forgotten after each step", variants=("sgd", "adam"),
             wrapper=_MemoryForgotten),
    Training(name="decay forgotten", variants=(*SGD, *ADAM),
             recipe=_optimizer(weight_decay=lambda o: 0.0)),
    Training(name="decay off by a percent", variants=("sgd", *ADAM),
             recipe=_optimizer(weight_decay=lambda o: 1.01 * o.weight_decay)),
    Training(name="decay on batch norms, which are spared", variants=("sgd", "adamw"),
             recipe=_optimizer(decayed=lambda o: "all")),
    Training(name="decay on biases, which are spared", variants=("decay_weights",),
             recipe=_optimizer(decayed=lambda o: "not_norm"), when=_has_biases),
    Training(name="biases spared, which are decayed", variants=("sgd", "adam"),
             recipe=_optimizer(decayed=lambda o: "weights"), when=_has_biases),
    Training(name="batch norms spared, which are decayed", variants=("decay_all",),
             recipe=_optimizer(decayed=lambda o: "not_norm")),
    Training(name="rate off by a percent", variants=("sgd", "adam"),
             wrapper=_changed(lambda x, y, lr, momentum: (x, y, 1.01 * lr, momentum))),
    Training(name="rate of the recipe", variants=("sgd", "adam"),
             wrapper=_changed(lambda x, y, lr, momentum: (x, y, 1e-3, momentum))),
    Training(name="rate of the step before", variants=("sgd", "adam"),
             wrapper=_RateOfTheStepBefore),
    Training(name="eps × 10", variants=ADAM, recipe=_optimizer(eps=lambda o: 10 * o.eps)),
    Training(name="eps 1e-8", variants=ADAM, recipe=_optimizer(eps=lambda o: 1e-8)),
    Training(name="first beta 0.8", variants=ADAM,
             recipe=_optimizer(betas=lambda o: (0.8, o.betas[1]))),
    Training(name="second beta 0.999", variants=ADAM,
             recipe=_optimizer(betas=lambda o: (o.betas[0], 0.999))),
    Training(name="bias correction left out", variants=ADAM, wrapper=_NoBiasCorrection),
    Training(name="steps counted from one", variants=ADAM, wrapper=_CountOffByOne),
    Training(name="decay decoupled", variants=("adam",),
             recipe=_optimizer(decoupled=lambda o: True)),
    Training(name="decay coupled", variants=("adamw",),
             recipe=_optimizer(decoupled=lambda o: False)),
    Training(name="clipping left out", variants=("clip_norm", "clip_value"),
             recipe=_recipe(clip_norm=lambda r: None, clip_value=lambda r: None)),
    Training(name="bound of clipping off by a percent", variants=("clip_norm", "clip_value"),
             recipe=_recipe(clip_norm=lambda r: r.clip_norm and 1.01 * r.clip_norm,
                            clip_value=lambda r: r.clip_value and 1.01 * r.clip_value)),
    Training(name="clipped by value for norm", variants=("clip_norm",),
             recipe=_recipe(clip_norm=lambda r: None, clip_value=lambda r: r.clip_norm)),
    Training(name="clipped by norm for value", variants=("clip_value",),
             recipe=_recipe(clip_norm=lambda r: r.clip_value, clip_value=lambda r: None)),
    Training(name="batch taken as a whole", variants=("accumulate",),
             recipe=_recipe(accumulate=lambda r: 1)),
    Training(name="batch taken in four parts", variants=("accumulate",),
             recipe=_recipe(accumulate=lambda r: 4, batch_size=lambda r: 4)),
    Training(name="parts added up instead of averaged", variants=("accumulate",),
             graph=_mutated_output("gradient doubled")),
    Training(name="scale of the loss not divided by", variants=("sgd", "adam"),
             graph=_mutated_output("gradient doubled")),
    Training(name="gradient off by a thousandth", variants=("sgd",),
             graph=_mutated_output("gradient off by a thousandth")),
    Training(name="computed in bfloat16", variants=("sgd",),
             recipe=_recipe(precision=lambda r: "bfloat16"), backends=("torch",)),
    Training(name="running statistics forgotten", variants=("sgd",), wrapper=_StatisticsForgotten),
    Training(name="one parameter stays", variants=("sgd",), wrapper=_OneParameterStays),
    Training(name="batch norms stay", variants=("sgd",), wrapper=_NormsStay),
    Training(name="weights of the step before", variants=("sgd",),
             wrapper=_WeightsOfTheStepBefore),
    Training(name="last image left out", variants=("sgd",),
             wrapper=_changed(lambda x, y, lr, momentum: (x[:-1], y[:-1], lr, momentum))),
    Training(name="targets of the next image", variants=("sgd",),
             wrapper=_changed(lambda x, y, lr, momentum: (x, np.roll(y, 1, 0), lr, momentum))),
    Training(name="the likeliest class alone", variants=("sgd",),
             wrapper=_changed(lambda x, y, lr, momentum: (x, _one_hot(y), lr, momentum))),
    Training(name="loss summed over the images", variants=("sgd",),
             wrapper=_changed(lambda x, y, lr, momentum: (x, len(x) * y, lr, momentum))),
    Training(name="images mirrored", variants=("sgd",),
             wrapper=_changed(lambda x, y, lr, momentum: (x[..., ::-1].copy(), y, lr, momentum))),
)  # fmt: skip
"""Every kind of mistake in training."""
