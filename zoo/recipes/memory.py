"""What an optimizer decays and what it remembers: said here once for the trainers of all backends.

What the trainers are compared with (``backends/torch/reference.py``) says it again, on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from zoo.arch import Graph
from zoo.arch.operators import BatchNorm2d
from zoo.errors import WeightsError
from zoo.recipes.definition import Recipe
from zoo.recipes.optimizers import SGD, Decayed


class Shaped(Protocol):
    """Any framework's array."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102


def decayed(graph: Graph, which: Decayed) -> set[str]:
    """Return the names of the trained parameters that weight decay is for."""
    norms = {node.name for node in graph.nodes if isinstance(node.op, BatchNorm2d)}
    found = set()
    for name, parameter in graph.parameters.items():
        node, _, role = name.rpartition(".")
        spared = which != "all" and node in norms
        if parameter.trainable and not spared and not (which == "weights" and role == "bias"):
            found.add(name)
    return found


def has_momentum(recipe: Recipe) -> bool:
    """Return whether there is a momentum, the optimizer's own or one that the schedule cycles."""
    cycled = recipe.schedule.momentum(0, 1) is not None
    return cycled or not isinstance(recipe.optimizer, SGD) or recipe.optimizer.momentum > 0


def slot_names(recipe: Recipe) -> tuple[str, ...]:
    """Return PyTorch's names of what the optimizer remembers of each parameter."""
    if not isinstance(recipe.optimizer, SGD):
        return ("exp_avg", "exp_avg_sq")
    return ("momentum_buffer",) if has_momentum(recipe) else ()


def check_slots(
    recipe: Recipe,
    parameters: Mapping[str, Shaped],
    slots: Mapping[str, Mapping[str, Shaped]],
) -> None:
    """Raise unless slots are those of the recipe's optimizer; one may be missing, as it starts.

    Args:
        recipe: what is trained by.
        parameters: the trained ones.
        slots: slot → parameter → array.

    Raises:
        WeightsError: a slot is none of the optimizer's, or is not of these parameters.
    """
    own = slot_names(recipe)
    for slot, arrays in slots.items():
        if slot not in own:
            raise WeightsError(
                f"slot {slot!r} is none that the recipe's optimizer has: {sorted(own)}"
            )
        for name in sorted(parameters.keys() ^ arrays.keys()):
            raise WeightsError(f"slot {slot!r}: {name!r} is not in both the network and the slot")
        for name, parameter in parameters.items():
            shape, wanted = tuple(arrays[name].shape), tuple(parameter.shape)
            if shape != wanted:
                raise WeightsError(
                    f"slot {slot!r}: the shape of {name!r} (={shape}) must be {wanted}"
                )
