"""Static quantization to 8 bits by ONNX Runtime's own tool (`onnxruntime.quantization`).

Its ``quantize_static`` calibrates and then quantizes. Here its two halves are called one by one:
which nodes are better left in float32 is found by trying, and each trial would calibrate anew.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QDQQuantizer,
    QuantType,
    create_calibrator,
)
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from backends.onnx.engine import session
from zoo.errors import ExportError, UnknownNameError, unknown

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
"""How the range of a value is taken from the images: all that occurs, or without the outliers."""

ACTIVATIONS = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}
"""The type of the values between nodes. Filters are int8."""

OLDEST = 13
"""The first opset whose DequantizeLinear has a scale for each channel."""

_KINDS = sorted({*QDQRegistry, *QLinearOpsRegistry})  # as quantize_static takes them
# The logits stay float32: 256 values for a thousand classes would make ties.
_OPTIONS = {"OpTypesToExcludeOutputQuantization": ["Gemm"]}


class Calibrated:
    """A float32 network in an ONNX file, and the ranges that its values have on some images.

    Attributes:
        nodes: the names of its nodes, in their order.
        warnings: what the tool warned of when `quantize` was called last.
    """

    def __init__(
        self, path: str | Path, batches: Iterable[np.ndarray], method: str = "minmax"
    ) -> None:
        """Run the network on the images.

        Args:
            path: the file.
            batches: what it is run on, float32 (N, C, H, W) each, with at least one image.
            method: a key of `METHODS`.

        Raises:
            UnknownNameError: there is no such method.
            ExportError: the file's opset is too old.
        """
        if method not in METHODS:
            raise unknown("method", method, METHODS)
        self._model = onnx.load(str(path))
        (opset,) = (o.version for o in self._model.opset_import if o.domain in ("", "ai.onnx"))
        if opset < OLDEST:
            raise ExportError(
                f"{path}: opset (={opset}) must be at least {OLDEST}: before, there is no scale "
                "for each channel"
            )
        _join_pads(self._model)
        self.nodes = [n.name for n in self._model.graph.node if n.op_type != "Constant"]
        self.warnings: list[str] = []
        with _quiet(), tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
            onnx.save(self._model, f"{folder}/joined.onnx")
            calibrator = create_calibrator(
                Path(folder, "joined.onnx"),
                _KINDS,
                f"{folder}/augmented.onnx",
                calibrate_method=METHODS[method],
            )
            # One call a batch: the tool keeps the values of all nodes until the call ends.
            for batch in batches:
                calibrator.collect_data(_Reader(self._model.graph.input[0].name, batch))
            self._ranges = calibrator.compute_data()

    def quantize(
        self,
        *,
        only: Collection[str] = (),
        exclude: Collection[str] = (),
        per_channel: bool = True,
        activations: str = "uint8",
        reduce_range: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> ModelProto:
        """Return the checked model of 8 bits, in QDQ format; its metadata is the float32 one's.

        Args:
            only: the nodes to quantize, by default all that the tool knows to.
            exclude: nodes to leave in float32.
            per_channel: a scale for each output channel of a filter instead of one for all.
            activations: a key of `ACTIVATIONS`.
            reduce_range: filters of 7 bits, for processors that add up products of 8 bits in 16.
            metadata: goes into ``zoo.quantization``, as JSON.

        Raises:
            UnknownNameError: there is no such type or node.
        """
        if activations not in ACTIVATIONS:
            raise unknown("activations", activations, ACTIVATIONS)
        for name in (*only, *exclude):
            if name not in self.nodes:
                raise unknown("node", name, self.nodes)
        if set(self.nodes) <= set(exclude):
            raise UnknownNameError(f"all {len(self.nodes)} nodes are excluded")
        copy = ModelProto()  # the tool writes into what it is given
        copy.CopyFrom(self._model)
        with _quiet() as self.warnings:
            tool = QDQQuantizer(
                copy,
                per_channel,
                reduce_range,
                QuantType.QInt8,
                ACTIVATIONS[activations],
                self._ranges,
                list(only),
                list(exclude),
                _KINDS,
                dict(_OPTIONS),
            )
            tool.quantize_model()
            tool.model.topological_sort()  # it puts its nodes at the end
        model = tool.model.model
        properties = {entry.key: entry.value for entry in self._model.metadata_props}
        if metadata is not None:
            properties["zoo.quantization"] = json.dumps(dict(metadata))
        helper.set_model_props(model, properties)  # without the marks that the tool leaves there
        onnx.checker.check_model(model, full_check=True)
        return model


class Runner:
    """A network of one output, in a file or not, run by ONNX Runtime: float32 array -> array."""

    def __init__(self, model: ModelProto | str | Path) -> None:
        contents = model.SerializeToString() if isinstance(model, ModelProto) else str(model)
        self._session = session(contents)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run the model."""
        (value,) = self._session.run(None, {self._input: x})
        return value


def _join_pads(model: ModelProto) -> None:
    """Make one node of each Pad and the AveragePool that reads it (`backends.onnx.operators`).

    ONNX Runtime joins them in float32 only; between 8-bit nodes a Pad would be padded in float32,
    and OpenCV refuses it there.
    """
    nodes = {node.name: node for node in model.graph.node}
    for pool in list(model.graph.node):
        pad = nodes.get(pool.input[0]) if pool.op_type == "AveragePool" else None
        if pad is None or pad.op_type != "Pad":
            continue
        pads = numpy_helper.to_array(nodes[pad.input[1]].attribute[0].t)
        for attribute in pool.attribute:
            if attribute.name == "pads":
                attribute.ints[:] = [int(n) for n in (*pads[2:4], *pads[6:8])]
            elif attribute.name == "count_include_pad":
                attribute.i = 1
        pool.input[0] = pad.input[0]
        for part in (nodes[pad.input[1]], nodes[pad.input[2]], pad):
            model.graph.node.remove(part)


class _Reader(CalibrationDataReader):
    """Hands the tool one batch."""

    def __init__(self, name: str, batch: np.ndarray) -> None:
        self._left = [{name: batch}]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self._left.pop() if self._left else None


@contextlib.contextmanager
def _quiet() -> Iterator[list[str]]:
    """Keep what the tool prints and logs to itself, and yield the list of its warnings."""
    told: list[str] = []

    def take(record: logging.LogRecord) -> bool:
        theirs = "onnxruntime" in Path(record.pathname).parts
        if theirs and record.levelno >= logging.WARNING and record.getMessage() not in told:
            told.append(record.getMessage())
        return not theirs

    root, nothing = logging.getLogger(), logging.NullHandler()
    root.addHandler(nothing)  # the tool's logging.warning() would set up one for the whole program
    root.addFilter(take)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield told
    finally:
        root.removeFilter(take)
        root.removeHandler(nothing)
