"""torchinfo and PyTorch's counter of operations find what `zoo.cost` tells."""

from __future__ import annotations

import math

import pytest
import torchinfo
from ecosystem_material import STAGES, V1, V2, images, made
from torch.utils.flop_counter import FlopCounterMode

import zoo

SIZES = {"resnet9": 32, V1: 32, V2: 32, "shufflenet_v2_plus_small": 64}
SCOPES = {**STAGES, "shufflenet_v2_plus_small": ("stage3", "stage4", "stage5")}


def parameters_below(graph, scope):
    return sum(
        math.prod(parameter.shape)
        for name, parameter in graph.parameters.items()
        if parameter.trainable and name.startswith(scope + ".")
    )


@pytest.mark.parametrize("name", SIZES)
def test_rows_of_torchinfo(name):
    model, x = made(name), images(2, SIZES[name])
    summary = torchinfo.summary(model, input_data=x, verbose=0, depth=3)
    cost = zoo.cost(name, image_size=SIZES[name])
    assert summary.total_params == summary.trainable_params == cost.params
    rows = {row.var_name: row for row in summary.summary_list if row.depth == 1}
    assert list(rows) == [child for child, _ in model.named_children()]
    features = zoo.spec(name, image_size=SIZES[name]).features
    for scope in SCOPES[name]:
        expected = [2, features[scope].channels, *features[scope].size]
        assert rows[scope].output_size == expected, scope
        assert rows[scope].num_params == parameters_below(model.zoo_graph, scope) > 0, scope


@pytest.mark.parametrize("name", SIZES)
def test_operations_are_twice_the_multiply_adds(name):
    model, x = made(name), images(3, SIZES[name])
    with FlopCounterMode(display=False) as counter:
        model(x)
    cost = zoo.cost(name, image_size=SIZES[name])
    assert counter.get_total_flops() == 2 * len(x) * cost.macs
    counts = {k: sum(v.values()) for k, v in counter.get_flop_counts().items()}
    whole = type(model).__name__
    parts = [counts.get(f"{whole}.{child}", 0) for child, _ in model.named_children()]
    assert sum(parts) == counter.get_total_flops()
    assert all(counts[f"{whole}.{scope}"] > 0 for scope in SCOPES[name])
