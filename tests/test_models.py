"""Live models: native, the same bits everywhere, weights in and out, and clear refusals."""

from __future__ import annotations

import copy
import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from catalog_rows import EACH_KIND
from conftest import BACKENDS, FRAMEWORKS, RUNTIMES
from mindspore import Tensor

import backends
import weights
import zoo
from zoo.proof.measure import relative_maximum

SMALL = "shufflenet_v1_0.5x_g3"
FEW = zoo.spec(SMALL, stage_repeats=(2, 2, 1))
"""Of its units, where all of them show no more."""
FORMS = [(b, form) for b in BACKENDS for form in ("native", "split")]


def predict(backend, model, x):
    return backends.load(backend).predict(model, x)


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 3, 64, 64)).astype(np.float32)


@pytest.mark.sweep(quick=["resnet9", "*v1_0.5x_g3_cifar", "*v2_0.5x", "*plus_small"])
@pytest.mark.parametrize("name", EACH_KIND)
def test_one_seed_gives_the_same_bits_on_every_backend(name):
    first = zoo.get_weights(zoo.create(name, backend="numpy", seed=3))
    assert list(first) == list(zoo.spec(name).graph.parameters)
    for backend, form in (
        FORMS if name.endswith("0.5x_g3") else [("torch", "native"), ("mindspore", "split")]
    ):
        found = zoo.get_weights(zoo.create(name, backend=backend, group_conv=form, seed=3))
        assert list(found) == list(first)
        assert all(np.array_equal(found[n], first[n]) for n in first)
        assert all(a.dtype == np.float32 for a in found.values())


def test_initial_weights_are_those_of_the_release():
    # A seed is a promise across versions: python -c "import zoo, hashlib; ..." below gave this.
    import hashlib

    found = weights.initialize(zoo.spec(SMALL).graph, seed=0)
    digest = hashlib.sha256(b"".join(a.tobytes() for a in found.values())).hexdigest()
    assert digest == "4832ef89c3d63cad7f9fb97a23753ee60395d1527aec155967ac74b0ed133367"
    conv = found["stage3.1.compress.conv.weight"]
    bound = np.sqrt(6 / conv.shape[1])
    assert 0.98 * bound < np.abs(conv).max() <= bound
    assert abs(conv.std() / bound - 1 / np.sqrt(3)) < 0.02
    other = weights.initialize(zoo.spec(SMALL).graph, seed=1)
    assert not np.array_equal(other["stem.conv.weight"], found["stem.conv.weight"])
    fewer = weights.initialize(zoo.spec(SMALL, num_classes=10).graph, seed=0)
    assert all(np.array_equal(fewer[n], found[n]) for n in found if n != "classifier.weight")


def test_creating_a_model_leaves_the_random_state_alone():
    import mindspore

    mindspore.set_seed(1)
    torch.manual_seed(1)
    before, state = np.random.get_state()[1].copy(), torch.get_rng_state()
    for backend in BACKENDS:
        zoo.create(SMALL, backend=backend)
    assert np.array_equal(np.random.get_state()[1], before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.sweep(quick=["source?-*", "source1?-*"])
@pytest.mark.parametrize(("source", "target"), list(itertools.product(FORMS, FORMS[::3])))
def test_weights_move_between_live_models(source, target):
    graph = FEW.graph
    given = weights.randomize(graph, 5)
    first = zoo.create(FEW, backend=source[0], group_conv=source[1], weights=given)
    second = zoo.create(FEW, backend=target[0], group_conv=target[1], seed=9)
    zoo.set_weights(second, zoo.get_weights(first))
    found = zoo.get_weights(second)
    assert all(np.array_equal(found[n], given[n]) for n in given)
    found["stem.conv.weight"][...] = 0  # a copy: the model keeps its own
    assert np.array_equal(zoo.get_weights(second)["stem.conv.weight"], given["stem.conv.weight"])


def test_native_names():
    torch_names = set(zoo.create(SMALL, backend="torch").state_dict())
    assert {"stem.conv.weight", "stage2.0.expand.bn.running_var"} < torch_names
    cell = zoo.create(SMALL, backend="mindspore")
    names = [p.name for p in cell.get_parameters()]
    assert {"stem.conv.weight", "stage2.0.expand.bn.gamma", "stem.bn.moving_mean"} < set(names)
    assert names == list(cell.parameters_dict())
    assert len(cell.trainable_params()) == len(
        [p for p in zoo.spec(SMALL).graph.parameters.values() if p.trainable]
    )
    split = zoo.create(SMALL, backend="mindspore", group_conv="split")
    assert "stage2.0.expand.conv.convs.0.weight" in split.parameters_dict()


@pytest.mark.parametrize("backend", BACKENDS)
def test_modes_sizes_and_outputs(backend, x, graph_mode):
    model = zoo.create(FEW, backend=backend, weights=weights.randomize(FEW.graph))
    (logits,) = predict(backend, model, x)
    assert logits.shape == (2, 1000)
    before = zoo.get_weights(model)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(before.values(), zoo.get_weights(model).values(), strict=True)
    )
    if backend not in RUNTIMES:  # which have no training mode
        set_train = {"torch": "train", "numpy": "train", "mindspore": "set_train"}[backend]
        getattr(model, set_train)(True)
        model({"torch": torch.from_numpy, "numpy": np.asarray, "mindspore": Tensor}[backend](x))
        after = zoo.get_weights(model)
        moved = {n for n in after if not np.array_equal(after[n], before[n])}
        assert moved == {n for n in after if "running" in n}
        # Predictions are those of evaluation mode, also where a part alone is in the other one.
        zoo.set_weights(model, before)
        assert np.array_equal(predict(backend, model, x)[0], logits)
        if backend in FRAMEWORKS:
            getattr(model.stem, set_train)(True)
            assert np.array_equal(predict(backend, model, x)[0], logits)
        assert all(np.array_equal(a, before[n]) for n, a in zoo.get_weights(model).items())

    names = ["stage2", "stage3", "stage4", "stem.bn"]
    features = zoo.create(FEW, backend=backend, outputs=names, weights=before)
    maps = predict(backend, features, x[:, :, :, :50])
    assert [m.shape for m in maps] == [
        (2, 120, 8, 7),
        (2, 240, 4, 4),
        (2, 480, 2, 2),
        (2, 12, 32, 25),
    ]
    assert "classifier.weight" not in zoo.get_weights(features)


@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_are_the_values_inside_the_whole_network(backend, x, graph_mode):
    graph = FEW.graph
    given = weights.randomize(graph)
    values, _ = backends.load("numpy").forward(graph, given, x, training=False, dtype="float64")
    names = ["stage2.0.compress.bn", "stage2.0.compress.relu", "stage3", "classifier"]
    model = zoo.create(FEW, backend=backend, outputs=names, weights=given)
    for name, found in zip(names, predict(backend, model, x), strict=True):
        assert relative_maximum(found, values[graph.resolve(name)]) < 5e-6, name


def test_torch_models_are_ordinary_modules(x):
    model = zoo.create(FEW, backend="torch", weights=weights.randomize(FEW.graph))
    model.eval()
    batch = torch.from_numpy(x)
    with torch.no_grad():
        expected = model(batch)
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(twin(batch), expected)
            assert zoo.get_weights(twin).keys() == zoo.get_weights(model).keys()
            zoo.set_weights(twin, weights.randomize(FEW.graph, 1))
            assert not torch.equal(twin(batch), expected)
            assert torch.equal(model(batch), expected)
        exported = torch.export.export(model, (batch,)).module()
        assert torch.equal(exported(batch), expected)
        double = copy.deepcopy(model).double()
        scale = expected.abs().max()
        assert (double(batch.double()) - expected).abs().max() < 1e-5 * scale
    assert "self.expand(self.shuffle(self.depthwise(self.compress(x))))" in model.code
    model.train()
    model(batch).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.exhaustive
def test_torch_compile(x):
    model = zoo.create(
        SMALL, backend="torch", weights=weights.randomize(zoo.spec(SMALL).graph)
    ).eval()
    compiled = torch.compile(model, fullgraph=True)
    batch = torch.from_numpy(x)
    with torch.no_grad():
        expected = model(batch)
        scale = expected.abs().max()
        assert (compiled(batch) - expected).abs().max() < 1e-5 * scale
    assert list(zoo.get_weights(compiled)) == list(zoo.get_weights(model))


def test_torch_distributed(x, tmp_path):
    model = zoo.create(SMALL, backend="torch")
    store = f"file://{tmp_path}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        parallel = torch.nn.parallel.DistributedDataParallel(model)
        parallel(torch.from_numpy(x)).square().mean().backward()
        zoo.set_weights(parallel, weights.randomize(zoo.spec(SMALL).graph, 2))
        first, second = zoo.get_weights(parallel), zoo.get_weights(model)
    finally:
        torch.distributed.destroy_process_group()
    assert all(p.grad is not None for p in model.parameters())
    assert all(np.array_equal(first[n], second[n]) for n in first)


@pytest.mark.exhaustive
def test_mindspore_models_are_ordinary_cells(x):
    import mindspore as ms

    given = weights.randomize(FEW.graph)
    cell = zoo.create(FEW, backend="mindspore", weights=given)
    batch = ms.Tensor(x)
    found = {}
    for mode in (ms.PYNATIVE_MODE, ms.GRAPH_MODE):
        ms.set_context(mode=mode)
        found[mode] = cell(batch).asnumpy().copy()
    assert np.array_equal(found[ms.PYNATIVE_MODE], found[ms.GRAPH_MODE])
    for twin in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        assert np.array_equal(twin(batch).asnumpy(), found[ms.GRAPH_MODE])
    assert "self.expand(self.shuffle(self.depthwise(self.compress(x))))" in cell.code
    wrapped = ms.nn.WithLossCell(cell, ms.nn.CrossEntropyLoss())
    assert np.array_equal(zoo.get_weights(wrapped)["stem.conv.weight"], given["stem.conv.weight"])
    ms.set_context(mode=ms.PYNATIVE_MODE)


@pytest.mark.exhaustive
def test_the_mindspore_fast_path_says_so_and_can_be_switched_off():
    import os
    import subprocess
    import sys

    code = "import zoo; zoo.create('shufflenet_v1_0.5x_g3', backend='mindspore')"
    runs = {
        switch: subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env=os.environ | {"ZOO_MINDSPORE_ONEDNN": switch},
        ).stderr.count("MindSpore's oneDNN is limited to AVX2")
        for switch in ("", "default")
    }  # fmt: skip
    has_avx512 = "avx512f" in Path("/proc/cpuinfo").read_text()
    assert runs == {"": int(has_avx512), "default": 0}


BAD_INPUTS = [
    ((3, 64, 64), r"input: rank \(=3\) must be 4"),
    ((2, 1, 64, 64), r"input: channels \(=1\) must be 3"),
    ((2, 3, 0, 64), "input: size 0x64 is not admitted: stem.conv"),
]


@pytest.mark.parametrize("backend", BACKENDS)
def test_bad_inputs_are_refused_alike(backend, graph_mode):
    model = zoo.create(FEW, backend=backend)
    for shape, message in BAD_INPUTS:
        with pytest.raises(zoo.InputError, match=message):
            predict(backend, model, np.ones(shape, np.float32))
    flat = zoo.create(FEW, backend=backend)
    assert predict(backend, flat, np.ones((1, 3, 33, 47), np.float32))[0].shape == (1, 1000)


@pytest.mark.parametrize(("backend", "form"), FORMS)
def test_bad_weights_are_all_listed_and_nothing_changes(backend, form):
    model = zoo.create(FEW, backend=backend, group_conv=form, seed=4)
    before = zoo.get_weights(model)
    bad = dict(zoo.get_weights(zoo.create(FEW, backend="numpy", seed=5)))
    del bad["stem.conv.weight"], bad["stage2.1.expand.conv.weight"]
    bad["stage9.conv.weight"] = np.ones(3, np.float32)
    bad["classifier.weight"] = bad["classifier.weight"][:10]
    bad["stem.bn.bias"] = np.arange(12)
    with pytest.raises(zoo.WeightsError) as error:
        zoo.set_weights(model, bad)
    assert str(error.value).splitlines() == [
        "the weights do not fit the network:",
        "  2 missing:",
        "    stem.conv.weight",
        "    stage2.1.expand.conv.weight",
        "  1 unexpected:",
        "    stage9.conv.weight",
        "  1 of another shape:",
        "    classifier.weight: shape (10, 480) must be (1000, 480)",
        "  1 of another type:",
        "    stem.bn.bias: dtype int64 must be a floating-point one",
    ]
    after = zoo.get_weights(model)
    assert all(np.array_equal(after[n], before[n]) for n in before)
    with pytest.raises(zoo.WeightsError, match="2 missing"):
        zoo.create(FEW, backend=backend, weights=bad)


REQUESTS = [
    (dict(backend="tensorflow"), zoo.UnknownNameError, "unknown backend 'tensorflow'; known: "),
    (dict(backend="mindspor"), zoo.UnknownNameError,
     "unknown backend 'mindspor'; did you mean 'mindspore'?"),
    (dict(group_conv="splt"), zoo.UnknownNameError,
     "unknown group_conv 'splt'; did you mean 'split'?"),
    (dict(outputs=["stage7"]), zoo.UnknownNameError, "unknown node 'stage7'; did you mean "),
    (dict(num_clases=3), zoo.UnknownNameError, "unknown shufflenet_v1 override 'num_clases'; "),
    (dict(groups=7), zoo.GraphError, "stage2.0.shuffle: channels (=30) must be divisible"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "kind", "message"), REQUESTS)
def test_bad_requests(request_, kind, message):
    with pytest.raises(kind) as error:
        zoo.create(SMALL, **request_)
    assert str(error.value).startswith(message)


def test_models_of_others_are_refused():
    import mindspore

    for stranger in (torch.nn.Linear(2, 2), mindspore.nn.Dense(2, 2), object()):
        with pytest.raises(zoo.WeightsError, match=r"was not made by zoo\.create"):
            zoo.get_weights(stranger)


@pytest.mark.sweep(quick=["torch"])
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_gradients_flow_on_a_split_model(name, x):
    graph = FEW.graph
    model = zoo.create(FEW, backend=name, group_conv="split")
    engine = backends.load(name)
    split = engine.graph_of(model)
    arrays = engine.get_parameters(model)
    _, found = engine.gradients(split, arrays, x, np.array([1, 2]), training=True, dtype="float32")
    assert len(found) > len([p for p in graph.parameters.values() if p.trainable])
    assert all(np.abs(g).sum() > 0 for g in found.values())
