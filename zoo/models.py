"""Models from specs and files: where weights and backends meet."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import backends
import weights as arrays
from backends import Name
from weights import Checkpoint
from zoo import arch, families
from zoo.arch import Graph
from zoo.errors import SpecError, ZooError, unknown
from zoo.live import get_weights, spec_of
from zoo.loading import Network, Source, opened, resolved
from zoo.passes import Rewrite, Weights, merge_group_conv, split_group_conv
from zoo.passes import optimize as optimize_graph

if TYPE_CHECKING:
    from backends.native import (
        MindSporeModel,
        NumpyModel,
        OnnxModel,
        OpenVINOModel,
        TorchModel,
    )

GROUP_CONV = {"native": merge_group_conv, "split": split_group_conv}
"""How group convolutions are realized → the pass that writes them so."""


# fmt: off
@overload
def create(
    model: Network, *, backend: Literal["torch"] = "torch", seed: int = 0,
    weights: Source | None = None, adapt: bool = False, group_conv: str = "native",
    outputs: Sequence[str] | None = None, features_only: bool = False,
    out_indices: int | Sequence[int] | None = None, optimize: bool = False, **overrides: Any,
) -> TorchModel: ...
@overload
def create(
    model: Network, *, backend: Literal["mindspore"], seed: int = 0,
    weights: Source | None = None, adapt: bool = False, group_conv: str = "native",
    outputs: Sequence[str] | None = None, features_only: bool = False,
    out_indices: int | Sequence[int] | None = None, optimize: bool = False, **overrides: Any,
) -> MindSporeModel: ...
@overload
def create(
    model: Network, *, backend: Literal["onnx"], seed: int = 0,
    weights: Source | None = None, adapt: bool = False, group_conv: str = "native",
    outputs: Sequence[str] | None = None, features_only: bool = False,
    out_indices: int | Sequence[int] | None = None, optimize: bool = False, **overrides: Any,
) -> OnnxModel: ...
@overload
def create(
    model: Network, *, backend: Literal["openvino"], seed: int = 0,
    weights: Source | None = None, adapt: bool = False, group_conv: str = "native",
    outputs: Sequence[str] | None = None, features_only: bool = False,
    out_indices: int | Sequence[int] | None = None, optimize: bool = False, **overrides: Any,
) -> OpenVINOModel: ...
@overload
def create(
    model: Network, *, backend: Literal["numpy"], seed: int = 0,
    weights: Source | None = None, adapt: bool = False, group_conv: str = "native",
    outputs: Sequence[str] | None = None, features_only: bool = False,
    out_indices: int | Sequence[int] | None = None, optimize: bool = False, **overrides: Any,
) -> NumpyModel: ...
@overload
def create(
    model: Network, *, backend: Name, seed: int = 0,
    weights: Source | None = None, adapt: bool = False, group_conv: str = "native",
    outputs: Sequence[str] | None = None, features_only: bool = False,
    out_indices: int | Sequence[int] | None = None, optimize: bool = False, **overrides: Any,
) -> Any: ...
# fmt: on
def create(
    model: Network,
    *,
    backend: str = "torch",
    seed: int = 0,
    weights: Source | None = None,
    adapt: bool = False,
    group_conv: str = "native",
    outputs: Sequence[str] | None = None,
    features_only: bool = False,
    out_indices: int | Sequence[int] | None = None,
    optimize: bool = False,
    **overrides: Any,
) -> Any:
    """Return a native model: ``torch.nn.Module``, ``mindspore.nn.Cell``, or a callable on arrays.

    It takes float images (N, in_channels, H, W) and returns logits (N, num_classes), or the values
    named by ``outputs``. As native models are, a PyTorch one starts in training mode and a
    MindSpore one in evaluation mode; a MindSpore one runs in the mode that MindSpore is set to
    (graph mode is the fast one).

    Args:
        model: a name of `list_models`, a spec, or what brings its weights: what `adopt` or
            `load_weights` returned, or a file that tells its network.
        backend: ``"torch"``, ``"mindspore"``, ``"onnx"`` (ONNX Runtime), ``"openvino"`` or
            ``"numpy"`` (the float64 reference).
        seed: of the initial weights, which are the same bits on every backend.
        weights: instead of initial ones: a file of any code base that `load_weights` reads, one on
            the Hugging Face Hub (``"hf-hub:owner/repo[@revision][/file]"``), published weights by
            name (``"mindcv/imagenet1k"``), the most accurate of these (``"best"``), or canonical
            name → array, as `get_weights` returns them. A file brings its conventions and number of
            classes with it, and so does what `load_weights` returns; where ``model`` is a spec or
            ``overrides`` say otherwise, it is converted exactly or refused. A plain dict is taken
            as it is.
        adapt: fit the weights of a file to another ``num_classes`` (a new classifier from the seed)
            or ``in_channels`` (filters summed or repeated, as timm does); see `weights.adapt`.
        group_conv: ``"native"``, or ``"split"`` for slices → convolutions → concat.
        outputs: nodes (``"stage2.0.expand.bn"``) or scopes (``"stage2"``: the last node in it)
            whose values are returned, as a tuple if there are several. What they do not need is
            left out.
        features_only: return a tuple of feature maps, also if it is one: those of the resolutions
            that ``Spec.feature_info`` tells, and the model's own ``feature_info`` after it.
        out_indices: which of them, from the end if negative, or the last so many; by default all.
        optimize: for inference only: batch norms are folded into convolutions, and each convolution
            reads the channels it needs where they are instead of having them shuffled
            (docs/performance.md). The function is the same, the parameters are others; a PyTorch
            model is in evaluation mode, without gradients, its filters channels last.
        **overrides: fields of the spec, see `spec`.

    Raises:
        UnknownNameError: the model, backend, override, node or ``group_conv`` does not exist.
        SpecError, GraphError: the values of the spec do not fit together.
        WeightsError: the weights do not fit; every name that is wrong is listed.
        ConventionError: the file's conventions and those asked for are not the same function.
        BackendNotInstalledError: the framework is missing; tells what to install.
        ZooError: ``outputs`` and ``features_only`` are both given, or ``out_indices`` alone.

    Example:
        >>> model = create("shufflenet_v1_0.5x_g3", backend="numpy", num_classes=10)
    """
    realize = realization(group_conv, optimize)
    model = opened(model)
    asked = families.spec(model, **overrides)  # what is wrong is told before a file is read
    if features_only and outputs:
        raise ZooError("outputs and features_only cannot both be given: each says what is returned")
    if out_indices is not None and not features_only:
        raise ZooError(f"out_indices (={out_indices!r}) must be given with features_only=True")
    _ = asked.feature_info.from_other(out_indices)
    engine = backends.load(backend)
    meant = resolved(model, weights, overrides, adapt=adapt, seed=seed)
    spec, found = meant.spec, meant.weights
    graph = wanted = spec.graph
    told: dict[str, Any] = {}
    if features_only:
        told["feature_info"] = info = spec.feature_info.from_other(out_indices)
        if not info:
            raise SpecError(
                f"features_only: the graph of {families.model_name(spec)} does not tell where "
                "features end and a head begins; outputs= names nodes and scopes"
            )
        wanted = graph.select(info.module_name(), as_tuple=True)
    elif outputs:
        wanted = graph.select([outputs] if isinstance(outputs, str) else outputs)
    found = {name: found[name] for name in wanted.parameters}
    realized, found = realize(wanted, found)
    native = engine.build(dataclasses.replace(realized, preprocessing=meant.preprocessing))
    engine.set_parameters(native, found)
    vars(native).update(told)
    return engine.freeze(native) if optimize else native


# fmt: off
@overload
def load(
    path: str | Path, *, backend: Literal["torch"] = "torch", **options: Any,
) -> TorchModel: ...
@overload
def load(
    path: str | Path, *, backend: Literal["mindspore"], **options: Any,
) -> MindSporeModel: ...
@overload
def load(
    path: str | Path, *, backend: Literal["onnx"], **options: Any,
) -> OnnxModel: ...
@overload
def load(
    path: str | Path, *, backend: Literal["openvino"], **options: Any,
) -> OpenVINOModel: ...
@overload
def load(
    path: str | Path, *, backend: Literal["numpy"], **options: Any,
) -> NumpyModel: ...
@overload
def load(
    path: str | Path, *, backend: Name, **options: Any,
) -> Any: ...
# fmt: on
def load(path: str | Path, *, backend: str = "torch", **options: Any) -> Any:
    """Return the network in a file, native in a framework, rebuilt from the file alone.

    Our own files carry their spec. Files of other code bases are recognized by names and shapes.

    Args:
        path: a file that `load_weights` reads.
        backend: as for `create`.
        **options: ``group_conv``, ``outputs``, ``adapt``, ``seed`` and overrides, as for `create`.

    Raises:
        WeightsError: the file cannot be read, or does not tell which network it is.
        ZooError: as `create`.
    """
    backends.load(backend)
    checkpoint = arrays.load_weights(path)
    return create(checkpoint.spec, backend=cast(Name, backend), weights=checkpoint, **options)


def save(model: Any, path: str | Path, *, group_conv: str = "native", force: bool = False) -> None:
    """Write a live model to a file from which `load` rebuilds it on any backend.

    Args:
        model: a model made by `create`, or what `adopt` or `load_weights` returned.
        path: the destination. ``.safetensors`` is our own format; ``.pth``, ``.ckpt``, ``.onnx``
            and ``.npz`` are written under our names as well, with the spec in their metadata.
        group_conv: ``"split"`` writes one convolution a group.
        force: replace an existing file.

    Raises:
        WeightsError: the model was not made by `create`, is part of a network (``outputs=``), or
            has layers that are not those of its spec, which are named; or the destination exists or
            cannot be written.
    """
    _ = realization(group_conv)
    if isinstance(model, Checkpoint):
        spec, found, how = model.spec, model.weights, model.preprocessing
    else:
        spec = spec_of(model, ", which no file of weights describes")
        found = get_weights(model)
        how = backends.backend_of(model).graph_of(model).preprocessing
    split = group_conv == "split"
    arrays.save_weights(path, spec, found, split=split, preprocessing=how, force=force)


def for_inference(group_conv: str) -> Rewrite:
    """Return the pass that writes a network for inference, with group convolutions so realized."""

    def realize(graph: Graph, weights: Weights | None = None) -> tuple[Graph, Weights]:
        return GROUP_CONV[group_conv](*optimize_graph(graph, weights))

    return realize


def realization(group_conv: str, optimize: bool = False) -> Rewrite:
    """Return the pass that writes a network as `create` is asked to.

    Raises:
        UnknownNameError: there is no such ``group_conv``.
    """
    if group_conv not in GROUP_CONV:
        raise unknown("group_conv", group_conv, GROUP_CONV)
    return for_inference(group_conv) if optimize else GROUP_CONV[group_conv]


def cost(
    model: Network | Graph, *, image_size: int | tuple[int, int] | None = None, **overrides: Any
) -> arch.Cost:
    """Return what a network costs for one image: shapes, parameters, multiply-adds, memory.

    Args:
        model: a name, a spec, a graph, or what `create` takes besides.
        image_size: height and width, by default the nominal ones.
        **overrides: fields of the spec, see `spec`.

    Raises:
        InputError: the network does not admit the size.
    """
    graph = model if isinstance(model, Graph) else families.spec(opened(model), **overrides).graph
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    return arch.cost(graph, (1, graph.in_channels, *(size or graph.image_size)))
