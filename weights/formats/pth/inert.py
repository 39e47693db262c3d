"""What a pickle becomes here: inert objects of our own, and the table of names that a file may use.

Nothing in this file imports or calls what a file names: a name is a key of a table, and what stands
there is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zoo.errors import WeightsError

MAX_KEY = 1024
"""Characters in a key: long keys that are equal but not identical take long to compare."""

Builder = Callable[[tuple[object, ...]], object]


class ForbiddenNameError(WeightsError):
    """A pickle names something that could do more than hold data."""


class Marker:
    """One of our own inert objects; the base of everything that a pickle may give a state to."""

    __slots__ = ()

    def set_state(self, state: object) -> None:
        """Take what BUILD brings: attributes, which no container of arrays has any use for."""


class Record(Marker):
    """A dict. What has text for a key is kept; anything else is counted, and so is never hashed.

    Hashing a key of a hundred thousand nested tuples overflows C's stack, and integers can be
    chosen to collide; arrays are found by text alone.
    """

    __slots__ = ("items", "unnamed")

    def __init__(self) -> None:
        self.items: dict[str, object] = {}
        self.unnamed = 0

    def __len__(self) -> int:
        return len(self.items) + self.unnamed

    def put(self, key: object, value: object) -> None:
        """Set one item."""
        if type(key) is not str:
            self.unnamed += 1
            return
        if len(key) > MAX_KEY:
            raise WeightsError(f"a key of {len(key)} characters; at most {MAX_KEY} are read")
        self.items[key] = value


@dataclass(frozen=True, slots=True, eq=False)
class Opaque(Marker):
    """In the place of something known to be harmless and of no use here: it keeps nothing."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Global(Marker):
    """A name that the file may use, with what *we* make of a call of it."""

    name: str
    build: Builder


def printable(name: str, limit: int = 200) -> str:
    """Return text of a file so that it can stand in a message: no control characters, no novels."""
    name = name if len(name) <= limit else name[:limit] + "…"
    return name if name.isprintable() else ascii(name)


# What configurations are made of. Their names are accepted and their contents dropped.
_INERT_MODULES = (
    "pathlib", "datetime", "typing", "omegaconf", "yacs", "easydict", "mmengine", "mmcv",
    "pytorch_lightning", "lightning",
)  # fmt: skip
_INERT = {
    "argparse.Namespace", "types.SimpleNamespace", "decimal.Decimal", "fractions.Fraction",
    "uuid.UUID", "collections.deque", "torch.torch_version.TorchVersion",
    *(f"builtins.{name}" for name in (
        "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list",
        "object", "range", "set", "slice", "str", "tuple",
    )),
}  # fmt: skip
# The names that Python 2 and NumPy 2 have for the same modules.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg", "pathlib._local": "pathlib"}


def _dict(args: tuple[object, ...]) -> Record:
    """Make the Record of OrderedDict(), OrderedDict([[key, value], …]), Counter({…})."""
    if args and isinstance(args[0], Record):
        return args[0]
    record = Record()
    for pair in args[0] if args and isinstance(args[0], list) else ():
        key, value = pair
        record.put(key, value)
    return record


def _reconstruct(args: tuple[object, ...]) -> object:
    """Make an object without its __init__, as protocols 0 and 1 write it."""
    kind = args[0]
    if not isinstance(kind, Global):
        raise WeightsError("copyreg._reconstructor without a class")
    return kind.build(())


COMMON: dict[str, object] = {
    made.name: made
    for made in (
        Global("collections.OrderedDict", _dict),
        Global("collections.Counter", _dict),
        Global("collections.defaultdict", lambda args: Record()),
        Global("copyreg._reconstructor", _reconstruct),
    )
}


def find(names: Mapping[str, object], module: str, name: str) -> object:
    """Return what stands for a name of the file, in a format's own table or in the common one.

    Raises:
        ForbiddenNameError: nothing does.
    """
    if len(module) + len(name) > MAX_KEY:
        raise WeightsError(f"a name of {len(module) + len(name)} characters")
    known = _RENAMED.get(module, module)
    if known.startswith("numpy._core"):
        known = "numpy.core" + known[len("numpy._core") :]
    full = f"{known}.{name}"
    found = names.get(full, COMMON.get(full))
    if found is not None:
        return found
    if full in _INERT or known.split(".")[0] in _INERT_MODULES:
        shown = printable(full)
        return Global(shown, lambda args: Opaque(shown))
    raise ForbiddenNameError(
        f"pickle names {printable(f'{module}.{name}')}, which is neither a tensor nor a plain "
        "container; nothing was run. Save model.state_dict() instead"
    )
