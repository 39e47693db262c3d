"""Models from specs: the one place where weights and backends meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import backends
import weights as arrays
from zoo import arch
from zoo.arch import Graph, Spec
from zoo.errors import unknown
from zoo.passes import Weights, merge_group_conv, split_group_conv

GROUP_CONV = {"native": merge_group_conv, "split": split_group_conv}
"""How group convolutions are realised → the pass that writes them so."""


def create(
    model: str | Spec,
    *,
    backend: str = "torch",
    seed: int = 0,
    weights: Mapping[str, np.ndarray] | None = None,
    group_conv: str = "native",
    outputs: Sequence[str] | None = None,
    **overrides: Any,
) -> Any:
    """Return a native model: ``torch.nn.Module``, ``mindspore.nn.Cell`` or NumPy callable.

    It takes float images (N, in_channels, H, W) and returns logits (N, num_classes), or the values
    named by ``outputs``. As native models are, a PyTorch one starts in training mode and a
    MindSpore one in evaluation mode; a MindSpore one runs in the mode that MindSpore is set to
    (graph mode is the fast one).

    Args:
        model: a name of `list_models`, or a spec.
        backend: ``"torch"``, ``"mindspore"`` or ``"numpy"`` (the float64 reference).
        seed: of the initial weights, which are the same bits on every backend.
        weights: canonical name → array, as `get_weights` returns them, instead of initial ones.
        group_conv: ``"native"``, or ``"split"`` for slices → convolutions → concat.
        outputs: nodes (``"stage2.0.expand.bn"``) or scopes (``"stage2"``: the last node in it)
            whose values are returned, as a tuple if there are several. What they do not need is
            left out.
        **overrides: fields of the spec, see `spec`.

    Raises:
        UnknownNameError: the model, backend, override, node or ``group_conv`` does not exist.
        SpecError, GraphError: the values of the spec do not fit together.
        WeightsError: the weights do not fit; every name that is wrong is listed.
        BackendNotInstalledError: the framework is missing; tells what to install.

    Example:
        >>> model = create("shufflenet_v1_0.5x_g3", backend="numpy", num_classes=10)
    """
    graph = arch.spec(model, **overrides).graph
    realise = _realisation(group_conv)
    wanted = graph.select([outputs] if isinstance(outputs, str) else outputs) if outputs else graph
    engine = backends.load(backend)
    found = arrays.initialise(graph, seed) if weights is None else arrays.check(graph, weights)
    realised, found = realise(wanted, {name: found[name] for name in wanted.parameters})
    native = engine.build(realised)
    engine.set_parameters(native, found)
    return native


def _realisation(group_conv: str) -> Any:
    if group_conv not in GROUP_CONV:
        raise unknown("group_conv", group_conv, GROUP_CONV)
    return GROUP_CONV[group_conv]


def get_weights(model: Any) -> Weights:
    """Return copies of a live model's parameters and running statistics.

    Returns:
        Canonical name → float32 array in PyTorch's layouts, the same whatever the backend and
        whether group convolutions are split.

    Raises:
        WeightsError: the model was not made by `create`.
    """
    engine = backends.backend_of(model)
    _, found = merge_group_conv(engine.graph_of(model), engine.get_parameters(model))
    return found


def set_weights(model: Any, weights: Mapping[str, np.ndarray]) -> None:
    """Copy weights into a live model of any backend; nothing is changed unless all of them fit.

    Args:
        model: a model made by `create`, also inside ``torch.compile`` or DistributedDataParallel.
        weights: canonical name → array, as `get_weights` returns them.

    Raises:
        WeightsError: names are missing, unexpected or mis-shaped (all are listed), or the model was
            not made by `create`.
    """
    engine = backends.backend_of(model)
    graph = engine.graph_of(model)
    canonical, _ = merge_group_conv(graph)
    found = arrays.check(canonical, weights)
    if graph != canonical:
        _, found = split_group_conv(canonical, found)
    engine.set_parameters(model, found)


def cost(
    model: str | Spec | Graph, *, image_size: int | tuple[int, int] | None = None, **overrides: Any
) -> arch.Cost:
    """Return what a network costs for one image: shapes, parameters, multiply-adds, memory.

    Args:
        model: a name, a spec or a graph.
        image_size: height and width, by default the nominal ones.
        **overrides: fields of the spec, see `spec`.

    Raises:
        InputError: the network does not admit the size.
    """
    graph = model if isinstance(model, Graph) else arch.spec(model, **overrides).graph
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    return arch.cost(graph, (1, graph.in_channels, *(size or graph.image_size)))
