"""Cells in the hands of MindSpore's `Model`, mixed precision and MindCV's own feature extractor."""

from __future__ import annotations

import copy
import shutil
import sys
from pathlib import Path

import mindspore as ms
import mindspore.dataset as ds
import numpy as np
import pytest
from ecosystem_material import FEW_UNITS, STAGES, V1, V2, images
from mindcv.models.features import FeatureExtractWrapper
from mindspore import nn, ops
from mindspore.train import Model
from mindspore.train.callback import CheckpointConfig, LossMonitor, ModelCheckpoint, TimeMonitor

import zoo

LABELS = np.arange(8, dtype=np.int32)

pytestmark = pytest.mark.usefixtures("graph_mode")


def made(name=V2, **options):
    return zoo.create(name, backend="mindspore", seed=1, **FEW_UNITS, **options)


def tensor(count=2):
    return ms.Tensor(images(count).numpy())


def batches():
    data = ds.NumpySlicesDataset((images(8).numpy(), LABELS), ["x", "y"], shuffle=False)
    return data.batch(4)


def loss():
    return nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")


def same(found, expected):
    return all(np.array_equal(found[name], expected[name]) for name in expected)


def moved(cell, before):
    """Return whether each weight of a cell is another one than it was; batch norms' may be."""
    after = zoo.get_weights(cell)
    return all((after[n] != before[n]).any() for n in before if before[n].ndim > 1)


@pytest.mark.sweep(quick=["shufflenet_v2_0.5x_cifar"])
@pytest.mark.parametrize("name", [V1, V2])
def test_mindcv_extracts_features(name):
    x, scopes = tensor(), STAGES[name]
    expected = made(name, outputs=scopes)(x)
    cell = made(name)
    features = cell.zoo_graph.origin.features
    cell.feature_info = [
        {"name": scope, "chs": features[scope].channels, "reduction": features[scope].stride}
        for scope in scopes
    ]
    extractor = FeatureExtractWrapper(cell, out_indices=[0, 2])
    found = extractor(x)
    assert extractor.out_channels == [features[scopes[0]].channels, features[scopes[2]].channels]
    assert len(found) == 2
    for value, wanted in zip(found, expected[::2], strict=True):
        assert np.array_equal(value.asnumpy(), wanted.asnumpy())


def test_a_model_is_trained_evaluated_and_saved(tmp_path, capsys):
    cell = made()
    before = zoo.get_weights(cell)
    optimizer = nn.Momentum(cell.trainable_params(), 0.05, 0.9)
    model = Model(cell, loss(), optimizer, metrics={"acc", "loss"})
    config = CheckpointConfig(save_checkpoint_steps=2, exception_save=False)
    keep = ModelCheckpoint("net", str(tmp_path), config)
    first = model.eval(batches(), dataset_sink_mode=False)
    told = [LossMonitor(1), TimeMonitor(), keep]
    model.train(3, batches(), callbacks=told, dataset_sink_mode=False)
    last = model.eval(batches(), dataset_sink_mode=False)
    assert last["loss"] != first["loss"]
    assert moved(cell, before)
    assert capsys.readouterr().out.count("loss is") == 6
    (file,) = Path(tmp_path).glob("net-3_2.ckpt")
    assert same(zoo.load_weights(file, conventions="megvii"), zoo.get_weights(cell))


def test_a_step_of_training_leads_down():
    cell, x, y = made(), tensor(8), ms.Tensor(LABELS)
    step = nn.TrainOneStepCell(
        nn.WithLossCell(cell, loss()), nn.SGD(cell.trainable_params(), 0.05)
    ).set_train()
    losses = [float(step(x, y).asnumpy()) for _ in range(4)]
    assert losses[-1] < losses[0]


def test_a_replaced_head_is_called_and_trained():
    cell, x = made(V1), tensor(8)
    expected = cell(x)
    cell.classifier = nn.Dense(cell.classifier.in_channels, 7)
    assert (expected.shape, cell(x).shape) == ((8, 10), (8, 7))
    before = [p.asnumpy().copy() for p in cell.classifier.trainable_params()]
    head = nn.SGD(cell.classifier.trainable_params(), 0.05)
    step = nn.TrainOneStepCell(nn.WithLossCell(cell, loss()), head).set_train()
    step(x, ms.Tensor(LABELS % 7))
    after = [p.asnumpy() for p in cell.classifier.trainable_params()]
    assert len(before) == 2
    assert all((a != b).any() for a, b in zip(after, before, strict=True))


def test_a_cell_with_open_sizes_is_not_compiled_for_each():
    cell = made(V1)
    exact = zoo.create(V1, backend="numpy", seed=1, **FEW_UNITS)
    cell.set_inputs(ms.Tensor(shape=[None, 3, None, None], dtype=ms.float32))
    sizes = ((2, 32, 32), (3, 33, 47), (1, 40, 31), (2, 48, 48))
    for count, height, width in sizes:
        x = images(count, 48)[:, :, :height, :width].numpy()
        found, expected = cell(ms.Tensor(x)).asnumpy(), exact(x)
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert len(cell.compile_cache) < len(sizes)


class Users(nn.Cell):
    """A user's own network, with one of ours inside."""

    def __init__(self):
        super().__init__()
        self.net = made(V1)
        self.scale = ms.Parameter(ms.Tensor(2.0, ms.float32), name="scale")

    def construct(self, x):
        return ops.tanh(self.net(x) * self.scale)


@pytest.mark.exhaustive
def test_a_users_cell_is_copied_and_saved(tmp_path):
    users, x = Users(), tensor()
    users.net.note = ["mine"]
    expected = users(x).asnumpy()
    twin = copy.deepcopy(users)
    assert twin.net.note == ["mine"]
    assert twin.net.note is not users.net.note
    assert np.array_equal(twin(x).asnumpy(), expected)
    head = twin.net.classifier.weight
    head.set_data(head + 1)
    assert not np.array_equal(twin(x).asnumpy(), expected)
    assert np.array_equal(users(x).asnumpy(), expected)
    file = str(tmp_path / "users.ckpt")
    ms.save_checkpoint(users, file)
    assert ms.load_param_into_net(twin, ms.load_checkpoint(file)) == ([], [])
    assert np.array_equal(twin(x).asnumpy(), expected)


@pytest.mark.sweep(quick=["O2"])
@pytest.mark.parametrize("level", ["O0", "O1", "O2", "O3"])
def test_mixed_precision(level, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # O1 writes the code that it makes there
    # … and leaves folders behind from which other processes would import NumPy's parts.
    monkeypatch.setattr(sys, "path", list(sys.path))
    x = tensor()
    expected = made()(x).asnumpy()
    found = ms.amp.auto_mixed_precision(made(), level)(x).asnumpy().astype(np.float32)
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert error == 0 if level == "O0" else 0 < error < 0.02


@pytest.mark.exhaustive
def test_a_model_in_half_precision_is_trained():
    cell = made()
    before = zoo.get_weights(cell)
    optimizer = nn.SGD(cell.trainable_params(), 0.05)
    Model(cell, loss(), optimizer, amp_level="O3").train(1, batches(), dataset_sink_mode=False)
    assert moved(cell, before)


@pytest.mark.exhaustive
def test_mixed_precision_beside_the_temporary_files(monkeypatch):
    # Of a program that stands there, MindSpore imports the code of models by their folders' names.
    folder = Path(sys.modules[type(made(V1)).__module__].__file__).parents[1]
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    cell = ms.amp.auto_mixed_precision(made(V1), "O1")
    try:
        assert np.isfinite(cell(tensor()).asnumpy()).all()
    finally:
        shutil.rmtree("rewritten_network", ignore_errors=True)
