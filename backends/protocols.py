"""What a backend can do: a protocol per capability, fulfilled by the packages beside this file.

Each is a module whose functions are the protocol's methods; mypy compares them where `registry`
returns the module. ``M`` is the backend's type of models. ``weights`` fit the graph that is passed
with them. Arrays are NumPy's throughout, so that a comparison touches no framework.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np

from zoo.arch import Graph

if TYPE_CHECKING:  # those who only run networks need none of these
    from PIL.Image import Image

    from backends.native import OnnxFile
    from zoo.blocks import Idioms
    from zoo.recipes import Recipe, Transform

Arrays = dict[str, np.ndarray]
M = TypeVar("M")


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


class Runtime(Protocol[M]):
    """Runs networks: what every backend can.

    Attributes:
        DTYPES: in which `forward` computes.
        LEVELS: of a proof, at which it takes part; they tell what else it can.
        FUSED: whether `forward` returns outputs of another run than the other values.
    """

    __name__: str
    DTYPES: tuple[str, ...]
    LEVELS: tuple[str, ...]
    FUSED: bool

    def build(self, graph: Graph) -> M:
        """Return the native model of a graph."""

    def is_model(self, candidate: Any) -> bool:
        """Return whether an object is a model of this framework."""

    def graph_of(self, model: M) -> Graph:
        """Return the graph that a model was built from."""

    def get_parameters(self, model: M) -> Arrays:
        """Return copies of all arrays as float32, by canonical name."""

    def set_parameters(self, model: M, arrays: Arrays) -> None:
        """Copy checked arrays into a model."""

    def freeze(self, model: M) -> M:
        """Return a model made ready for inference and nothing else, in evaluation mode."""

    def predict(self, model: M, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Put a model into evaluation mode, and return its outputs for a float32 input.

        The mode of before does not come back: threads that share the model would see it change.
        """

    def describe(self) -> dict[str, str]:
        """Return the framework's version, its threads and what else its speed depends on."""

    def forward(
        self, graph: Graph, weights: Arrays, x: np.ndarray, *, training: bool, dtype: str
    ) -> tuple[Arrays, Arrays]:
        """Return (the value of every node, the running statistics after the call)."""


class Differentiable(Runtime[M], Protocol[M]):
    """Derives as well: ``LEVELS`` names ``"gradients"``."""

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


class Trainable(Differentiable[M], Protocol[M]):
    """Trains as well: ``LEVELS`` names ``"training"``."""

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


class Editable(Runtime[M], Protocol[M]):
    """Has models that are modules, written as code, in which users can change layers.

    Attributes:
        IDIOMS: how the framework writes modules.
    """

    IDIOMS: Idioms

    def changes(self, model: M) -> list[str]:
        """Return what is said of each layer of a model that is not as it was made."""

    def observe(self, model: M, x: np.ndarray) -> Arrays:
        """Return the values that a model lets one see in evaluation mode, by the graph's nodes."""


class Framework(Trainable[M], Editable[M], Protocol[M]):
    """Does both: PyTorch and MindSpore."""


class Reference(Framework[M], Protocol[M]):
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


class Exporter(Protocol):
    """Writes networks as ONNX files, and runs such files.

    Attributes:
        OPSET: version of ONNX's operators, by default.
    """

    OPSET: int

    def emit(
        self,
        graph: Graph,
        weights: Mapping[str, np.ndarray],
        *,
        opset: int = ...,
        batch: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Any:
        """Return a network as ONNX's ``ModelProto``, checked."""

    def File(self, path: str | Path) -> OnnxFile:  # noqa: N802 - a class there
        """Return the network in a file, whoever wrote it."""


class Calibration(Protocol):
    """A float32 network in an ONNX file, and the ranges that its values have on some images."""

    nodes: list[str]
    warnings: list[str]

    def quantize(
        self,
        *,
        only: Collection[str] = (),
        exclude: Collection[str] = (),
        per_channel: bool = True,
        activations: str = "uint8",
        reduce_range: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the ``ModelProto`` of 8 bits."""


class Quantizer(Exporter, Protocol):
    """Makes networks of 8 bits of files as well.

    Attributes:
        METHODS, ACTIVATIONS: what `Calibrated` and `quantize` take by name.
    """

    METHODS: dict[str, Any]
    ACTIVATIONS: dict[str, Any]

    def Calibrated(  # noqa: N802
        self, path: str | Path, batches: Iterable[np.ndarray], method: str = "minmax"
    ) -> Calibration:
        """Run the network in a file on images."""

    def Runner(  # noqa: N802
        self, model: Any
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Return the network of one output in a file or ``ModelProto``, as a callable."""

    def describe(self) -> dict[str, str]:
        """Return the versions of what quantizes."""
