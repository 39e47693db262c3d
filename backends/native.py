"""What `zoo.create` returns on each backend, for type checkers.

Programs that run import nothing here: there are no such names then. The two frameworks' own classes
are what users know and annotate; the other models are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mindspore.nn import Cell as MindSporeModel
    from torch.nn import Module as TorchModel

    from backends.numpy.model import Model as NumpyModel
    from backends.onnx.file import File as OnnxFile
    from backends.onnx.model import Model as OnnxModel
    from backends.openvino.model import Model as OpenVINOModel

    __all__ = [
        "MindSporeModel",
        "NumpyModel",
        "OnnxFile",
        "OnnxModel",
        "OpenVINOModel",
        "TorchModel",
    ]
