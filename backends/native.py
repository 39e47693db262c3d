"""What `zoo.create` returns on each backend, for type checkers.

Programs that run import nothing here: there are no such names then. PyTorch's and
MindSpore's models are of their frameworks' classes, which users know and annotate, with what whole
networks have beside; the other models are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from mindspore.nn import Cell
    from torch import Tensor
    from torch.nn import Module

    from backends.numpy.model import Model as NumpyModel
    from backends.onnx.file import File as OnnxFile
    from backends.onnx.model import Model as OnnxModel
    from backends.openvino.model import Model as OpenVINOModel
    from zoo.arch.described import Described

    class TorchModel(Module, Described):
        """A whole network; a part of one, or its form for inference, has no head."""

        def forward_features(self, x: Tensor) -> Tensor:
            """Return the map that the head pools."""
            ...

        def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
            """Return the logits of such a map, or what the classifier would read."""
            ...

        def get_classifier(self) -> Module:
            """Return the layer that makes the logits."""
            ...

        def reset_classifier(self, num_classes: int, seed: int = 0) -> None:
            """Put a new classifier in the place of the old one, or none for 0 classes."""

        def set_grad_checkpointing(self, enable: bool = True) -> None:
            """Let the backward pass of training compute each stage again."""

    class MindSporeModel(Cell, Described):  # type: ignore[misc]
        """As `TorchModel`."""

        def forward_features(self, x: Any) -> Any:
            """Return the map that the head pools."""

        def forward_head(self, x: Any, pre_logits: bool = False) -> Any:
            """Return the logits of such a map, or what the classifier would read."""

        def get_classifier(self) -> Any:
            """Return the layer that makes the logits."""

        def reset_classifier(self, num_classes: int, seed: int = 0) -> None:
            """Put a new classifier in the place of the old one, or none for 0 classes."""

        def set_grad_checkpointing(self, enable: bool = True) -> None:
            """Let the backward pass of training compute each stage again."""

    __all__ = [
        "MindSporeModel",
        "NumpyModel",
        "OnnxFile",
        "OnnxModel",
        "OpenVINOModel",
        "TorchModel",
    ]
