"""`zoo.export`: a network as an ONNX file that was checked before it got its name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import backends
import weights as arrays
from zoo import families
from zoo.arch import Graph, Spec
from zoo.errors import ExportError
from zoo.families import model_name
from zoo.files import atomic
from zoo.live import get_weights, spec_of
from zoo.loading import Network, Source, opened, resolve
from zoo.models import realization
from zoo.output import require_writable
from zoo.passes import Weights
from zoo.proof.measure import relative_maximum
from zoo.proof.tolerances import FORWARD

if TYPE_CHECKING:
    from backends.native import OnnxFile


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        path: the file.
        model: the network.
        opset: version of ONNX's operators.
        optimized: whether it is the form for inference.
        nodes: how many nodes the ONNX model has.
        size: bytes of the file.
        input_shape: of the file's input; 0 stands for any number of images.
        error: the largest difference of an output from the float64 reference, over the largest
            output, when the file was run by ONNX Runtime.
    """

    path: Path
    model: str
    opset: int
    optimized: bool
    nodes: int
    size: int
    input_shape: tuple[int, ...]
    error: float

    def __str__(self) -> str:
        """Return it in two lines."""
        shape = "×".join("N" if n == 0 else str(n) for n in self.input_shape)
        form = ", optimized for inference" if self.optimized else ""
        return (
            f"{self.path}: {self.model}{form}, input {shape}, opset {self.opset}, "
            f"{self.nodes} nodes, {self.size / 2**20:.2f} MiB\n"
            f"run by ONNX Runtime: {self.error:.1e} from the float64 reference"
        )


def export(
    model: Any,
    path: str | Path,
    *,
    weights: Source | None = None,
    optimize: bool = False,
    group_conv: str = "native",
    opset: int | None = None,
    batch: int | None = None,
    labels: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    tolerance: float = FORWARD.limit,
    adapt: bool = False,
    seed: int = 0,
    force: bool = False,
    **overrides: Any,
) -> Export:
    """Write a network as an ONNX file, after it was run and agreed with the float64 reference.

    Nodes are named as in the graph, initializers as the weights, so that the file can be read back
    (`load`) unless it is optimized. Spec, labels and normalization stand in its metadata
    (``zoo.spec``, ``zoo.labels``, ``zoo.mean``, ``zoo.std``).

    Args:
        model: whatever `create` takes, or a live model that it made.
        path: the destination, ``.onnx``.
        weights: as for `create`; not with a live model.
        optimize: write the form for inference, see `create`.
        group_conv: ``"native"`` or ``"split"``.
        opset: version of ONNX's operators; 17 if not given, which every run-time of today reads.
        batch: a fixed number of images; any number if not given.
        labels: the name of each class.
        mean: what is subtracted from each channel of an image in [0, 1] ...
        std: ... and what the difference is divided by.
        tolerance: the largest admitted difference from the reference, relative to the largest
            output; by default what a proof admits in evaluation mode.
        adapt: as for `create`.
        seed: as for `create`.
        force: replace an existing file.
        **overrides: fields of the spec; ``image_size`` is the height and width of the file's input.

    Raises:
        ExportError: the opset does not have an operator, labels or normalization do not fit, or the
            file does not compute what the network does (it is not kept).
        WeightsError: the weights do not fit, or a live model has other layers than its spec.
        OutputError: the destination exists or cannot be written.
        BackendNotInstalledError: onnx or onnxruntime is missing.

    Example:
        >>> export("shufflenet_v2_0.5x", "net.onnx", optimize=True, image_size=64).optimized
        True
    """
    engine = backends.exporter()
    path = Path(path)
    require_writable(path, ".onnx", force)
    opset = engine.OPSET if opset is None else opset
    realize = realization(group_conv, optimize)
    if isinstance(model, Network):
        model = opened(model)
        _ = families.spec(
            model, **overrides
        )  # what is wrong with these is told before a file is read
        spec, found = resolve(model, weights, overrides, adapt=adapt, seed=seed)
    else:
        spec, found = _of_live_model(model, weights, overrides)
    metadata = _metadata(spec, optimize, labels, mean, std)
    if batch is not None and batch < 1:
        raise ExportError(f"batch (={batch}) must be at least 1")
    graph, realized = realize(spec.graph, found)
    proto = engine.emit(graph, realized, opset=opset, batch=batch, metadata=metadata)
    images = np.random.default_rng(seed).standard_normal((batch or 2, *spec.graph.input_shape[1:]))
    images = images.astype(np.float32)
    errors: list[float] = []

    def verify(written: Path) -> None:
        exact = _reference(spec.graph, found, images)
        values = engine.File(written).run(images)
        errors.append(max(relative_maximum(v, e) for v, e in zip(values, exact, strict=True)))
        if not errors[0] <= tolerance:
            raise ExportError(
                f"{path}: not written: what ONNX Runtime makes of it is {errors[0]:.1e} from the "
                f"float64 reference; tolerance (={tolerance:.1e}) must not be exceeded"
            )

    contents = proto.SerializeToString()
    with atomic(path, force=force, verify=verify) as file:
        file.write(contents)
    return Export(
        path=path,
        model=model_name(spec),
        opset=opset,
        optimized=optimize,
        nodes=len(proto.graph.node),
        size=len(contents),
        input_shape=(batch or 0, *spec.graph.input_shape[1:]),
        error=errors[0],
    )


def _of_live_model(
    model: Any, weights: Source | None, overrides: dict[str, Any]
) -> tuple[Spec, Weights]:
    spec = spec_of(model, "; export the whole network, with optimize=True")
    if weights is not None:
        raise ExportError("weights must not be given with a live model, which has its own")
    if unknown := overrides.keys() - {"image_size"}:
        raise ExportError(f"{sorted(unknown)[0]} cannot be changed in a live model")
    return spec.replace(**overrides), get_weights(model)


def _reference(graph: Graph, weights: Weights, images: np.ndarray) -> tuple[np.ndarray, ...]:
    engine = backends.load("numpy")
    model = engine.build(graph)
    engine.set_parameters(model, weights)
    return engine.predict(model, images)


def _metadata(
    spec: Spec,
    optimize: bool,
    labels: Sequence[str] | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> dict[str, str]:
    """Return what the file says about itself, as text."""
    found = arrays.metadata(spec, "zoo") | ({"zoo.optimized": "true"} if optimize else {})
    if labels is not None:
        if len(labels) != spec.num_classes:
            raise ExportError(f"labels (={len(labels)}) must be {spec.num_classes}, one a class")
        found["zoo.labels"] = json.dumps(list(labels), ensure_ascii=False)
    for name, values in (("mean", mean), ("std", std)):
        if values is None:
            continue
        if len(values) != spec.in_channels:
            raise ExportError(f"{name} (={list(values)}) must have {spec.in_channels} values")
        found[f"zoo.{name}"] = json.dumps([float(value) for value in values])
    if std is not None and min(std) <= 0:
        raise ExportError(f"std (={list(std)}) must be greater than 0")
    return found


def open_exported(path: str | Path) -> OnnxFile:
    """Return the network in an ONNX file, run by ONNX Runtime as it is, whoever wrote it.

    It is a callable: float32 (N, C, H, W) -> the output, or a tuple of several; ``input_shape``,
    ``metadata``, ``labels``, ``mean`` and ``std`` are what the file tells. A shape that the file
    does not admit raises `InputError`.

    Raises:
        WeightsError: there is no such file, it cannot be loaded, or it has control flow, functions
            or arrays of more than 2^30 values, as nothing of ours has.
        BackendNotInstalledError: onnxruntime is missing.
    """
    return backends.exporter().File(path)
