"""Gradient checkpointing by stage: the same bits, less memory, and batch norms that count once."""

from __future__ import annotations

import copy
import pickle
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

import zoo

V2 = "shufflenet_v2_0.5x_cifar"
SHORT = {"stage_repeats": (2, 2, 1)}
NETWORKS = ["resnet9", "shufflenet_v1_0.5x_g3_cifar", V2, "shufflenet_v2_plus_small"]
DROPOUT = {V2: 0.5, "resnet9": 0.5, "shufflenet_v2_plus_small": 0.5}


def made(name):
    options = {"dropout": DROPOUT[name]} if name in DROPOUT else {}
    return zoo.create(name, seed=1, num_classes=10, **options)


def images(name, count=3):
    size = min(zoo.spec(name).image_size, 64)
    return torch.rand(count, 3, size, size, generator=torch.manual_seed(0))


def step(model, x, call=None):
    """Return (bytes kept for backward beside the weights, gradients, state after a step)."""
    kept, own = {}, {value.data_ptr() for value in model.state_dict().values()}

    def pack(value):
        if value.data_ptr() not in own:
            kept[value.data_ptr()] = value.numel() * value.element_size()
        return value

    model.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        torch.manual_seed(5)
        logits = (model if call is None else call)(x)
    (logits * torch.linspace(-1, 2, 10)).sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    return sum(kept.values()), gradients, copy.deepcopy(model.state_dict())


def same(found, expected):
    return found.keys() == expected.keys() and all(
        torch.equal(found[k], expected[k]) for k in found
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_bits_in_less_memory(name):
    model, x = made(name), images(name)
    plain = copy.deepcopy(model)
    before, gradients, state = step(plain, x)
    model.set_grad_checkpointing()
    after, found, counted = step(model, x)
    assert after < 0.3 * before
    assert same(found, gradients)
    assert same(counted, state)
    assert all(int(v) == 1 for k, v in counted.items() if k.endswith("num_batches_tracked"))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert step(twin, x)[0] == after
    model.set_grad_checkpointing(False)
    assert step(model, x)[0] == before


def test_what_pytorch_alone_would_count_twice():
    """The negative control of the statistics."""
    model, x = made(V2), images(V2)
    stage = model.stage2
    checkpoint(stage, model.stem(x), use_reentrant=False).sum().backward()
    assert int(stage[0].compress.bn.num_batches_tracked) == 2


def test_a_stage_forgets_nothing_but_what_it_computes_again():
    model, x = made(V2).double(), images(V2).double()
    model.set_grad_checkpointing()
    calls = []
    model.stage3.register_forward_hook(lambda *_: calls.append(1))
    model.stage2[0].compress.bn.momentum = None  # the mean of all batches
    model.stage4[0].compress.bn.eval()
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    before = [(norm.momentum, norm.training) for norm in norms]
    plain = copy.deepcopy(model)
    plain.set_grad_checkpointing(False)
    for _ in range(2):
        assert same(step(model, x)[1], step(plain, x)[1])
    assert same(model.state_dict(), plain.state_dict())
    assert [(norm.momentum, norm.training) for norm in norms] == before
    assert len(calls) == 4  # two of its own, two of the copy's


def test_outside_of_training_nothing_is_computed_again(monkeypatch):
    model, x = made(V2), images(V2)
    expected = model.eval()(x)
    model.set_grad_checkpointing()
    monkeypatch.setattr("backends.torch.recompute.checkpoint", None)
    assert torch.equal(model(x), expected)
    model.train()
    with torch.no_grad():
        assert model(x).shape == expected.shape
    with pytest.raises(TypeError, match="not callable"):
        model(x)


@pytest.mark.filterwarnings("ignore")
def test_scripts_and_recordings_of_a_checkpointed_model():
    model, x = made(V2), images(V2)
    model.set_grad_checkpointing()
    scripted, traced = torch.jit.script(model).eval(), torch.fx.symbolic_trace(model).eval()
    inner = torch.jit.script(torch.nn.Sequential(model)).eval()
    assert "forward" in vars(model.stage2)
    model.eval()
    exported = torch.export.export(model, (x,)).module()
    with torch.no_grad():
        for found in (scripted, traced, inner, exported):
            assert torch.equal(found(x), model(x))


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_model_is_checkpointed():
    model, x = zoo.create(V2, seed=1), images(V2)
    plain = copy.deepcopy(model)
    model.set_grad_checkpointing()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    after, found, counted = step(model, x, compiled)
    before, gradients, state = step(plain, x)
    assert after < 0.5 * before
    assert counted.keys() == state.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(found[name], gradient)
    for name, value in state.items():
        torch.testing.assert_close(counted[name], value)


@contextmanager
def mindspore_mode(name):
    import mindspore as ms

    before = ms.get_context("mode")
    ms.set_context(mode=getattr(ms, name))
    try:
        yield ms
    finally:
        ms.set_context(mode=before)


def mindspore_step(cell, ms):
    """Return (gradients, moving statistics) after a step."""
    from backends.mindspore.run import Gradients

    rng = np.random.default_rng(0)
    x = ms.Tensor(rng.random((3, 3, 32, 32)).astype(np.float32))
    y = ms.Tensor(np.array([0, 3, 2], np.int32))
    cell.set_train(True)
    _, found = Gradients(cell, cell.trainable_params())(x, y)
    gradients = [value.asnumpy() for value in found]
    moved = {p.name: p.asnumpy().copy() for p in cell.get_parameters() if "moving" in p.name}
    return gradients, moved


@pytest.mark.sweep(quick=["PYNATIVE_MODE"])
@pytest.mark.parametrize("mode", ["GRAPH_MODE", "PYNATIVE_MODE"])
def test_cells_are_checkpointed(mode):
    with mindspore_mode(mode) as ms:
        gradients, moved = mindspore_step(zoo.create(V2, seed=1, backend="mindspore", **SHORT), ms)
        cell = zoo.create(V2, seed=1, backend="mindspore", **SHORT)
        names = [p.name for p in cell.get_parameters()]
        cell.set_grad_checkpointing()
        copies = [copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))]
        off = copy.deepcopy(cell)
        off.set_grad_checkpointing(False)
        assert [c.grad_checkpointing for c in (cell, *copies, off)] == [True, True, True, False]
        assert [p.name for p in cell.get_parameters()] == names
        for each in (cell, *copies, off):
            found, counted = mindspore_step(each, ms)
            assert all(np.array_equal(a, b) for a, b in zip(found, gradients, strict=True))
            assert counted.keys() == moved.keys()
            assert all(np.array_equal(counted[name], moved[name]) for name in moved)


@pytest.mark.exhaustive
@pytest.mark.parametrize("checkpointed", [False, True])
def test_graph_mode_computes_convolutions_again_and_batch_norms_once(checkpointed, tmp_path):
    with mindspore_mode("GRAPH_MODE") as ms:
        cell = zoo.create(V2, seed=1, backend="mindspore", **SHORT)
        if checkpointed:
            cell.set_grad_checkpointing()
        ms.set_context(save_graphs=1, save_graphs_path=str(tmp_path))
        try:
            mindspore_step(cell, ms)
        finally:
            ms.set_context(save_graphs=0)
    (file,) = tmp_path.rglob("graph_build_*.ir")
    text = file.read_text()
    convolutions = sum(type(c).__name__ == "Conv2d" for _, c in cell.cells_and_names())
    counts = [text.count(f"= {name}(") + text.count(f"= PrimFunc_{name}(") for name in OPERATORS]
    assert counts[0] == convolutions * (1 + checkpointed)
    assert counts[1] == convolutions


OPERATORS = ("Conv2D", "BatchNorm")


def test_what_mindspore_alone_would_count_twice():
    """The negative control of the statistics."""
    with mindspore_mode("PYNATIVE_MODE") as ms:
        plain = zoo.create(V2, seed=1, backend="mindspore", **SHORT)
        cell = zoo.create(V2, seed=1, backend="mindspore", **SHORT)
        cell.stage2.recompute()
        expected, found = mindspore_step(plain, ms)[1], mindspore_step(cell, ms)[1]
        name = "stage2.0.compress.bn.moving_mean"
        assert not np.array_equal(found[name], expected[name])
