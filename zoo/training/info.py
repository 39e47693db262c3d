"""What a run says of itself: ``run.json``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import TYPE_CHECKING, Any, Self

from zoo.renamed import warn
from zoo.text import parse_object, require

if TYPE_CHECKING:
    from zoo.training.loader import Pipeline


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """Who trains on what, and where.

    Attributes:
        backend: what trains; of a run that went on elsewhere, what does so now.
        data: what the data set is called.
        source: where it is; None for one that was never on the disk.
        labels: of CIFAR-100: ``"fine"`` or ``"coarse"``.
        skip_corrupt: whether images that cannot be read are left out.
        skipped: the names of those that were.
        classes: the names of the classes.
        pipeline: what prepares the images, ``"numpy"`` or ``"native"``.
        workers: threads or processes that do.
        compiled: whether PyTorch goes through ``torch.compile``.
        weights: what the run started from; None for initial weights.
        started: when, ISO 8601.
        machine: what `zoo.machine.Machine` says of the machine it began on.
        versions: likewise, what the backend says of itself: version, threads, kernels.
        resumed: each time that it went on: in which backend, after which step, and what that said
            of itself.
        processes: how many train together.
    """

    backend: str
    data: str
    source: str | None = None
    labels: str = "fine"
    skip_corrupt: bool = False
    skipped: tuple[str, ...] = ()
    classes: tuple[str, ...]
    pipeline: Pipeline
    workers: int = 2
    compiled: bool = False
    weights: str | None = None
    started: str = ""
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    resumed: tuple[Mapping[str, Any], ...] = ()
    processes: int = 1

    def to_json(self) -> str:
        """Return all fields as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return what `to_json` was called on; runs of before have fewer fields.

        Raises:
            TextError: it is no JSON object, or a field is missing or of the wrong type.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        given = {name: value for name, value in parse_object(text).items() if name in known}
        missing = [
            name
            for name, one in known.items()
            if name not in given and one.default is one.default_factory  # neither is set
        ]
        for name in (*given, *missing):
            kinds, each, rule = _RULES[str(known[name].type)]
            value = given.get(name)
            kept = type(value) in kinds and (
                each is None or all(type(one) is each for one in value or ())
            )
            require(kept, name, value, rule)
            given[name] = value if each is None else tuple(value or ())
        return cls(**given)

    def __getitem__(self, name: str) -> Any:
        """Return a field by its name, as when this was a dictionary."""
        warn(f"Run.info[{name!r}]", f"Run.info.{name}")
        return getattr(self, name)


_RULES: Mapping[str, tuple[tuple[type, ...], type | None, str]] = {
    "str": ((str,), None, "a text"),
    "Pipeline": ((str,), None, "a text"),
    "str | None": ((str, NoneType), None, "a text or null"),
    "bool": ((bool,), None, "true or false"),
    "int": ((int,), None, "a whole number"),
    "tuple[str, ...]": ((list,), str, "a list of texts"),
    "tuple[Mapping[str, Any], ...]": ((list,), dict, "a list of objects"),
    "Mapping[str, Any]": ((dict,), None, "an object"),
    "Mapping[str, str]": ((dict,), None, "an object"),
}
"""The type of a field → the types that JSON has for it, that of its elements, and the rule."""
