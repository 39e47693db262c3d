"""Live models of MindSpore stay ours: in mixed precision, in others' Cells, with other layers."""

from __future__ import annotations

import copy

import mindspore as ms
import numpy as np
import pytest
from mindspore import amp, nn

import weights
import zoo
from zoo.errors import WeightsError

NAME = "shufflenet_v1_0.5x_g3_cifar"
GIVEN = weights.randomize(zoo.spec(NAME).graph, 5)
OTHERS = weights.randomize(zoo.spec(NAME).graph, 6)


class Users(nn.Cell):
    def __init__(self, **networks):
        super().__init__()
        self.head = nn.Dense(10, 2)
        for name, network in networks.items():
            setattr(self, name, network)


def created():
    return zoo.create(NAME, backend="mindspore", weights=GIVEN)


def same(found, expected):
    assert list(found) == list(expected)
    return all(np.array_equal(found[name], expected[name]) for name in expected)


WRAPPED = {
    "amp O2": lambda m: amp.auto_mixed_precision(m, "O2"),
    "amp O3": lambda m: amp.auto_mixed_precision(m, "O3"),
    "in a user's Cell": lambda m: Users(net=m),
    "a copy of a user's Cell": lambda m: copy.deepcopy(Users(net=m)),
    "in a loss": lambda m: nn.WithLossCell(m, nn.CrossEntropyLoss()),
    "in a training step": lambda m: nn.TrainOneStepCell(
        nn.WithLossCell(m, nn.CrossEntropyLoss()), nn.SGD(m.trainable_params())
    ),
    "O2 in a user's Cell": lambda m: Users(net=amp.auto_mixed_precision(m, "O2")),
}


@pytest.mark.parametrize("way", WRAPPED)
def test_weights_of_wrapped_models(way, tmp_path):
    model = WRAPPED[way](created())
    assert same(zoo.get_weights(model), GIVEN)
    zoo.set_weights(model, OTHERS)
    assert same(zoo.get_weights(model), OTHERS)
    zoo.save(model, tmp_path / "w.ckpt")
    assert same(zoo.get_weights(zoo.load(tmp_path / "w.ckpt", backend="numpy")), OTHERS)


OURS = "the model is no longer the network that zoo.create made: "
REFUSED = {
    "another head": (
        lambda m: setattr(m, "classifier", nn.Dense(480, 7)),
        f"{OURS}classifier: Dense(input_channels=480, output_channels=7, has_bias=True) is in the "
        "place of Dense(input_channels=480, output_channels=10, has_bias=True)",
    ),
    "another activation": (
        lambda m: setattr(m.stem, "relu", nn.GELU()),
        f"{OURS}stem.relu: GELU() is in the place of ReLU()",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_models_that_are_others_say_what_is(case, tmp_path):
    change, message = REFUSED[case]
    model = created()
    change(model)
    for use in (
        zoo.get_weights,
        lambda m: zoo.set_weights(m, OTHERS),
        lambda m: zoo.save(m, tmp_path / "w.ckpt"),
        lambda m: zoo.export(m, tmp_path / "w.onnx"),
        lambda m: zoo.parity(m, backends=["mindspore"]),
    ):
        with pytest.raises(WeightsError) as error:
            use(model)
        assert str(error.value) == message
    assert not list(tmp_path.iterdir())


def test_a_stride_that_was_changed_matters_where_the_spec_is_told(tmp_path):
    model = created()
    model.stem.conv.stride = (2, 2)
    assert same(zoo.get_weights(model), GIVEN)
    with pytest.raises(
        WeightsError, match=r"stem\.conv: Conv2d\(input_channels=3, .*stride=\(2, 2\)"
    ):
        zoo.save(model, tmp_path / "w.ckpt")


def test_several_networks_in_one_cell():
    with pytest.raises(WeightsError, match=r"^Users holds 2 networks of zoo\.create \(one, two\)"):
        zoo.get_weights(Users(one=created(), two=created()))
    with pytest.raises(WeightsError, match=r"^Dense was not made by zoo\.create$"):
        zoo.get_weights(nn.Dense(2, 2))


@pytest.mark.exhaustive
def test_modes_are_as_they_were_after_a_look(rng):
    from backends.mindspore.observe import observe

    model = created()
    model.set_train(True)
    model.stage3.set_train(False)
    modes = [cell.training for _, cell in model.cells_and_names()]
    assert {True, False} == set(modes)
    context = ms.get_context("mode")
    values = observe(model, rng.standard_normal((2, 3, 32, 32)).astype(np.float32))
    assert values["stage4.1.expand.bn"].shape == (2, 480, 4, 4)
    assert [cell.training for _, cell in model.cells_and_names()] == modes
    assert ms.get_context("mode") == context
