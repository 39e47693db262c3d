"""ONNX files: what they compute, what they say, what is refused before one is written."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

import backends
import weights as arrays
import zoo
from zoo.cli import app
from zoo.errors import ExportError, InputError, WeightsError, ZooError

SMALL = "shufflenet_v2_0.5x_cifar"


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 3, 32, 32)).astype(np.float32)


@pytest.fixture
def randomized() -> dict[str, np.ndarray]:
    return arrays.randomize(zoo.spec(SMALL).graph, 7)


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("opset", [11, 13, 17, 21])
def test_a_file_computes_what_the_network_does(
    tmp_path: Path, images: np.ndarray, randomized: dict, optimize: bool, opset: int
) -> None:
    path = tmp_path / "net.onnx"
    report = zoo.export(SMALL, path, weights=randomized, optimize=optimize, opset=opset)
    assert report.error <= 5e-6
    assert report.size == path.stat().st_size
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == report.opset == opset
    shape = model.graph.input[0].type.tensor_type.shape
    assert [d.dim_param or d.dim_value for d in shape.dim] == ["batch", 3, 32, 32]
    exact = zoo.create(SMALL, backend="numpy", weights=randomized)(images)
    found = zoo.open_exported(path)(images)
    assert np.abs(found - exact).max() <= 5e-6 * np.abs(exact).max()
    kinds = {node.op_type for node in model.graph.node}
    assert "BatchNormalization" in kinds or optimize
    assert not optimize or not kinds & {"Transpose", "Reshape", "BatchNormalization", "Gather"}


@pytest.mark.parametrize("name", [SMALL, "shufflenet_v1_0.5x_g3_cifar", "shufflenet_v2_plus_small"])
def test_nodes_and_initializers_have_the_names_of_the_graph(tmp_path: Path, name: str) -> None:
    spec = zoo.spec(name, image_size=32)
    zoo.export(spec, tmp_path / "net.onnx")
    model, graph = onnx.load(tmp_path / "net.onnx"), spec.graph
    assert {node.name for node in graph.nodes} <= {v for n in model.graph.node for v in n.output}
    assert [i.name for i in model.graph.initializer] == list(graph.parameters)
    assert zoo.load_weights(tmp_path / "net.onnx").spec == spec


def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    labels = [f"class {i}" for i in range(10)]
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    zoo.export(SMALL, tmp_path / "net.onnx", labels=labels, mean=mean, std=std, num_classes=10)
    file = zoo.open_exported(tmp_path / "net.onnx")
    assert (file.labels, file.mean, file.std) == (labels, list(mean), list(std))
    assert file.input_shape == (None, 3, 32, 32)
    assert zoo.spec_from_json(file.metadata["zoo.spec"]) == zoo.spec(SMALL, num_classes=10)
    zoo.export(SMALL, tmp_path / "bare.onnx")
    bare = zoo.open_exported(tmp_path / "bare.onnx")
    assert (bare.labels, bare.mean, bare.std) == (None, None, None)


def test_a_file_is_read_back_unless_it_is_optimized(
    tmp_path: Path, randomized: dict, images: np.ndarray
) -> None:
    zoo.export(SMALL, tmp_path / "net.onnx", weights=randomized, group_conv="split")
    found = zoo.load_weights(tmp_path / "net.onnx")
    assert found.spec == zoo.spec(SMALL)
    for name, array in randomized.items():
        np.testing.assert_array_equal(found[name], array)
    zoo.export(SMALL, tmp_path / "fast.onnx", weights=randomized, optimize=True)
    with pytest.raises(WeightsError, match="holds a network for inference"):
        zoo.load_weights(tmp_path / "fast.onnx")


@pytest.mark.parametrize("backend", ["torch", "mindspore", "numpy", "onnx"])
def test_a_live_model_is_exported_with_its_weights(
    tmp_path: Path, backend: str, randomized: dict, images: np.ndarray
) -> None:
    model = zoo.create(SMALL, backend=backend, weights=randomized)
    zoo.export(model, tmp_path / "net.onnx", optimize=True)
    exact = zoo.create(SMALL, backend="numpy", weights=randomized)(images)
    found = zoo.open_exported(tmp_path / "net.onnx")(images)
    assert np.abs(found - exact).max() <= 5e-6 * np.abs(exact).max()


REFUSED = [
    (dict(opset=13, model="shufflenet_v2_plus_small"),
     "stem.hard_swish: HardSwish is in ONNX from opset 14 on; opset (=13) is too old"),
    (dict(opset=9), "opset (=9) must be from 11 to"),
    (dict(batch=0), "batch (=0) must be at least 1"),
    (dict(labels=["a", "b"]), "labels (=2) must be 10, one a class"),
    (dict(mean=(0.5,)), "mean (=[0.5]) must have 3 values"),
    (dict(std=(1.0, 0.0, 1.0)), "std (=[1.0, 0.0, 1.0]) must be greater than 0"),
    (dict(path="net.pb"), "net.pb: the suffix must be .onnx"),
    (dict(path="missing/net.onnx"), "missing does not exist"),
    (dict(path="kept.onnx"), "kept.onnx: exists and is kept; force=True (--force) replaces it"),
    (dict(group_conv="spilt"), "unknown group_conv 'spilt'"),
    (dict(tolerance=1e-12), "net.onnx: not written: what ONNX Runtime makes of it is"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[m[:30] for _, m in REFUSED])
def test_what_is_refused_leaves_no_file(tmp_path: Path, options: dict, message: str) -> None:
    (tmp_path / "kept.onnx").write_bytes(b"kept")
    path = tmp_path / options.pop("path", "net.onnx")
    model = options.pop("model", SMALL)
    with pytest.raises(ZooError) as error:
        zoo.export(model, path, num_classes=10, **options)
    assert message in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["kept.onnx"]
    assert (tmp_path / "kept.onnx").read_bytes() == b"kept"


def test_a_folder_that_can_not_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zoo.files.os.fsync", full)
    with pytest.raises(zoo.OutputError, match=r"net.onnx: cannot be written: No space left"):
        zoo.export(SMALL, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_that_computes_something_else_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backends.onnx import operators

    def wrong(e, node, op, shape):  # a shuffle that leaves the channels where they are
        e.add("Identity", node.name, node.inputs)

    table = operators.OPERATORS | {zoo.arch.operators.ChannelShuffle: ("Identity", wrong)}
    monkeypatch.setattr("backends.onnx.proto.OPERATORS", table)
    with pytest.raises(ExportError, match="from the float64 reference; tolerance"):
        zoo.export(SMALL, tmp_path / "net.onnx", weights=arrays.randomize(zoo.spec(SMALL).graph))
    assert not list(tmp_path.iterdir())


def test_a_part_of_a_network_is_no_live_model(tmp_path: Path) -> None:
    for options in (dict(optimize=True), dict(outputs=["stage2"])):
        model = zoo.create(SMALL, backend="numpy", **options)
        with pytest.raises(WeightsError, match="export the whole network, with optimize=True"):
            zoo.export(model, tmp_path / "net.onnx")


SHAPES = [
    ((2, 3, 32, 32), "input: batch (=2) must be 4, with which"),
    ((4, 1, 32, 32), "input: channels (=1) must be 3, with which"),
    ((4, 3, 64, 32), "input: height (=64) must be 32, with which"),
    ((3, 32, 32), "input: rank (=3) must be 4"),
]


def test_what_a_file_does_not_admit(tmp_path: Path) -> None:
    zoo.export(SMALL, tmp_path / "net.onnx", batch=4)
    file = zoo.open_exported(tmp_path / "net.onnx")
    assert file(np.zeros((4, 3, 32, 32))).shape == (4, 10)
    for shape, message in SHAPES:
        with pytest.raises(InputError) as error:
            file(np.zeros(shape))
        assert message in str(error.value)
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(WeightsError, match=r"broken.onnx: is no ONNX model"):
        zoo.open_exported(tmp_path / "broken.onnx")
    data = (tmp_path / "net.onnx").read_bytes()
    assert data.count(b"zoo.version") == 1
    (tmp_path / "bytes.onnx").write_bytes(data.replace(b"zoo.version", b"zoo.versio\xfb"))
    with pytest.raises(WeightsError, match=r"bytes.onnx: is no ONNX model: 'utf-8' codec"):
        zoo.open_exported(tmp_path / "bytes.onnx")
    with pytest.raises(WeightsError, match=r"none.onnx: no such file"):
        zoo.open_exported(tmp_path / "none.onnx")


@pytest.mark.sweep(quick=["onnx"])
@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_models_of_a_run_time(backend: str, images: np.ndarray, randomized: dict) -> None:
    model = zoo.create(SMALL, backend=backend, weights=randomized)
    exact = zoo.create(SMALL, backend="numpy", weights=randomized)(np.repeat(images, 3, axis=0))
    for count in (0, 1, 2, 3, 9):  # chunks, and what is left of them
        found = model(np.repeat(images, 3, axis=0)[:count])
        assert found.shape == (count, 10)
        assert np.abs(found - exact[:count]).max(initial=0) <= 5e-6 * np.abs(exact).max()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin(images), model(images))
    zoo.set_weights(model, zoo.get_weights(zoo.create(SMALL, backend="numpy", seed=3)))
    other = zoo.create(SMALL, backend="numpy", seed=3)(images)
    assert np.abs(model(images) - other).max() <= 5e-6 * np.abs(other).max()
    with pytest.raises(InputError, match=r"input: channels \(=1\) must be 3"):
        model(np.zeros((1, 1, 32, 32)))
    stages = zoo.create(SMALL, backend=backend, outputs=["stage2", "stage3", "stage2"])(images)
    assert [value.shape[1] for value in stages] == [48, 96, 48]
    np.testing.assert_array_equal(stages[0], stages[2])
    graph = zoo.spec(SMALL).graph
    with pytest.raises(ZooError, match="no training mode"):
        backends.load(backend).forward(graph, randomized, images, training=True, dtype="float32")


def test_the_command(tmp_path: Path) -> None:
    runner = CliRunner()
    labels, out = tmp_path / "labels.txt", tmp_path / "net.onnx"
    labels.write_text("\n".join(map(str, range(10))))
    arguments = [
        "export", SMALL, "--out", str(out), "--optimize", "--size", "48", "--labels", str(labels),
        "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5", "--set", "num_classes=10",
    ]  # fmt: skip
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "optimized for inference, input N×3×48×48, opset 17" in result.output
    assert "from the float64 reference" in result.output
    assert "note: the weights are initial ones" in result.output
    file = zoo.open_exported(out)
    assert json.loads(file.metadata["zoo.mean"]) == [0.5] * 3
    refused = runner.invoke(app, [*arguments, "--force", "--std", "a"])
    assert str(refused.exception) == "--std: 'a' must be numbers, comma-separated"
    refused = runner.invoke(app, [*arguments, "--force", "--labels", str(tmp_path)])
    assert "cannot be read" in str(refused.exception)
