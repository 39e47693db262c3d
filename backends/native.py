"""What `zoo.create` returns on each backend, for type checkers.

Programs that run import nothing here: there are no such names then. PyTorch's and
MindSpore's models are of their frameworks' classes, which users know and annotate, with what whole
networks have beside; the other models are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Generic, TypeVar

    from mindspore.nn import Cell
    from torch import Tensor
    from torch.nn import Module

    from backends.numpy.model import Model as NumpyModel
    from backends.onnx.file import File as OnnxFile
    from backends.onnx.model import Model as OnnxModel
    from backends.openvino.model import Model as OpenVINOModel
    from zoo.arch.described import Described

    T = TypeVar("T")
    L = TypeVar("L")

    class Whole(Described, Generic[T, L]):
        """A whole network; a part of one, or its form for inference, has no head."""

        def forward_features(self, x: T) -> T:
            """Return the map that the head pools."""
            ...

        def forward_head(self, x: T, pre_logits: bool = False) -> T:
            """Return the logits of such a map, or what the classifier would read."""
            ...

        def get_classifier(self) -> L:
            """Return the layer that makes the logits."""
            ...

        def reset_classifier(self, num_classes: int, seed: int = 0) -> None:
            """Put a new classifier in the place of the old one, or none for 0 classes."""

        def set_grad_checkpointing(self, enable: bool = True) -> None:
            """Let the backward pass of training compute each stage again."""

    class TorchModel(Module, Whole[Tensor, Module]):
        """In PyTorch."""

    class MindSporeModel(Cell, Whole[Any, Any]):  # type: ignore[misc]
        """In MindSpore."""

    __all__ = [
        "MindSporeModel",
        "NumpyModel",
        "OnnxFile",
        "OnnxModel",
        "OpenVINOModel",
        "TorchModel",
    ]
