"""The backends by name, and what a backend is: a package with these functions (`Backend`)."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np

from zoo.arch import Graph
from zoo.errors import AdoptionError, BackendNotInstalledError, WeightsError, unknown

if TYPE_CHECKING:  # those who only run networks need neither
    from PIL.Image import Image

    from zoo.recipes import Recipe, Transform

Arrays = dict[str, np.ndarray]


class Steps(Protocol):
    """A network being trained, a step at a time."""

    def step(
        self, images: np.ndarray, targets: np.ndarray, *, lr: float, momentum: float | None
    ) -> tuple[float, np.ndarray]:
        """Take a step of the optimizer.

        Args:
            images: this process's share of the batch, float32 (n, C, H, W).
            targets: the probability of each class, float32 (n, num_classes).
            lr: learning rate of this step.
            momentum: of this step (Adam: the first beta); None for the recipe's.

        Returns:
            The mean cross-entropy of the share before the step, and the predicted class of each of
            its images, int64 (n,).
        """

    def weights(self) -> Arrays:
        """Return copies of parameters and running statistics, by the graph's names, float32."""

    def slots(self) -> dict[str, Arrays]:
        """Return copies of what the optimizer remembers, under PyTorch's names for it.

        ``{"momentum_buffer": {parameter: array}}`` for SGD with momentum, ``"exp_avg"`` and
        ``"exp_avg_sq"`` for Adam; shapes are those of the parameters.
        """


class Trainer(Steps, Protocol):
    """A network being trained in one process of one or several.

    Whatever is random in it (dropout) depends on the recipe's seed and the number of steps alone,
    so that a run which is taken up again goes on as if it had never stopped.

    Attributes:
        rank: the number of this process, from 0.
        world: how many processes train together; their batch norms see their own images only.
    """

    rank: int
    world: int

    def restore(self, weights: Arrays, slots: dict[str, Arrays], steps: int) -> None:
        """Go on from what another trainer, in whichever framework, had after so many steps."""

    def place(self, model: Any) -> Any:
        """Return a model of the backend where the trainer has its own: on the same device."""

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of an array over all processes, float64."""


class Backend(Protocol):
    """What each folder beside this file hands on.

    ``FUSED`` is true where `forward` returns outputs of another run than the other values.
    ``changes`` and ``observe`` exist where models are modules that users can change.
    ``gradients``, ``trainer`` and ``batches`` exist where ``LEVELS`` names ``"training"``.
    ``weights`` fit the graph that is passed with them. Arrays are NumPy's throughout, so that a
    comparison touches no framework.
    """

    DTYPES: tuple[str, ...]
    LEVELS: tuple[str, ...]

    def build(self, graph: Graph) -> Any:
        """Return the native model of a graph."""

    def is_model(self, candidate: Any) -> bool:
        """Return whether an object is a model of this framework."""

    def graph_of(self, model: Any) -> Graph:
        """Return the graph that a model was built from."""

    def changes(self, model: Any) -> list[str]:
        """Return what is said of each layer of a model that is not as it was made."""

    def observe(self, model: Any, x: np.ndarray) -> Arrays:
        """Return the values that a model lets one see in evaluation mode, by the graph's nodes."""

    def get_parameters(self, model: Any) -> Arrays:
        """Return copies of all arrays as float32, by canonical name."""

    def set_parameters(self, model: Any, arrays: Arrays) -> None:
        """Copy checked arrays into a model."""

    def freeze(self, model: Any) -> Any:
        """Return a model made ready for inference and nothing else, in evaluation mode."""

    def predict(self, model: Any, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return a model's outputs for a float32 input."""

    def describe(self) -> dict[str, str]:
        """Return the framework's version, its threads and what else its speed depends on."""

    def forward(
        self, graph: Graph, weights: Arrays, x: np.ndarray, *, training: bool, dtype: str
    ) -> tuple[Arrays, Arrays]:
        """Return (the value of every node, the running statistics after the call)."""

    def gradients(
        self,
        graph: Graph,
        weights: Arrays,
        x: np.ndarray,
        y: np.ndarray,
        *,
        training: bool,
        dtype: str,
    ) -> tuple[float, Arrays]:
        """Return (mean cross-entropy, its gradient for every trained parameter)."""

    def trainer(
        self, graph: Graph, weights: Arrays, recipe: Recipe, *, compiled: bool = False
    ) -> Trainer:
        """Return a trainer that starts from these weights.

        Args:
            graph: the network.
            weights: canonical name → array.
            recipe: what to train it by.
            compiled: make the steps faster at the price of a slow first one, where the framework
                leaves the choice.

        Raises:
            SpecError: the framework cannot do on this machine what the recipe asks for.
        """

    def batches(
        self,
        picture: Callable[[int], Image],
        transforms: Sequence[Transform],
        order: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        epoch: int,
        workers: int,
    ) -> Generator[np.ndarray, None, None]:
        """Return batches of transformed images, by the framework's own pipeline.

        What is drawn for an image depends on the seed, the epoch and the image's number alone, not
        on the workers or on where in the epoch it is.

        Args:
            picture: from its number to an RGB picture; it may be called in other processes.
            transforms: what is done to it; the last is `Normalize`.
            order: the numbers of the images, int64 (n,), in order.
            batch_size: images a batch; the last may have fewer.
            seed: of what is drawn.
            epoch: likewise.
            workers: processes (threads, where the framework has these) that prepare images.

        Yields:
            float32 (batch, 3, H, W).
        """


class Reference(Backend, Protocol):
    """PyTorch's, which has in float64 what others are compared with."""

    def plain_trainer(
        self,
        graph: Graph,
        weights: Arrays,
        recipe: Recipe,
        *,
        dtype: Literal["float32", "float64"] = "float32",
        channels_last: bool = False,
    ) -> Steps:
        """Return PyTorch's own optimizers in a plain loop; what it returns has that dtype."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a backend is, and what it needs.

    Attributes:
        module: of ours.
        package: the framework.
        extra: of ours that installs it.
        beside: further packages without which it cannot be imported.
        newest: the newest Python that the framework has wheels for; None for all.
        adopts: whether it reads networks that are not ours (``adopt.py``).
    """

    module: str
    package: str
    extra: str | None
    beside: tuple[str, ...] = ()
    newest: tuple[int, int] | None = None
    adopts: bool = False


Name = Literal["mindspore", "numpy", "onnx", "openvino", "torch"]
"""The keys of `BACKENDS`, for type checkers: a name that is none of them is told before it runs."""

BACKENDS = {
    "mindspore": Entry("backends.mindspore", "mindspore", "mindspore", newest=(3, 12)),
    "numpy": Entry("backends.numpy", "numpy", None),
    "onnx": Entry("backends.onnx", "onnxruntime", "onnx", ("onnx",)),
    "openvino": Entry("backends.openvino", "openvino", "openvino", ("onnx", "onnxruntime")),
    "torch": Entry("backends.torch", "torch", "torch", adopts=True),
}


def load(name: str) -> Backend:
    """Import and return a backend.

    Raises:
        UnknownNameError: there is no such backend.
        BackendNotInstalledError: its framework is missing or broken; tells what to install.
    """
    entry = _entry(name)
    try:
        return cast(Backend, importlib.import_module(entry.module))
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and (missing := missing_packages(name)):
            raise _missing(name, missing) from None
        raise BackendNotInstalledError(
            f"backend {name!r}: {entry.package!r} is installed but cannot be imported ({error}); "
            f"{remedy(name)} installs versions that fit together"
        ) from error


def reference() -> Reference:
    """Import and return PyTorch, as that which gradients and training are compared with.

    Raises:
        BackendNotInstalledError: it is missing.
    """
    return cast(Reference, load("torch"))


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


def is_installed(name: str) -> bool:
    """Return whether all that a backend needs is there, without importing it: it may be broken.

    Raises:
        UnknownNameError: there is no such backend.
    """
    return not missing_packages(name)


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


def backend_of(model: Any) -> Backend:
    """Return the backend that a model belongs to.

    Raises:
        WeightsError: it belongs to none.
    """
    # A model of a backend that has not been imported cannot exist.
    for entry in BACKENDS.values():
        module = cast(Backend | None, sys.modules.get(entry.module))
        if module is not None and module.is_model(model):
            return module
    raise WeightsError(f"{type(model).__name__} was not made by zoo.create")


def way_in(model: Any) -> Any:
    """Return what reads live networks of the framework that one is of: `program`.

    Raises:
        AdoptionError: it is of none that has a way in.
    """
    # A network of a framework that has not been imported cannot exist.
    for name, entry in BACKENDS.items():
        if entry.adopts and entry.package in sys.modules and load(name).is_model(model):
            return importlib.import_module(f"{entry.module}.adopt")
    known = " or ".join(entry.package for entry in BACKENDS.values() if entry.adopts)
    raise AdoptionError(f"{type(model).__name__} is no network of {known}")
