"""Rewrites for inference: every network, every pass alone and together, every backend."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from catalog_rows import EACH_KIND, small

import backends
import weights as arrays
import zoo
from weights import randomize
from zoo.arch import Graph
from zoo.arch.builder import GraphBuilder
from zoo.arch.operators import (
    BatchNorm2d,
    ChannelPermute,
    ChannelShuffle,
    Concat,
    Dropout,
    Pool,
    ReLU,
    Slice,
)
from zoo.errors import UnknownNameError, WeightsError
from zoo.passes import (
    absorb_bias,
    eliminate_channel_shuffle,
    fold_batchnorm,
    merge_group_conv,
    optimize,
    remove_dead_nodes,
    split_group_conv,
)
from zoo.passes.rewrite import Rewrite
from zoo.proof.conditioning import (
    well_conditioned_batch,
    well_conditioned_images,
    well_conditioned_weights,
)

EXACT = 3e-6
"""Weights are rounded to float32 once more by a fold, which moves values by as much as computing in
float32 does (1.4e-6 is measured); the reference itself computes in float64."""
ENGINES = ["numpy", "torch", "mindspore", "onnx", "openvino"]


def run(graph: Graph, weights: dict[str, np.ndarray], x: np.ndarray) -> dict[str, np.ndarray]:
    values, _ = backends.load("numpy").forward(graph, weights, x, training=False, dtype="float64")
    return values


def difference(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def images(graph: Graph, count: int = 2) -> np.ndarray:
    x = np.random.default_rng(1).standard_normal((count, *graph.input_shape[1:]))
    return x.astype(np.float32)


def kinds(graph: Graph) -> list[type]:
    return [type(node.op) for node in graph.nodes]


@pytest.mark.sweep(quick=["resnet9", "*v1_0.5x_g3", "*v1_1.0x_g1", "*v2_0.5x", "*plus_small"])
@pytest.mark.parametrize("name", EACH_KIND)
def test_the_form_for_inference_computes_what_the_network_does(name: str) -> None:
    graph = small(name).graph
    x = well_conditioned_images(graph, well_conditioned_batch(graph), np.random.default_rng(1))
    weights = well_conditioned_weights(graph, x, 0, training=False)
    exact = run(graph, weights, x)
    rewritten, found = optimize(graph, weights)
    values = run(rewritten, found, x)
    # Nodes of one name have one value, so that a proof goes on node by node.
    same = exact.keys() & values.keys() - {"input"}
    assert set(graph.outputs) <= same
    assert optimize(rewritten)[0] == rewritten  # once is enough
    errors = {node: difference(values[node], exact[node]) for node in same}
    assert max(errors[node] for node in graph.outputs) <= EXACT
    # What gates read are means, which hardly differ between images: rounded weights show in them.
    assert max(errors.values()) <= 3 * EXACT
    assert len(same) >= len(graph.nodes) / 5
    left = [node for node in rewritten.nodes if isinstance(node.op, BatchNorm2d)]
    assert all(isinstance(rewritten.by_name[n.inputs[0]].op, Concat | Pool) for n in left)
    assert not left or name.startswith("densenet")  # where nothing stands before that could take it
    if "shufflenet_v1" in name:  # one between group convolutions: none in the first unit
        units = 15 if "g1" not in name else 0
        assert kinds(rewritten).count(ChannelShuffle) == units
    else:
        assert ChannelShuffle not in kinds(rewritten)
    assert ChannelPermute not in kinds(rewritten)


PASSES = (
    remove_dead_nodes,
    fold_batchnorm,
    absorb_bias,
    eliminate_channel_shuffle,
    split_group_conv,
    merge_group_conv,
)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "name", ["shufflenet_v1_1.0x_g3_cifar", "shufflenet_v2_1.0x_cifar", "shufflenet_v2_plus_small"]
)
def test_passes_keep_the_function_in_every_order(name: str) -> None:
    graph = small(name).replace(image_size=32).graph
    x = images(graph, 1)
    weights = well_conditioned_weights(graph, x, 0, training=False)
    (output,) = graph.outputs
    exact = run(graph, weights, x)[output]
    for order in itertools.permutations(PASSES, 3):
        rewritten, found = graph, weights
        for step in order:
            rewritten, found = step(rewritten, found)
        value = run(rewritten, found, x)[rewritten.outputs[0]]
        assert difference(value, exact) <= EXACT, [p.__name__ for p in order]


@pytest.mark.sweep(quick=["shufflenet_v1_0.5x_g3_cifar-*"])
@pytest.mark.parametrize("rewrite", PASSES, ids=lambda rewrite: rewrite.__name__)
@pytest.mark.parametrize("name", ["shufflenet_v1_0.5x_g3_cifar", "shufflenet_v2_plus_small"])
def test_weights_of_some_parameters_become_some_of_the_weights(name: str, rewrite: Rewrite) -> None:
    graph = small(name).graph
    weights = randomize(graph, 0)
    if rewrite is not fold_batchnorm:  # a fold leaves biases, which there were none of before
        graph, weights = fold_batchnorm(graph, weights)
    if rewrite is merge_group_conv:
        graph, weights = split_group_conv(graph, weights)
    rewritten, whole = rewrite(graph, weights)
    names = list(weights)
    for missing in (*([name] for name in names[:16]), names[::2], names[1::2], names):
        kept = {name: array for name, array in weights.items() if name not in missing}
        other, found = rewrite(graph, kept)
        assert other == rewritten
        assert found.keys() <= whole.keys()
        assert all(np.array_equal(found[name], whole[name]) for name in found), missing
        assert len(whole) - len(found) <= 5 * len(missing)  # what needs none of them is there


def test_a_wrong_column_is_seen() -> None:
    graph = small("shufflenet_v2_0.5x_cifar").graph
    x = images(graph, 1)
    weights = well_conditioned_weights(graph, x, 0, training=False)
    exact = run(graph, weights, x)
    rewritten, found = optimize(graph, weights)
    name = "stage3.4.compress.bn_reordered.weight"
    name = name if name in found else "stage3.4.compress.bn.weight"
    found[name] = found[name][:, ::-1]
    values = run(rewritten, found, x)
    assert difference(values["classifier"], exact["classifier"]) > 1e-3


def test_a_unit_of_shufflenet_v2_reads_runs_and_copies_nothing_else() -> None:
    graph, _ = optimize(zoo.spec("shufflenet_v2_1.0x", conventions="torchvision").graph)
    (reads,) = [n for n in graph.nodes if n.name == "stage2.2.compress.bn_input"]
    assert isinstance(reads.op, Concat)
    # Half of what the unit before made, a quarter each of what the two before that one made.
    assert [graph.shapes()[name][1] for name in reads.inputs] == [15, 14, 29]
    moved = [n for n in graph.nodes if isinstance(n.op, Slice | Concat) and "stage2" in n.name]
    assert not [n for n in moved if n.name.endswith(".concat")]


def test_batch_norm_folds_only_where_it_may() -> None:
    g = GraphBuilder(3, 8)
    x = g.conv(g.input, 4, kernel_size=3, name="a")
    read_twice = g.add(g.batch_norm(x, name="a_bn"), x)
    after_relu = g.batch_norm(g.relu(read_twice), name="after_relu")
    folded = g.batch_norm(g.conv(after_relu, 4, name="b"), name="b_bn")
    graph = g.build(folded)
    rewritten, _ = fold_batchnorm(graph)
    assert [n.name for n in rewritten.nodes if isinstance(n.op, BatchNorm2d)] == [
        "a_bn",
        "after_relu",
    ]
    assert rewritten.by_name["b_bn"].op == replace(graph.by_name["b"].op, bias=True)


def test_dead_nodes_go_and_outputs_stay() -> None:
    graph = zoo.spec("shufflenet_v2_0.5x_cifar", dropout=0.5).graph
    rewritten, _ = remove_dead_nodes(graph)
    assert Dropout in kinds(graph)
    assert Dropout not in kinds(rewritten)
    assert rewritten.outputs == graph.outputs
    part = graph.select(["stage2"])
    assert remove_dead_nodes(part)[0] == part


@pytest.mark.sweep(
    quick=["shufflenet_v2_0.5x_cifar-native-torch", "shufflenet_v2_0.5x_cifar-native-onnx"]
)
@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("group_conv", ["native", "split"])
@pytest.mark.parametrize("name", ["shufflenet_v1_1.0x_g3_cifar", "shufflenet_v2_0.5x_cifar"])
def test_every_backend_runs_it(backend: str, group_conv: str, name: str) -> None:
    if group_conv == "split" and "v2" in name:
        return  # there is nothing to split
    report = zoo.parity(name, backends=[backend], optimize=True, group_conv=group_conv)
    assert report.passed, report
    engine = backends.load(backend)
    model = zoo.create(name, backend=backend, optimize=True, group_conv=group_conv)
    whole = zoo.create(name, backend="numpy")
    x = images(zoo.spec(name).graph, 3)
    assert difference(engine.predict(model, x)[0], engine_output(whole, x)) <= 5e-6
    with pytest.raises(WeightsError, match="a form for inference"):
        zoo.save(model, "nowhere.safetensors")


def engine_output(model: object, x: np.ndarray) -> np.ndarray:
    return backends.load("numpy").predict(model, x)[0]


def test_features_come_in_their_own_order() -> None:
    stages = ["stage2", "stage3", "stage4"]
    options = {"outputs": stages, "backend": "numpy"}
    x = images(zoo.spec("shufflenet_v2_0.5x_cifar").graph, 1)
    plain = zoo.create("shufflenet_v2_0.5x_cifar", **options)(x)
    fast = zoo.create("shufflenet_v2_0.5x_cifar", **options, optimize=True)(x)
    for a, b in zip(fast, plain, strict=True):
        assert difference(a, b) <= EXACT


def test_a_torch_model_for_inference_is_frozen() -> None:
    import torch

    model = zoo.create("shufflenet_v2_0.5x_cifar", backend="torch", optimize=True)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    x = torch.randn(2, 3, 32, 32)
    assert model.stem.bn(x).is_contiguous(memory_format=torch.channels_last)


def test_training_levels_are_refused() -> None:
    with pytest.raises(
        UnknownNameError,
        match=r"a network for inference \(optimize=True\) has no level 'training'; "
        "it has structure, forward",
    ):
        zoo.parity("shufflenet_v2_0.5x", optimize=True, level="training")


def test_relu_after_a_concat_goes_to_its_parts() -> None:
    graph, _ = optimize(zoo.spec("shufflenet_v1_1.0x_g3", conventions="mindcv").graph)
    relus = [n for n in graph.nodes if isinstance(n.op, ReLU) and n.name.startswith("stage3.0")]
    # The pooled part is not negative: only the convolution's part is rectified.
    assert [n.name for n in relus] == ["stage3.0.compress.relu", "stage3.0.relu_part_0"]


def test_weights_may_be_missing() -> None:
    graph = zoo.spec("shufflenet_v2_0.5x_cifar").graph
    weights = arrays.initialize(graph, 0)
    assert optimize(graph)[0] == optimize(graph, weights)[0]
    assert optimize(graph)[1] == {}
