"""What a trainer can be asked for besides plain steps, as a table: variant → fields of a recipe.

Sizes come from the gradient (`Sizes`): a decay that is drowned by it, a bound of clipping that is
never reached or an eps that no gradient is as small as would show no mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.recipes import Recipe


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the gradient of a network is.

    Attributes:
        decay: the weight decay that is as large as the gradient in a twentieth of the parameters,
            and smaller in the others.
        value: the root mean square that the gradients of a quarter of the parameters exceed.
        norm: of all together.
    """

    decay: float
    value: float
    norm: float


Fields = dict[str, Any]

_NORMALIZE: Fields = {"name": "normalize", "mean": [0, 0, 0], "std": [1, 1, 1]}
# A trainer asks nothing of what a recipe says of network, data and length.
_ELSEWHERE: Fields = {
    "network": "resnet9",
    "train": [_NORMALIZE],
    "evaluate": [_NORMALIZE],
    "epochs": 1,
    "batch_size": 2,
}


def _sgd(sizes: Sizes, **changes: Any) -> Fields:
    return {
        "name": "sgd",
        "lr": 1.0,
        "momentum": 0.9,
        "weight_decay": sizes.decay,
        "decayed": "not_norm",
        **changes,
    }


def _adam(sizes: Sizes, weight_decay: float, **changes: Any) -> Fields:
    # With eps no larger than the gradients are, steps would be their signs: the smallest of them
    # would decide, and they are rounding.
    return {
        "name": "adam",
        "lr": 1.0,
        "betas": [0.9, 0.99],
        "eps": sizes.value,
        "weight_decay": weight_decay,
        "decayed": "not_norm",
        **changes,
    }


VARIANTS: dict[str, Callable[[Sizes], Fields]] = {
    "sgd": lambda s: {"optimizer": _sgd(s)},
    "nesterov": lambda s: {"optimizer": _sgd(s, nesterov=True)},
    "adam": lambda s: {"optimizer": _adam(s, s.decay)},
    "adamw": lambda s: {"optimizer": _adam(s, 0.1, decoupled=True)},
    "clip_norm": lambda s: {"optimizer": _sgd(s), "clip_norm": 0.5 * s.norm},
    "clip_value": lambda s: {"optimizer": _sgd(s), "clip_value": s.value},
    "accumulate": lambda s: {"optimizer": _sgd(s), "accumulate": 2},
    "decay_all": lambda s: {"optimizer": _sgd(s, decayed="all")},
    "decay_weights": lambda s: {"optimizer": _sgd(s, decayed="weights")},
}

DEFAULT = "sgd"
"""What is proven where nobody asks for others: momentum, and weight decay that spares batch norms,
show most mistakes."""


def recipe_of(variant: str, sizes: Sizes) -> Recipe:
    """Return the recipe of a variant for gradients of these sizes."""
    from zoo.recipes import Recipe

    return Recipe.from_dict(_ELSEWHERE | VARIANTS[variant](sizes))
