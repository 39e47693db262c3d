"""The backends by name, and which of them can do what (`backends.protocols`).

Each is returned by a function that states its protocols: there mypy compares the module with them.
Frameworks are imported when a backend is asked for.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, TypeVar

from backends.protocols import (
    Differentiable,
    Editable,
    Exporter,
    Framework,
    Quantizer,
    Reference,
    Runtime,
    Trainable,
)
from zoo.errors import BackendNotInstalledError, SpecError, WeightsError, unknown

if TYPE_CHECKING:
    from torch.nn import Module

    from backends.native import NumpyModel, OnnxModel

M = TypeVar("M")


def _mindspore() -> Framework[Any]:
    import backends.mindspore as module

    return module


def _numpy() -> Runtime[NumpyModel]:
    import backends.numpy as module

    return module


def _onnx() -> Runtime[OnnxModel]:
    import backends.onnx as module

    return module


def _openvino() -> Runtime[OnnxModel]:
    import backends.openvino as module

    return module


def _torch() -> Reference[Module]:
    import backends.torch as module

    return module


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a backend is, and what it needs.

    Attributes:
        load: imports and returns it.
        package: the framework.
        extra: of ours that installs it.
        beside: further packages without which it cannot be imported.
        newest: the newest Python that the framework has wheels for; None for all.
    """

    load: Callable[[], Runtime[Any]]
    package: str
    extra: str | None
    beside: tuple[str, ...] = ()
    newest: tuple[int, int] | None = None


Name = Literal["mindspore", "numpy", "onnx", "openvino", "torch"]
"""The keys of `BACKENDS`, for type checkers: a name that is none of them is told before it runs."""

BACKENDS = {
    "mindspore": Entry(_mindspore, "mindspore", "mindspore", newest=(3, 12)),
    "numpy": Entry(_numpy, "numpy", None),
    "onnx": Entry(_onnx, "onnxruntime", "onnx", ("onnx",)),
    "openvino": Entry(_openvino, "openvino", "openvino", ("onnx", "onnxruntime")),
    "torch": Entry(_torch, "torch", "torch"),
}

FRAMEWORKS: dict[str, Callable[[], Framework[Any]]] = {"mindspore": _mindspore, "torch": _torch}
"""The backends that train, and whose models are code."""


def load(name: str) -> Runtime[Any]:
    """Import and return a backend.

    Raises:
        UnknownNameError: there is no such backend.
        BackendNotInstalledError: its framework is missing or broken; tells what to install.
    """
    entry = _entry(name)
    try:
        return entry.load()
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and (missing := missing_packages(name)):
            raise _missing(name, missing) from None
        raise BackendNotInstalledError(
            f"backend {name!r}: {entry.package!r} is installed but cannot be imported ({error}); "
            f"{remedy(name)} installs versions that fit together"
        ) from error


def trainable(name: str) -> Trainable[Any]:
    """Import and return a backend that trains.

    Raises:
        SpecError: it does not; those that do are named.
        ZooError: as `load`.
    """
    load(name)
    if name not in FRAMEWORKS:
        raise SpecError(f"backend {name!r} cannot train: {' or '.join(FRAMEWORKS)} can")
    return FRAMEWORKS[name]()


def editable(name: str) -> Editable[Any]:
    """Import and return a backend whose models are code.

    Raises:
        UnknownNameError: its models are not.
        ZooError: as `load`.
    """
    load(name)
    if name not in FRAMEWORKS:
        raise unknown("backend with code", name, FRAMEWORKS)
    return FRAMEWORKS[name]()


def reference() -> Reference[Module]:
    """Import and return PyTorch, as that which gradients and training are compared with.

    Raises:
        BackendNotInstalledError: it is missing.
    """
    load("torch")
    return _torch()


def exporter() -> Exporter:
    """Import and return what writes ONNX files and runs them; raises as `quantizer`."""
    return quantizer()


def quantizer() -> Quantizer:
    """Import and return what makes ONNX files of 8 bits.

    Raises:
        BackendNotInstalledError: onnx or onnxruntime is missing.
    """
    load("onnx")
    import backends.onnx as module

    return module


def differentiates(engine: Runtime[M]) -> TypeGuard[Differentiable[M]]:
    """Return whether a backend has gradients."""
    return "gradients" in engine.LEVELS


def trains(engine: Runtime[M]) -> TypeGuard[Trainable[M]]:
    """Return whether a backend trains."""
    return "training" in engine.LEVELS


def is_editable(engine: Runtime[M]) -> TypeGuard[Editable[M]]:
    """Return whether a backend's models are modules that users can change."""
    return name_of(engine) in FRAMEWORKS


def name_of(engine: Runtime[Any]) -> str:
    """Return a backend's name, a key of `BACKENDS`."""
    return engine.__name__.rpartition(".")[2]


def missing_packages(name: str) -> tuple[str, ...]:
    """Return what a backend needs and is not there, without importing it: it may be broken.

    Raises:
        UnknownNameError: there is no such backend.
    """
    entry = _entry(name)
    return tuple(package for package in (entry.package, *entry.beside) if not _is_found(package))


def _is_found(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):  # an import hook refuses it; a stand-in without a spec
        return False


def require_installed(name: str) -> None:
    """Raise what `load` raises where the framework is missing, without importing it.

    Raises:
        UnknownNameError: there is no such backend.
        BackendNotInstalledError: its framework is missing; tells what to install.
    """
    if missing := missing_packages(name):
        raise _missing(name, missing)


def remedy(name: str) -> str:
    """Return the command that installs what a backend needs, and where it can."""
    entry = BACKENDS[name]
    command = (
        f"pip install 'parity-zoo[{entry.extra}]'" if entry.extra else "pip install parity-zoo"
    )
    if entry.newest is None or sys.version_info[:2] <= entry.newest:
        return command
    newest, here = (".".join(map(str, version[:2])) for version in (entry.newest, sys.version_info))
    return f"{command} in Python {newest} or older ({entry.package} has no wheels for {here})"


def _entry(name: str) -> Entry:
    if name not in BACKENDS:
        raise unknown("backend", name, BACKENDS)
    return BACKENDS[name]


def listed(packages: Sequence[str]) -> tuple[str, str]:
    """Return packages in words, and the verb that goes with them."""
    names = " and ".join(map(repr, packages))
    if len(packages) == 1:
        return f"the package {names}", "is"
    return f"the packages {names}", "are"


def _missing(name: str, packages: Sequence[str]) -> BackendNotInstalledError:
    what, verb = listed(packages)
    return BackendNotInstalledError(
        f"backend {name!r} needs {what}, which {verb} not installed: {remedy(name)}"
    )


def backend_of(model: Any) -> Runtime[Any]:
    """Return the backend that a model belongs to.

    Raises:
        WeightsError: it belongs to none.
    """
    # A model of a backend that has not been imported cannot exist.
    for name, entry in BACKENDS.items():
        if f"{__package__}.{name}" in sys.modules and (engine := entry.load()).is_model(model):
            return engine
    raise WeightsError(f"{type(model).__name__} was not made by zoo.create")
