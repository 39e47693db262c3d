"""Where each channel of a value lies in a network that is being rewritten.

Shuffles, slices and concats make no values: after them, a value is only told, channel by channel,
as (tensor, channel of that tensor). A node that needs the value as one tensor has it gathered:
runs of channels that lie side by side are sliced and joined, and if the reader does not care about
the order, the order is the one of the fewest runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from zoo.arch.graph import INPUT, Node
from zoo.arch.operator import Operator
from zoo.arch.operators import Concat, Slice


@dataclass(frozen=True, eq=False, slots=True)
class Place:
    """A value, told channel by channel.

    Attributes:
        tensor: number of the tensor that holds the channel.
        channel: which channel of it.
    """

    tensor: np.ndarray
    channel: np.ndarray

    def __len__(self) -> int:
        return len(self.channel)

    def take(self, indices: np.ndarray | slice) -> Place:
        """Return the channels at ``indices``."""
        return Place(self.tensor[indices], self.channel[indices])

    def breaks(self) -> np.ndarray:
        """Return where a run of channels side by side ends and the next one starts."""
        return np.flatnonzero((np.diff(self.tensor) != 0) | (np.diff(self.channel) != 1)) + 1

    def runs(self) -> int:
        """Return in how many runs the channels lie."""
        return len(self.breaks()) + 1

    def order(self) -> np.ndarray:
        """Return the order of the fewest runs: the channels' own where no other has fewer."""
        found = np.lexsort((self.channel, self.tensor))
        return found if self.take(found).runs() < self.runs() else np.arange(len(self))

    @staticmethod
    def join(parts: Sequence[Place]) -> Place:
        """Return the concatenation of values."""
        return Place(
            np.concatenate([part.tensor for part in parts]),
            np.concatenate([part.channel for part in parts]),
        )


@dataclass(eq=False, slots=True)
class Tensors:
    """The nodes of the new network as they are added; tensor ``i`` is what ``names[i]`` makes."""

    nodes: list[Node] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    nonnegative: list[bool] = field(default_factory=list)
    _made: dict[object, int] = field(default_factory=dict)

    def input(self, channels: int) -> Place:
        """Start with the network's input."""
        return self._new(INPUT, channels, False)

    def add(
        self, name: str, op: Operator, inputs: Sequence[int], channels: int, nonnegative: bool
    ) -> Place:
        """Add a node that reads whole tensors."""
        self.nodes.append(Node(name, op, tuple(self.names[i] for i in inputs)))
        return self._new(name, channels, nonnegative)

    def gather(self, reader: str, value: Place, order: np.ndarray) -> int:
        """Return a tensor of these channels in this order, which is made unless it is there.

        Args:
            reader: the node it is for; a new tensor is named after it.
            value: where the channels are.
            order: which channel of the value comes at each position.
        """
        value = value.take(order)
        ends = value.breaks()
        runs = [
            (int(part.tensor[0]), int(part.channel[0]), int(part.channel[-1]) + 1)
            for part in (
                value.take(slice(start, stop))
                for start, stop in zip([0, *ends], [*ends, len(value)], strict=True)
            )
        ]
        parts = [self._slice(*run) for run in runs]
        if len(parts) == 1:
            return parts[0]
        key = tuple(parts)
        if key not in self._made:
            nonnegative = all(self.nonnegative[part] for part in parts)
            joined = self.add(f"{reader}_input", Concat(), parts, len(value), nonnegative)
            self._made[key] = int(joined.tensor[0])
        return self._made[key]

    def _slice(self, tensor: int, start: int, stop: int) -> int:
        if (start, stop) == (0, self.sizes[tensor]):
            return tensor
        key = (tensor, start, stop)
        if key not in self._made:
            name = f"{self.names[tensor]}_channels_{start}_{stop}"
            op = Slice(start=start, stop=stop)
            part = self.add(name, op, [tensor], stop - start, self.nonnegative[tensor])
            self._made[key] = int(part.tensor[0])
        return self._made[key]

    def _new(self, name: str, channels: int, nonnegative: bool) -> Place:
        self.names.append(name)
        self.sizes.append(channels)
        self.nonnegative.append(nonnegative)
        return Place(np.full(channels, len(self.names) - 1), np.arange(channels))
