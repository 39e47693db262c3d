"""A training run as a value: network, input pipeline, loss, optimizer, schedule, and how long."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from zoo import families
from zoo.arch import Spec
from zoo.errors import SpecError, ZooError, unknown
from zoo.recipes.optimizers import Optimizer
from zoo.recipes.part import Part
from zoo.recipes.pictures import ending
from zoo.recipes.schedules import Constant, Schedule
from zoo.recipes.transforms import Transform, require_share
from zoo.text import TextError, parse_object

Precision = Literal["float32", "bfloat16", "float16"]


def _network(value: Any) -> str | Spec:
    """Return a name as it is, the spec of what knows one, and the spec that JSON holds."""
    if isinstance(value, dict):  # weights that know their network are mappings too
        return families.spec_from_json(json.dumps(value))
    return value if isinstance(value, str) else families.spec(value)


Network = Annotated[
    str | Spec,
    PlainValidator(_network),
    PlainSerializer(lambda value: value if isinstance(value, str) else json.loads(value.to_json())),
]
"""A name, or a network without one, whose spec is in the recipe's JSON."""


@dataclass(frozen=True, kw_only=True)
class Mix(Part):
    """Images blended in pairs with the other half of the batch, and their targets with them.

    Attributes:
        mixup: alpha of the Beta distribution that the shares are drawn from; 0 switches it off
            (Zhang et al., mixup, 2017).
        cutmix: likewise, of the area of a rectangle that is pasted (Yun et al., CutMix, 2019).
            Where both are on, one of them is drawn for each batch.
        p: probability that a batch is mixed at all.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    p: float = 1.0

    def __post_init__(self) -> None:
        require_share("mix.p", self.p)
        for name in ("mixup", "cutmix"):
            if not getattr(self, name) >= 0:
                raise SpecError(f"mix.{name} (={getattr(self, name):g}) must be at least 0")


@dataclass(frozen=True, kw_only=True)
class Recipe(Part):
    """How a network is trained.

    Attributes:
        network: a name of `zoo.list_models`, or a spec.
        overrides: fields of its spec.
        train: the transforms of an image in training, in order; the last is `Normalize`.
        evaluate: likewise in evaluation; nothing in it draws numbers.
        label_smoothing: share of the target that is spread over all classes.
        optimizer: what moves the parameters.
        schedule: of its learning rate, by step.
        batch_size: images a step, over all processes and accumulated parts.
        epochs: how often the training images are gone through.
        accumulate: parts that a batch is taken in, one after the other, to save memory. Batch norms
            see the parts.
        clip_value: each gradient is cut to ± this.
        clip_norm: the gradients are scaled so that their norm together is at most this.
        precision: of convolutions and products; parameters and sums stay float32.
        loss_scale: what the loss is multiplied by for gradients that float16 would lose.
        mix: mixup and cutmix.
        ema: decay of the moving mean of the weights, which is what is evaluated and kept; None for
            none (Polyak averaging, as in the MobileNet papers).
        keep: checkpoints that are kept, besides the best.
        seed: of the initial weights, the order of images, and everything that is drawn.
        drop_last: whether images that fill no whole batch are left out of an epoch.
        source: who published it.
    """

    network: Network
    overrides: dict[str, Any] = field(default_factory=dict)
    train: tuple[Transform, ...]
    evaluate: tuple[Transform, ...]
    label_smoothing: float = 0.0
    optimizer: Optimizer
    schedule: Schedule = field(default_factory=Constant)
    batch_size: int = 128
    epochs: int
    accumulate: int = 1
    clip_value: float | None = None
    clip_norm: float | None = None
    precision: Precision = "float32"
    loss_scale: float = 1.0
    mix: Mix = field(default_factory=Mix)
    ema: float | None = None
    keep: int = 1
    seed: int = 0
    drop_last: bool = False
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "accumulate", "keep"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name} (={getattr(self, name)}) must be at least 1")
        require_share("label_smoothing", self.label_smoothing)
        if self.ema is not None:
            require_share("ema", self.ema)
        for name in ("clip_value", "clip_norm", "loss_scale"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SpecError(f"{name} (={value:g}) must be greater than 0")
        if self.clip_value is not None and self.clip_norm is not None:
            raise SpecError("clip_value and clip_norm cannot both be set")
        ending(self.train, "train")
        ending(self.evaluate, "evaluate", repeatable=True)
        if self.batch_size % self.accumulate:
            raise SpecError(
                f"batch_size (={self.batch_size}) must be divisible by accumulate "
                f"(={self.accumulate})"
            )
        object.__setattr__(self, "network", _network(self.network))
        _ = self.spec

    @property
    def called(self) -> str:
        """What its network is called."""
        return self.network if isinstance(self.network, str) else self.network.label

    @functools.cached_property
    def spec(self) -> Spec:
        """The network."""
        return families.spec(self.network, **self.overrides)

    def steps_per_epoch(self, images: int) -> int:
        """Return how many batches an epoch of so many images has."""
        whole, rest = divmod(images, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def replace(self, /, **changes: Any) -> Self:
        """Return a copy with fields changed.

        Args:
            **changes: by name; a dot leads into a part (``{"optimizer.lr": 0.1}``). A dictionary
                for a part changes its fields, unless it names another (``{"name": "adam", …}``).

        Raises:
            UnknownNameError: there is no such field.
            SpecError: the values do not fit.
        """
        values = self.to_dict()
        for path, value in changes.items():
            *parts, last = path.split(".")
            place = values
            for part in parts:
                place = _field(place, part, path)
                if not isinstance(place, dict):
                    raise SpecError(f"{path}: {part} has no fields")
            if place is not values.get("overrides"):
                _field(place, last, path)
            old = place.get(last)
            whole = last in ("network", "overrides")
            if isinstance(value, Mapping) and isinstance(old, dict) and not whole:
                same = value.get("name", old.get("name")) == old.get("name")
                place[last] = {**(old if same else {}), **value}
            else:
                place[last] = value
        return type(self).from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON's types."""
        values: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return values

    def to_json(self) -> str:
        """Return all fields as a JSON text that people can edit."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the recipe that `to_dict` was called on.

        Raises:
            SpecError: a field is missing, unknown or of the wrong type.
            ZooError: the network is unknown or its values do not fit.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                raise unknown("field of a recipe", name, known)
        try:
            made: Self = _adapter().validate_python(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            cause = first.get("ctx", {}).get("error")
            if isinstance(cause, ZooError):
                raise cause from None
            place = ".".join(str(part) for part in first["loc"]) or "recipe"
            raise SpecError(f"{place} (={first['input']!r}): {first['msg']}") from None
        return made

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the recipe that `to_json` wrote.

        Raises:
            SpecError, ZooError: as `from_dict`; or the text is no JSON object.
        """
        try:
            values = parse_object(text)
        except TextError as error:
            raise SpecError(f"a recipe: {error}") from None
        return cls.from_dict(values)


def _field(place: dict[str, Any], name: str, path: str) -> Any:
    if name not in place:
        raise unknown("field of a recipe", path, place)
    return place[name]


@functools.cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(Recipe)
