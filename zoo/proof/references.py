"""What the candidates of a proof are compared with, and what float32 itself loses there.

The NumPy interpreter in float64 for values, PyTorch in float64 for gradients and training, PyTorch
in float32 for the floor. PyTorch's gradients are themselves held against differences of NumPy's
losses: a mistake in our table of PyTorch's layers would otherwise be in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

import backends
from backends.numpy.operators import apply
from zoo.arch import INPUT, Graph, Node
from zoo.errors import WeightsError
from zoo.passes import Weights
from zoo.proof.adequacy import Coverage, Gap, coverage, gradient_gaps
from zoo.proof.candidate import Candidate
from zoo.proof.case import Case
from zoo.proof.floor import largest, last_bit_variants
from zoo.proof.local import magnitude
from zoo.proof.measure import each_relative_l2, joint_relative_l2, maxima
from zoo.proof.steps import Exact, exact
from zoo.proof.tolerances import SLOPE

Arrays = dict[str, np.ndarray]

SLOPE_STEPS = (1e-6, 3e-7, 1e-7)
"""Relative sizes of the steps that losses are differenced over: a hundredth of the distance that
well-conditioned weights keep from any kink, and large beside float64's rounding."""
MODES = {False: "evaluation", True: "training"}
DRAWS = 6
"""How many runs with drawn errors show what the errors of single nodes add up to."""


Change = Callable[[Node, list[np.ndarray], Arrays, np.ndarray], np.ndarray]


def _walk(
    graph: Graph,
    weights: Weights,
    images: np.ndarray,
    training: bool,
    change: Change = lambda node, inputs, held, value: value,
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield every value in float64, of weights that may have more digits than float32.

    Args:
        graph: the network.
        weights: by name; they are left as they are.
        images: its input.
        training: whether batch norms use the statistics of the batch.
        change: returns what is made of a node's value.
    """
    alive: Arrays = {INPUT: images.astype(np.float64)}
    last = graph.last_reader()
    for i, node in enumerate(graph.nodes):
        held = {role: weights[f"{node.name}.{role}"].copy() for role in node.op.parameters()}
        inputs = [alive[name] for name in node.inputs]
        alive[node.name] = change(node, inputs, held, apply(node.op, inputs, held, training))
        yield node.name, alive[node.name]
        alive = {name: kept for name, kept in alive.items() if last.get(name, -1) > i}


class References:
    """Each is computed when it is first asked for."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._gradients: dict[bool, tuple[Weights, float, dict[str, float]]] = {}
        self._coverage: dict[bool, Coverage] = {}
        self._training: dict[str, Exact] = {}
        self._gradient_gaps: tuple[Gap, ...] | None = None
        self._numpy = Candidate("numpy64", backends.load("numpy"), case.settled, dtype="float64")

    @cached_property
    def _torch64(self) -> Candidate:
        return Candidate("torch64", backends.load("torch"), self.case.settled, dtype="float64")

    @cached_property
    def _torch32(self) -> Candidate:
        return Candidate("torch32", backends.load("torch"), self.case.settled)

    @cached_property
    def evaluated(self) -> Arrays:
        """Value of every node in evaluation mode."""
        return self._finite(self._numpy.forward(self.case, training=False)[0], False)

    @cached_property
    def trained_forward(self) -> tuple[Arrays, Arrays]:
        """Value of every node, and running statistics after, in training mode."""
        values, buffers = self._numpy.forward(self.case, training=True)
        return self._finite(values, True), self._finite(buffers, True)

    def _finite(self, arrays: Arrays, training: bool) -> Arrays:
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise WeightsError(
                    f"{name}: the float64 reference is not finite in "
                    f"{'training' if training else 'evaluation'} mode under these weights and "
                    "images: there is nothing to compare with"
                )
        return arrays

    def coverage(self, training: bool) -> Coverage:
        """Return what the work can show in a mode, and what it cannot."""
        if training not in self._coverage:
            values = self.trained_forward[0] if training else self.evaluated
            self._coverage[training] = coverage(
                self.case.graph,
                self.case.weights[training],
                {INPUT: self.case.images, **values},
                training=training,
            )
        return self._coverage[training]

    def covered(self) -> dict[str, Coverage]:
        """Return what the work could show, by mode, as far as it was asked for."""
        found = {MODES[training]: kept for training, kept in self._coverage.items()}
        for gap in self._gradient_gaps or ():
            mode = MODES[gap.training]
            found[mode] = replace(found[mode], gaps=(*found[mode].gaps, gap))
        return found

    def gap(self, *, training: bool, gradients: bool = False) -> str:
        """Return the first thing that a finding could not have shown, or nothing."""
        gaps = [*self.coverage(training).gaps]
        if gradients:
            gaps += [gap for gap in self.gradient_gaps if gap.training == training]
        return str(gaps[0]) if gaps else ""

    @property
    def gradient_gaps(self) -> tuple[Gap, ...]:
        """The parameters that no gradient reaches, in either mode."""
        if self._gradient_gaps is None:
            self._gradient_gaps = gradient_gaps(
                self.case.settled, self.gradients(False)[0], self.gradients(True)[0]
            )
        return self._gradient_gaps

    @cached_property
    def forward_floor(self) -> tuple[dict[str, float], dict[str, float]]:
        """The floor of the values, and of the running statistics, in training mode."""
        values, buffers = self.trained_forward
        runs = []
        for weights in last_bit_variants(self.case.weights[True]):
            found = self._torch32.forward(self.case, training=True, weights=weights)
            runs.append((maxima(found[0], values, {}), maxima(found[1], buffers, {})))
        return largest([run[0] for run in runs]), largest([run[1] for run in runs])

    def propagated(self, errors: Mapping[str, float], *, training: bool) -> dict[str, float]:
        """Return how far errors of single nodes move each value.

        The largest of several runs of the reference in which each value of these nodes is off by as
        much: up or down at random, value by value in every other run, and node by node in those
        between, since what approximates mostly errs to one side.

        Args:
            errors: node → error, in units of its magnitude (see `zoo.proof.local`).
            training: whether batch norms use the statistics of the batch.
        """
        case, rng = self.case, np.random.default_rng(0)
        exact = self.trained_forward[0] if training else self.evaluated

        def off(each: bool) -> Change:
            def change(
                node: Node, inputs: list[np.ndarray], held: Arrays, value: np.ndarray
            ) -> np.ndarray:
                unit = magnitude(node.op, inputs, held, value, training)
                signs = rng.choice((-1.0, 1.0), value.shape if each else ())
                return np.asarray(value + errors.get(node.name, 0.0) * unit * signs)

            return change

        runs = []
        for run in range(DRAWS if errors else 0):
            change = off(run % 2 == 1)
            values = _walk(case.graph, case.weights[training], case.images, training, change)
            runs.append(maxima(dict(values), exact, {}))
        return largest(runs) if runs else {}

    def gradients(self, training: bool) -> tuple[Weights, float, dict[str, float]]:
        """Return (gradients, their floor as a whole, and each)."""
        if training not in self._gradients:
            exact = self._torch64.gradients(self.case, training=training)
            wholes, each = [], []
            for weights in last_bit_variants(self.case.weights[training]):
                run = self._torch32.gradients(self.case, training=training, weights=weights)
                wholes.append(joint_relative_l2(run, exact))
                each.append(each_relative_l2(run, exact))
            self._gradients[training] = (exact, max(wholes), largest(each))
        return self._gradients[training]

    def slope_error(self, training: bool) -> float:
        """Return how far PyTorch's float64 gradients are off the slope of NumPy's loss.

        Along a random direction, in which every parameter moves: in units of what the direction
        typically makes of such gradients. A step across a kink of an activation has another slope
        before it than behind, which happens along few directions; a gradient that is wrong is so
        along nearly all. So what is off is looked at along two others, by shorter steps, and the
        middle one counts.
        """
        first, *shorter = SLOPE_STEPS
        error = self._slope_error(training, np.random.default_rng(1), first)
        if error <= SLOPE:
            return error
        others = [
            self._slope_error(training, np.random.default_rng(2 + i), step)
            for i, step in enumerate(shorter)
        ]
        return sorted([error, *others])[1]

    def _slope_error(self, training: bool, rng: np.random.Generator, step: float) -> float:
        exact = self.gradients(training)[0]
        start = {n: a.astype(np.float64) for n, a in self.case.weights[training].items()}
        direction = {
            name: rng.standard_normal(g.shape) * np.sqrt(np.square(start[name]).mean() or 1.0)
            for name, g in exact.items()
        }
        ends = [
            self._loss(start | {n: start[n] + sign * step * direction[n] for n in exact}, training)
            for sign in (1, -1)
        ]
        slope = (ends[0] - ends[1]) / (2 * step)
        terms = [float(np.sum(exact[name] * direction[name])) for name in exact]
        typical = np.sqrt(
            sum(float(np.sum(np.square(exact[name] * direction[name]))) for name in exact)
        )
        return abs(slope - sum(terms)) / (typical or 1.0)

    def _loss(self, weights: Weights, training: bool) -> float:
        case = self.case
        (output,) = case.settled.outputs
        values = _walk(case.settled, weights, case.images, training)
        (logits,) = (value for name, value in values if name == output)
        logits = logits - logits.max(1, keepdims=True)
        log_sum = np.log(np.exp(logits).sum(1))
        return float((log_sum - logits[np.arange(len(logits)), self.case.labels]).mean())

    def training(self, variant: str) -> Exact:
        """Return the work of the training level, and what it should come to."""
        if variant not in self._training:
            self._training[variant] = exact(self.case, variant)
        return self._training[variant]

    def forget(self) -> None:
        """Let go of all that was computed: of a large network it is gigabytes a level."""
        self._gradients.clear()
        self._training.clear()
        for name in ("evaluated", "trained_forward", "forward_floor"):
            self.__dict__.pop(name, None)
