"""Feature maps by resolution, as timm counts them: told by specs and models, and handed out."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from catalog_rows import EACH_KIND
from conftest import BACKENDS

import backends
import zoo
from zoo.arch.feature_info import FeatureInfo
from zoo.proof.measure import relative_maximum

V2 = "shufflenet_v2_0.5x_cifar"

# network → (module, channels, pixels of the image for one of the map).
ROWS = {
    "shufflenet_v1_0.5x_g3": [
        ("stem.relu", 12, 2), ("stem", 12, 4), ("stage2", 120, 8), ("stage3", 240, 16),
        ("stage4", 480, 32),
    ],
    "shufflenet_v1_1.0x_g2_cifar": [
        ("stem", 24, 1), ("stage2", 200, 2), ("stage3", 400, 4), ("stage4", 800, 8),
    ],
    "shufflenet_v2_1.0x": [
        ("stem.relu", 24, 2), ("stem", 24, 4), ("stage2", 116, 8), ("stage3", 232, 16),
        ("stage4", 464, 32),
    ],
    "shufflenet_v2_0.5x_tiny": [
        ("stem", 24, 2), ("stage2", 48, 4), ("stage3", 96, 8), ("stage4", 192, 16),
    ],
    "shufflenet_v2_50": [
        ("stem.relu", 64, 2), ("stage2", 244, 4), ("stage3", 488, 8), ("stage4", 976, 16),
        ("stage5", 1952, 32),
    ],
    "se_shufflenet_v2_164": [
        ("stem.2", 128, 2), ("stage2", 340, 4), ("stage3", 680, 8), ("stage4", 1360, 16),
        ("stage5", 2720, 32),
    ],
    "shufflenet_v2_plus_small": [
        ("stem", 16, 2), ("stage2", 36, 4), ("stage3", 104, 8), ("stage4", 208, 16),
        ("stage5", 416, 32),
    ],
    "resnet9": [("conv1", 64, 1), ("res1", 128, 2), ("conv3", 256, 4), ("res2", 512, 8)],
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_rows(name):
    info = zoo.spec(name).feature_info
    assert (
        list(zip(info.module_name(), info.channels(), info.reduction(), strict=True)) == ROWS[name]
    )
    assert zoo.spec(name, num_classes=0).feature_info == info


@pytest.mark.sweep(quick=["resnet9", "*v1_0.5x_g3", "*v2_0.5x", "*plus_small"])
@pytest.mark.parametrize("name", EACH_KIND)
def test_modules_can_be_hooked_and_make_what_is_told(name):
    size = min(zoo.spec(name).image_size, 64)
    model = zoo.create(name, seed=1, image_size=size).eval()
    seen = {}
    for path in model.feature_info.module_name():
        model.get_submodule(path).register_forward_hook(
            lambda _, __, out, path=path: seen.update({path: out.clone()})
        )
    x = torch.rand(1, 3, size, size, generator=torch.manual_seed(0))
    with torch.no_grad():
        model(x)
        found = zoo.create(name, seed=1, image_size=size, features_only=True).eval()(x)
    assert isinstance(found, tuple)
    assert len(found) == len(model.feature_info)
    for row, value in zip(model.feature_info, found, strict=True):
        assert torch.equal(value, seen[row["module"]])
        side = -(-size // row["reduction"])
        assert value.shape[:2] == (1, row["num_chs"])
        assert all(side - 1 <= length <= side for length in value.shape[2:])  # without padding


@pytest.mark.sweep(quick=["numpy", "torch", "onnx"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_returns_sequences(backend, rng, graph_mode):
    x = rng.standard_normal((3, 3, 32, 32)).astype(np.float32)
    engine = backends.load(backend)
    exact = zoo.create(V2, backend="numpy", features_only=True)(x)
    for indices, expected in (((3, 1), exact[:0:-2]), ((-1,), exact[3:]), (2, exact[2:])):
        model = zoo.create(V2, backend=backend, features_only=True, out_indices=indices)
        assert len(model.feature_info) == 4
        channels = [value.shape[1] for value in expected]
        assert model.feature_info.channels() == channels
        found = engine.predict(model, x)
        assert len(found) == len(expected)
        for value, other in zip(found, expected, strict=True):
            assert relative_maximum(value, other) < 5e-6
    if backend in ("numpy", "onnx", "openvino"):
        returned = model(x)
    else:
        native = {"torch": torch.from_numpy, "mindspore": mindspore_tensor}[backend](x)
        returned = zoo.create(V2, backend=backend, features_only=True, out_indices=[2])(native)
        assert returned[0].shape == (3, 96, 8, 8)
        assert len(returned) == 1
    assert isinstance(returned, tuple)


def mindspore_tensor(array):
    import mindspore

    return mindspore.Tensor(array)


@pytest.mark.filterwarnings("ignore")
def test_one_map_in_a_tuple_survives_what_pytorch_does_to_it():
    model = zoo.create(V2, seed=1, features_only=True, out_indices=[1]).eval()
    x = torch.rand(2, 3, 32, 32)
    ways = {
        "script": torch.jit.script,
        "trace": lambda m: torch.jit.trace(m, x),
        "fx": torch.fx.symbolic_trace,
        "export": lambda m: torch.export.export(m, (x,)).module(),
        "copy": copy.deepcopy,
        "pickle": lambda m: pickle.loads(pickle.dumps(m)),
    }
    with torch.no_grad():
        (expected,) = model(x)
        for way, make in ways.items():
            found = make(model)(x)
            assert isinstance(found, tuple), way
            assert torch.equal(found[0], expected), way
    assert copy.deepcopy(model).feature_info.out_indices == (1,)


def test_cells_are_pickled_with_what_they_tell():
    cell = zoo.create(V2, backend="mindspore", features_only=True, out_indices=(2, 3))
    for twin in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        assert twin.feature_info.channels() == [96, 192]
        assert twin.feature_info.out_indices == (2, 3)


def test_maps_of_the_form_for_inference(rng):
    x = rng.standard_normal((2, 3, 32, 32)).astype(np.float32)
    exact = zoo.create(V2, backend="numpy", features_only=True, out_indices=(1, 3))(x)
    model = zoo.create(V2, features_only=True, out_indices=(1, 3), optimize=True)
    with torch.no_grad():
        found = model(torch.from_numpy(x))
    for value, other in zip(found, exact, strict=True):
        assert relative_maximum(value.numpy(), other) < 5e-6
    assert model.feature_info.channels() == [48, 192]


INFO = FeatureInfo(
    [{"num_chs": 3 + i, "reduction": 2**i, "module": f"m{i}"} for i in range(5)], (1, 4)
)
# What timm 1.0.31's FeatureInfo answers to the same.
ANSWERS = [
    ("channels()", [4, 7]),
    ("reduction()", [2, 16]),
    ("module_name()", ["m1", "m4"]),
    ("channels(2)", 5),
    ("channels([0, 3])", [3, 6]),
    ("get('index')", [1, 4]),
    ("get_dicts(['module'])", [{"module": "m1"}, {"module": "m4"}]),
    ("get_dicts(['module', 'index'], 3)", {"module": "m3", "index": 3}),
    ("get_dicts(idx=(0,))", [{"num_chs": 3, "reduction": 1, "module": "m0", "index": 0}]),
    ("out_indices", (1, 4)),
    ("info[2]['num_chs']", 5),
    ("[0]['module']", "m0"),
    ("from_other((0,)).channels()", [3]),
    ("from_other(2).reduction()", [8, 16]),
    ("from_other((-1, 0)).channels()", [7, 3]),
]


@pytest.mark.parametrize(("question", "answer"), ANSWERS)
def test_feature_info_answers_as_timms_does(question, answer):
    dot = "" if question.startswith("[") else "."
    assert eval(f"info{dot}{question}", {"info": INFO}) == answer
    assert len(INFO) == 5
    try:
        from timm.models._features import FeatureInfo as Timms
    except ImportError:
        return
    rows = [{key: row[key] for key in ("num_chs", "reduction", "module")} for row in INFO]
    assert eval(f"info{dot}{question}", {"info": Timms(rows, (1, 4))}) == answer


WRONG = [
    ({"features_only": True, "out_indices": (4,)}, zoo.SpecError,
     "out_indices (=(4,)) must be from -4 to 3 (0: stem, 1: stage2, 2: stage3, 3: stage4)"),
    ({"features_only": True, "out_indices": (-5, 1)}, zoo.SpecError,
     "out_indices (=(-5, 1)) must be from -4 to 3 (0: stem, 1: stage2, 2: stage3, 3: stage4)"),
    ({"features_only": True, "out_indices": ()}, zoo.SpecError,
     "out_indices (=()) must be from -4 to 3 (0: stem, 1: stage2, 2: stage3, 3: stage4)"),
    ({"features_only": True, "out_indices": 5}, zoo.SpecError,
     "out_indices (=5) must be from 1 to 4, the last so many maps"),
    ({"features_only": True, "out_indices": True}, zoo.SpecError,
     "out_indices (=True) must be a number or a list of numbers"),
    ({"features_only": True, "out_indices": ["stage2"]}, zoo.SpecError,
     "out_indices (=['stage2']) must be a number or a list of numbers"),
    ({"features_only": True, "out_indices": (1, -3)}, zoo.SpecError,
     "out_indices (=(1, -3)) must name each map once"),
    ({"features_only": True, "outputs": ["stem"]}, zoo.ZooError,
     "outputs and features_only cannot both be given: each says what is returned"),
    ({"out_indices": (1,)}, zoo.ZooError,
     "out_indices (=(1,)) must be given with features_only=True"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "kind", "message"), WRONG)
def test_bad_requests(options, kind, message):
    with pytest.raises(kind) as error:
        zoo.create(V2, weights="missing.pth", **options)  # told before the file is looked for
    assert str(error.value) == message
