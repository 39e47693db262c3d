"""Where networks start from: the same bits as ever, and numbers that float32 can carry."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re

import numpy as np
import pytest

import weights
import zoo
from zoo.arch.damped import FEATURES, LOGITS
from zoo.arch.graph import Graph, Node
from zoo.arch.later import LATER
from zoo.arch.operators import Add, Conv2d, LayerNorm, Mul, Permute, Weight
from zoo.arch.serialized import from_fields, to_fields
from zoo.families import base_model
from zoo.passes.conventions import convert_conventions

# As deep as the published one, with an eighth of its channels.
DEEP = zoo.spec(
    "se_shufflenet_v2_164", stem_channels=(8, 8, 16), stage_channels=(44, 84, 172, 340),
    last_channels=256, image_size=64, initialization="fan_in",
)  # fmt: skip
UNITS = 49  # that add what they read

# A seed is a promise across versions, and so is the initialization of before.
FAN_IN = {
    "resnet9": "3f512daae8272093a0e4bb91adf00670",
    "shufflenet_v1_0.5x_g3_cifar": "204e5d7e7d7a9ac2e212cb542adcc2d3",
    "shufflenet_v2_0.5x_cifar": "33a12f1fd3e6412a05b5cdee8f3bce86",
    "shufflenet_v2_plus_small": "a7db68dbc13bac931e56d66eb23b5867",
}


DAMPED = {
    "resnet9": "25858c4064347db65339987efc333f05",
    "shufflenet_v1_0.5x_g3_cifar": "df0ac117714aa307968f227b56546d3d",
    "shufflenet_v2_0.5x_cifar": "06de8b0ea6fc2a59b5531430617a65af",
    "shufflenet_v2_plus_small": "85fb02fa58af370f875db31790e68ff6",
}


@pytest.mark.parametrize("name", DAMPED)
def test_a_seed_gives_the_bits_of_the_release(name: str) -> None:
    for initialization, digests in (("damped", DAMPED), ("fan_in", FAN_IN)):
        found = weights.initialize(zoo.spec(name, initialization=initialization).graph, seed=0)
        data = b"".join(array.tobytes() for array in found.values())
        assert hashlib.sha256(data).hexdigest()[:32] == digests[name], initialization


def error(found: dict[str, np.ndarray]) -> float:
    """Return how far ONNX Runtime's float32 is from float64 in evaluation mode."""
    x = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)
    exact = zoo.create(DEEP, backend="numpy", weights=found)(x)
    values = zoo.create(DEEP, backend="onnx", weights=found)(x)
    return float(np.abs(values - exact).max() / np.abs(exact).max())


def test_residuals_start_small_where_there_are_many() -> None:
    graph = DEEP.graph  # of the initialization of before: of no other network they did
    found = weights.initialize(graph)
    ends = [n.name.replace(".add", ".expand.bn.weight") for n in graph.nodes if type(n.op) is Add]
    assert len(ends) == UNITS
    for name, parameter in graph.parameters.items():
        if parameter.init == "ones" and parameter.trainable:
            start = 1 / math.sqrt(UNITS) if name in ends else 1.0
            np.testing.assert_array_equal(found[name], np.float32(start))
    assert error(found) <= 5e-6
    # The negative control: they all start at 1.
    for name in ends:
        found[name] = np.ones_like(found[name])
    with np.errstate(over="ignore"):
        assert error(found) > 1e-2


def test_how_many_there_are_is_read_off_the_spec() -> None:
    graph = DEEP.replace(stage_repeats=(2, 3, 3, 2)).graph
    assert weights.initialize(graph)["stage2.1.expand.bn.weight"][0] == np.float32(6**-0.5)
    plain = DEEP.replace(residual=False).graph
    assert {p.scale for p in plain.parameters.values()} == {1.0}


def scales(spec: zoo.Spec) -> dict[str, float]:
    """Return what starts at other scales than 1, by the name of its node."""
    return {
        name.removesuffix(".weight"): parameter.scale
        for name, parameter in spec.graph.parameters.items()
        if parameter.scale != 1
    }


def test_what_is_damped_is_found_in_the_graph() -> None:
    # Nothing between the classifier and the last batch norm, and no sums: that one alone.
    plain = scales(zoo.spec("shufflenet_v2_1.0x"))
    assert plain == {"last.bn": FEATURES / math.sqrt(1024), "classifier": LOGITS}
    # Sums of which the classifier reads the last, and one that convolutions follow.
    factor, branch = FEATURES / math.sqrt(512), 1 / math.sqrt(2)
    assert scales(zoo.spec("resnet9")) == {
        "res1.1.bn": branch, "conv4.bn": factor, "res2.1.bn": branch * factor,
        "classifier": LOGITS,
    }  # fmt: skip
    # One stream from the stem to the classifier: all that is added to it, by one factor more.
    graph = zoo.spec("shufflenet_v1_1.0x_g3").graph
    factor, branch = FEATURES / math.sqrt(960), 1 / math.sqrt(13)
    found = scales(graph.origin)
    assert found.pop("classifier") == LOGITS
    assert set(found) == {"stem.bn"} | {n for n in graph.by_name if n.endswith("expand.bn")}
    for name, scale in found.items():
        begins = name == "stem.bn" or ".0." in name
        assert scale == (factor if begins else branch * factor), name
    # Few features need no less than 1; squeeze and excitation's gates are not what is added.
    found = scales(DEEP.replace(initialization="damped", last_channels=16))
    ends = {n.name.replace(".add", ".expand.bn") for n in DEEP.graph.nodes if type(n.op) is Add}
    assert found == dict.fromkeys(ends, 1 / math.sqrt(UNITS)) | {"classifier": LOGITS}


def test_what_weights_start_from_is_no_part_of_a_network() -> None:
    spec = zoo.spec("shufflenet_v1_0.5x_g3_cifar")
    other = spec.replace(initialization="fan_in")
    assert other.graph == spec.graph
    assert other != spec
    assert zoo.spec_from_json(other.to_json()) == other
    assert "initialization" not in spec.to_json()  # whose hash is that of files of before
    assert base_model(other) == "shufflenet_v1_0.5x_g3_cifar"
    assert "classifier" not in scales(other)
    for name, array in weights.randomize(spec.graph).items():
        np.testing.assert_array_equal(array, weights.randomize(other.graph)[name])
    with pytest.raises(zoo.SpecError, match=re.escape(
        "initialization (='he') must be one of damped, fan_in"
    )):  # fmt: skip
        spec.replace(initialization="he")


def test_trained_weights_stay_and_a_new_classifier_is_damped() -> None:
    spec = zoo.spec("shufflenet_v1_0.5x_g3_cifar")
    before = spec.replace(initialization="fan_in")
    found = weights.randomize(before.graph)
    kept, notes = weights.adapt(found, before.graph, spec.replace(num_classes=3).graph, seed=1)
    assert len(notes) == 1
    assert np.abs(kept["classifier.weight"]).max() <= LOGITS / math.sqrt(480)
    np.testing.assert_array_equal(kept["stem.bn.weight"], found["stem.bn.weight"])
    converted = convert_conventions(before, spec.replace(concat_order="pool_main"), found)
    assert set(converted) == set(found)


def test_fields_that_came_later_change_no_hash():
    """A file states the hash of its network: what is at its default is not told."""
    ops = {
        "conv": Conv2d(
            in_channels=3, out_channels=4, kernel_size=(1, 1), stride=(1, 1), padding=(0, 0, 0, 0)
        ),
        "turned": Permute(dims=(0, 2, 3, 1)),
        "norm": LayerNorm(normalized_shape=(4,), eps=1e-5, affine=True),
        "scale": Weight(shape=(4,), trainable=True),
    }  # fmt: skip
    reads = {"conv": ("input",), "turned": ("conv",), "norm": ("turned",), "scale": ()}

    def body(**changed):
        nodes = [Node(name, changed.get(name, op), reads[name]) for name, op in ops.items()]
        product = Node("mul", Mul(), ("norm", "scale"))
        return Graph(3, (4, 4), (*nodes, product), ("mul",))

    plain = json.dumps(to_fields(body()))
    for name in ("conv", "norm", "scale"):
        (field,) = (f.name for f in dataclasses.fields(ops[name]) if f.metadata == LATER)
        assert field not in plain
        graph = body(**{name: dataclasses.replace(ops[name], **{field: 0.5})})
        again = from_fields(json.loads(json.dumps(to_fields(graph))))
        assert getattr(again.by_name[name].op, field) == 0.5
