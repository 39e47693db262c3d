"""ONNX files: run as they are, whoever wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from backends.onnx.bounds import require_bounded
from backends.onnx.engine import session
from zoo.errors import InputError, WeightsError
from zoo.text import TextError, parse


class File:
    """A network in an ONNX file: float32 (N, C, H, W) -> its output, or a tuple of several.

    Attributes:
        path: the file.
        input_shape: what the file admits; None for any number.
        metadata: the model's ``metadata_props``.
        labels: the name of each class, if the file tells.
        mean, std: of each channel of an image in [0, 1], if the file tells.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise WeightsError(f"{path}: no such file")
        require_bounded(self.path)
        try:
            self._session = session(str(self.path))
            inputs = self._session.get_inputs()
            shapes = [each.shape for each in inputs]
            self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:  # where protobuf's reader did not see it
            raise WeightsError(f"{path}: is no ONNX model: {error}") from None
        except Exception as error:  # onnxruntime's have no common base
            reason = str(error).splitlines()[0]
            raise WeightsError(f"{path}: ONNX Runtime cannot load it: {reason}") from None
        if len(inputs) != 1:
            raise WeightsError(f"{path}: inputs (={len(inputs)}) must be one, of images")
        (self._input,) = inputs
        self.input_shape = tuple(n if isinstance(n, int) else None for n in shapes[0])
        self.labels: list[str] | None = self._told("zoo.labels", str)
        self.mean: list[float] | None = self._told("zoo.mean", int, float)
        self.std: list[float] | None = self._told("zoo.std", int, float)

    def __call__(self, x: np.ndarray) -> Any:
        """Run the network and return its output, or a tuple of several.

        Raises:
            InputError: the file does not admit the shape.
        """
        outputs = self.run(x)
        return outputs[0] if len(outputs) == 1 else outputs

    def run(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the network and return all of its outputs.

        Raises:
            InputError: the file does not admit the shape.
        """
        x = np.ascontiguousarray(x, np.float32)
        axes = ("batch", "channels", "height", "width")
        if x.ndim != len(self.input_shape):
            raise InputError(f"input: rank (={x.ndim}) must be {len(self.input_shape)}")
        for axis, size, admitted in zip(axes, x.shape, self.input_shape, strict=False):
            if admitted is not None and size != admitted:
                raise InputError(
                    f"input: {axis} (={size}) must be {admitted}, with which {self.path} was made"
                )
        try:
            return tuple(self._session.run(None, {self._input.name: x}))
        except Exception as error:  # as above
            raise InputError(
                f"{self.path}: ONNX Runtime cannot run it: {str(error).splitlines()[0]}"
            ) from None

    def _told(self, key: str, *kinds: type) -> list | None:
        if key not in self.metadata:
            return None
        try:
            found = parse(self.metadata[key])
        except TextError as error:
            raise WeightsError(f"{self.path}: {key} in its metadata: {error}") from None
        if not isinstance(found, list) or not all(type(value) in kinds for value in found):
            told = " or ".join(kind.__name__ for kind in kinds)
            raise WeightsError(f"{self.path}: {key} in its metadata must be a list of {told}")
        return found
