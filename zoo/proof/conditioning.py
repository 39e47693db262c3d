"""Weights at which a comparison shows the most.

Initial weights show little: with shifts of 0, scales of 1 and running statistics of 0 and 1,
swapped or forgotten ones go unnoticed. Arbitrary ones show little about gradients: activations grow
from unit to unit until the softmax is saturated. And anywhere the input of a ReLU may lie so close
to zero that float32 and float64 disagree about its sign; the gradient is not continuous there, and
a difference says nothing about the code. So it is with a hard swish or sigmoid at -3 and 3. Where
no value lies beyond such a kink, on the other hand, nothing shows that it is there.

So every array is drawn (`weights.randomize`), running statistics fit the images, the strongest
channels of each activation's input are stretched over all of its regions (`reach`), and the bias of
each batch norm (or convolution) before it is shifted, by a few hundredths of a deviation where
nothing else asks for more, to where the kinks fall into gaps between the values it sees (`levers`).
Windows of a max pool do not have two maxima (`ties`). Float32 is then as exact as it can be, and
bounds can be tight.
"""

from __future__ import annotations

import math
import zlib

import numpy as np

import weights as arrays
from backends.numpy.operators import apply
from zoo.arch import INPUT, Graph, Node
from zoo.arch.head import classifier_of
from zoo.arch.operators import Add, BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Mul
from zoo.passes import Weights
from zoo.proof import ties
from zoo.proof.levers import clear, levers
from zoo.proof.reach import lively, place, refill, shift, stretch
from zoo.proof.sights import sights
from zoo.proof.streams import lower

SPREAD = 0.2
"""How far running statistics are off what was seen, relative to its size."""
DAMPING = 12
"""Mean squares of all channels that are added to that of each: the branches stay smaller than what
they are added to, as in trained networks, and rounding does not grow from unit to unit."""
SHIFT = 2
"""How much larger the shifts of a batch norm of single values are drawn in evaluation. Such values,
means of whole maps, hardly differ between images, so that little else is left of them."""
CEILING = 6.0
"""Where libraries clip (ReLU6): one channel of an activation that does not goes beyond it, or the
other would do in its place. More would cost deep networks their precision."""
LOGITS = 4.0
"""The deviation of all logits at most. Without norms they grow from layer to layer; a softmax that
is saturated sends next to no gradient to most classes."""
AWAKE = 1e-3
"""How far apart the values of a channel behind an activation without kinks are at least, in units
of the largest: ten times what shows (`seen.VARIES`)."""
SMALL = 0.01
"""The running variance of one channel of each batch norm in evaluation: of a large one it hardly
shows which eps is added. Its weight makes up for it."""
VALUES, IMAGES = 16, 8
"""How many values of a channel a batch norm should see in training, and the most images for it. Of
two values it always makes plus and minus one: what comes before hardly matters, and its gradient is
the rounding of a zero. Of eight, training still multiplies rounding by thousands in five steps. A
squeezed map has one value an image."""


def well_conditioned_batch(graph: Graph) -> int:
    """Return how many images it takes for every batch norm and gate to see enough values."""
    shapes = graph.shapes()
    norms = [node.name for node in graph.nodes if isinstance(node.op, BatchNorm2d)]
    fewest = min((math.prod(shapes[name][2:]) for name in norms), default=VALUES)
    # Of pixels that become channels, images are all that may differ: some are clipped in a few.
    flat = [node for node in graph.nodes if isinstance(node.op, Flatten)]
    if any(math.prod(shapes[node.inputs[0]][2:]) > 1 for node in flat):
        return IMAGES
    # Images that are to lie in several regions must differ, which the means of two hardly do.
    if any(len(n.op.kinks) > 1 and shapes[n.name][2:] == (1, 1) for n in graph.nodes):
        return IMAGES
    return min(max(2, math.ceil(VALUES / fewest)), IMAGES)


def well_conditioned_images(graph: Graph, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return images that differ from one another as a whole, float32 (count, C, H, W).

    All pixels are noise, but each image has a contrast of its own, and each of its channels a
    shade: the means that squeeze and excitation reads of plain noise are nearly the same.
    """
    channels, height, width = graph.input_shape[1:]
    noise = rng.standard_normal((count, channels, height, width))
    contrast = rng.permutation(np.linspace(0.5, 1.5, count))[:, None, None, None]
    shade = rng.uniform(-1, 1, (count, channels, 1, 1))
    return np.asarray(shade + contrast * noise, np.float32)


def well_conditioned_weights(
    graph: Graph,
    images: np.ndarray,
    seed: int,
    training: bool,
    *,
    reach: bool = True,
) -> Weights:
    """Return such weights for a network in evaluation or in training mode.

    The walk is the reference's own (float64), node by node, so that each choice sees those before
    it. Without ``reach``, values stay where drawn weights bring them, as negative controls want it.
    """
    # Of images of one value nothing can be brought anywhere: all that it would move is rounding.
    varied = bool(np.ptp(images) if images.size else False)
    walk = _Walk(graph, seed, training, reach and varied)
    if len(images):
        walk.run(images.astype(np.float64))
    return walk.found


class _Walk:
    """The weights found so far, and what choosing the next ones needs to know."""

    def __init__(self, graph: Graph, seed: int, training: bool, reach: bool) -> None:
        self.graph, self.seed, self.training, self.reach = graph, seed, training, reach
        self.drawn = arrays.randomize(graph, seed)
        if reach:
            lower(graph, self.drawn)
        self.found = {name: array.copy() for name, array in self.drawn.items()}
        self.rng = np.random.default_rng(seed)
        self.gates: dict[str, np.ndarray] = {}
        self.deviations: dict[str, np.ndarray] = {}
        self.stretched: dict[str, np.ndarray] = {}
        pools = [node for node in graph.nodes if isinstance(node.op, MaxPool2d)]
        self.sources = {node.name: dict(ties.sources(graph, node.inputs[0])) for node in pools}
        self.convolutions = {name for found in self.sources.values() for name in found}
        self.summands: dict[str, np.ndarray] = {}
        self.last = classifier_of(graph)

    def run(self, images: np.ndarray) -> None:
        """Walk through the network; from a max pool with ties, back to a convolution before."""
        nodes, last = self.graph.nodes, self.graph.last_reader()
        values, started = {INPUT: images}, {}
        tries = dict.fromkeys(self.sources, ties.TRIES)
        i = 0
        while i < len(nodes):
            node = nodes[i]
            if node.name in self.convolutions:
                started[node.name] = i, dict(values)
            inputs = [values[name] for name in node.inputs]
            changed = self._changed(node, inputs[0]) if tries.get(node.name) else []
            if changed:
                tries[node.name] -= 1
                end, (i, before) = i, min((started[name] for name in changed), key=lambda s: s[0])
                values = dict(before)
                # What was found for the nodes between is found again, from what was drawn.
                for name in (f"{n.name}.{r}" for n in nodes[i:end] for r in n.op.parameters()):
                    self.found[name] = self.drawn[name].copy()
                continue
            values[node.name] = self._value(node, inputs)
            values = {name: kept for name, kept in values.items() if last.get(name, -1) > i}
            i += 1

    def _changed(self, pool: Node, x: np.ndarray) -> list[str]:
        """Return the convolutions before a max pool that had to be changed for its sake."""
        assert isinstance(pool.op, MaxPool2d)
        near = np.flatnonzero(ties.closest(pool.op, x) < ties.GAP)
        sources = self.sources[pool.name]
        changed = []
        for conv, own in sources.items():
            if len(rows := near[(near >= own.start) & (near < own.stop)] - own.start):
                ties.redraw(self.drawn, conv, rows, self.rng)
                changed.append(conv)
        (read,) = pool.inputs
        unseen = near[:0]
        if self.reach and read in self.summands:
            unseen = ties.unseen(pool.op, x, self.summands[read])
            activation = self.graph.by_name[self.graph.by_name[read].inputs[1]]
            for lever in levers(self.graph, activation.inputs[0]):
                ties.lift(self.drawn, lever.node, unseen)
        return [*sources] if len(unseen) else changed

    def _value(self, node: Node, inputs: list[np.ndarray]) -> np.ndarray:
        if isinstance(node.op, BatchNorm2d):
            self._set_statistics(node, inputs[0])
        if isinstance(node.op, Mul):
            self.gates[node.name] = inputs[1]
        if isinstance(node.op, Add):
            self.summands = {node.name: inputs[1]}
        if kinks := node.op.kinks:
            self._condition(node, inputs[0], kinks)
        elif self.reach and node.op.traits.elementwise and node.op.arity == 1:
            self._waken(node, inputs[0])
        held = {
            role: self.found[f"{node.name}.{role}"].astype(np.float64)
            for role in node.op.parameters()
        }
        value = apply(node.op, inputs, held, self.training)
        if self.reach and node.name == self.last and value.std() > LOGITS:
            for role in held:
                self.found[f"{node.name}.{role}"] *= np.float32(LOGITS / value.std())
                held[role] = self.found[f"{node.name}.{role}"].astype(np.float64)
            value = apply(node.op, inputs, held, self.training)
        if self.reach and (reader := self._reader(node, value)):
            seen, single = inputs[0].reshape(len(value), -1), value.reshape(value.shape[:2])
            # A gate that is closed for some images must not meet a channel that is clipped there.
            gated = [n.inputs[0] for n in self.graph.nodes if reader.name in n.inputs[1:]]
            barred = [self.stretched[name] for name in gated if name in self.stretched]
            place(
                self.found, node.name, seen, single, reader.op.kinks,
                np.concatenate([np.zeros(0, int), *barred]),
            )  # fmt: skip
        return value

    def _condition(self, node: Node, x: np.ndarray, kinks: tuple[float, ...]) -> None:
        """Move what an activation sees into its regions and clear of its kinks."""
        found = list(sights(self.graph, node.name)) if self.reach else []
        for lever in levers(self.graph, node.inputs[0]):
            if isinstance(self.graph.by_name[lever.node].op, Linear) and x.ndim > 2:
                x, found = np.moveaxis(x, -1, 1), []  # a view: what is moved is moved in place
            own = x[:, lever.channels]
            if own.shape[1] != len(self.found[f"{lever.node}.bias"]):
                return  # what moves axes lies between
            gate = self.gates[lever.gate] if lever.gate else np.ones((1,) * own.ndim)
            moves = np.zeros(own.shape[1])
            if self.reach:
                if lever.direct:
                    if len(kinks) == 1:
                        shift(self.found, lever, own, lively(node.op, own, kinks, found))
                    known = self.deviations.get(lever.node)
                    pixels = math.prod(own.shape[2:]) > 1
                    aims = (*kinks, CEILING) if len(kinks) == 1 and pixels else kinks
                    most = 1 if aims != kinks else None
                    chosen = stretch(self.found, lever, own, aims, known, found, most)
                    self.stretched[node.name] = chosen + lever.channels.start
                moves = lively(node.op, own, kinks, found) / gate.min((0, *range(2, own.ndim)))
                if lever.direct and len(kinks) == 1 and pixels:
                    moves = refill(own, moves, kinks[0], found)
                elif lever.direct and len(kinks) == 1:
                    moves[chosen] = 0
            clear(self.found, lever, own, gate, kinks, moves)

    def _waken(self, node: Node, x: np.ndarray) -> None:
        """Move to zero what an activation without kinks makes next to nothing of: GELU at -4.

        Single values are left alone: a gate hardly moves from image to image, wherever it is.
        """
        if isinstance(node.op, Dropout) or node.op.parameters() or x.size == math.prod(x.shape[:2]):
            return
        for lever in levers(self.graph, node.inputs[0]):
            seen = x
            if isinstance(self.graph.by_name[lever.node].op, Linear):
                seen = np.moveaxis(x, -1, 1)  # a view: what is moved is moved in place
            own = seen[:, lever.channels]
            if not lever.direct or own.shape[1] != len(self.found[f"{lever.node}.bias"]):
                return
            axes = (0, *range(2, own.ndim))
            made = apply(node.op, [own], {}, self.training)
            asleep = np.ptp(made, axes) < AWAKE * np.abs(made).max()
            moves = np.where(asleep, -own.mean(axes), 0)
            moved = own[:, asleep] + moves[asleep].reshape(-1, *(1,) * (own.ndim - 2))
            # Of what is moved, a root may be none.
            if np.isfinite(apply(node.op, [moved], {}, self.training)).all():
                shift(self.found, lever, own, moves)

    def _reader(self, node: Node, value: np.ndarray) -> Node | None:
        """Return the activation that reads the single values of a layer without bias, if one."""
        if (
            not isinstance(node.op, Conv2d | Linear)
            or node.op.bias
            or math.prod(value.shape[2:]) > 1
        ):
            return None
        readers = [reader for reader in self.graph.nodes if node.name in reader.inputs]
        kinked = len(readers) == 1 and len(readers[0].op.kinks) > 1
        return readers[0] if kinked else None

    def _set_statistics(self, norm: Node, x: np.ndarray) -> None:
        # A channel that is next to dead, or hardly varies about its mean, is not blown up to the
        # size of the others, as full normalization would: that multiplies the rounding of
        # everything before it.
        square = np.square(x).mean((0, 2, 3))
        deviation = np.sqrt(square + DAMPING * square.mean())
        deviation[deviation == 0] = 1  # of images of zeros: nothing is to be made of their rounding
        mean = x.mean((0, 2, 3))
        self.deviations[norm.name] = np.sqrt(np.maximum(square - mean**2, 0))
        rng = np.random.default_rng([self.seed, zlib.crc32(norm.name.encode())])
        mean = mean + deviation * rng.uniform(-SPREAD, SPREAD, deviation.shape)
        variance = deviation**2 * rng.uniform(1 - SPREAD, 1 + SPREAD, deviation.shape)
        if math.prod(x.shape[2:]) == 1 and not self.training:
            self.found[f"{norm.name}.bias"] *= SHIFT
        chosen = int(np.argmin(variance))
        pixels = math.prod(x.shape[2:]) > 1
        if self.reach and not self.training and pixels and variance[chosen] > SMALL:
            self.found[f"{norm.name}.weight"][chosen] *= np.sqrt(SMALL / variance[chosen])
            variance[chosen] = SMALL
        self.found[f"{norm.name}.running_mean"] = mean.astype(np.float32)
        self.found[f"{norm.name}.running_var"] = variance.astype(np.float32)
