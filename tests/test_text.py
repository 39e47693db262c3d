"""Structured text of strangers: one door, and what its users tell of what they find behind it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from training_material import tiny_data, tiny_recipe

import zoo
from zoo.errors import SpecError, TrainingError, WeightsError
from zoo.families import spec_from_json
from zoo.recipes import Recipe
from zoo.text import MAX_BYTES, TextError, parse, parse_object, read_numbers

DEEP = "[" * 200_000 + "]" * 200_000
BAD = {
    "not JSON": ("{", "it must be JSON: Expecting property name enclosed in double quotes: line 1"),
    "not UTF-8": (b"\xff{}", "it must be UTF-8"),
    "of many levels": (DEEP, "it must have fewer levels"),
    "a number without end": ("9" * 5000, "a number (=99999999…) must have at most 19 digits"),
    "long": (" " * (MAX_BYTES + 1), f"length (={MAX_BYTES + 1}) must be at most {MAX_BYTES}"),
    "no object": ("[1]", "it must be a JSON object, not list"),
}


@pytest.mark.parametrize("case", BAD)
def test_text_that_is_none(case):
    text, message = BAD[case]
    with pytest.raises(TextError) as error:
        parse_object(text)
    assert str(error.value).startswith(message)


def test_text_that_is_one():
    assert parse('{"a": [1, -9223372036854775808, 2.5, null, "é"]}') == {
        "a": [1, -(2**63), 2.5, None, "é"]
    }
    assert parse_object(b'{"b": true}') == {"b": True}


SPEC = json.loads(zoo.spec("shufflenet_v1_0.5x_g3").to_json())
SPECS = {
    "a family that is a list": (SPEC | {"family": []}, r"unknown family \[\]"),
    "no version": ({"family": "shufflenet_v1"}, "not the JSON of a spec: 'version' is missing"),
    "levels": (DEEP, "not the JSON of a spec: it must have fewer levels"),
    "digits": ('{"version": ' + "1" * 9999 + "}", r"not the JSON of a spec: a number \(=11111111…"),
    "a list": ([], "not the JSON of a spec: it must be a JSON object, not list"),
}


@pytest.mark.parametrize("case", SPECS)
def test_specs(case):
    text, message = SPECS[case]
    with pytest.raises(zoo.ZooError, match=f"^{message}"):
        spec_from_json(text if isinstance(text, str) else json.dumps(text))


@pytest.mark.parametrize("text", [DEEP, "[1]", "{", '{"epochs": ' + "1" * 9999 + "}"])
def test_recipes(text):
    with pytest.raises(SpecError, match=r"^a recipe: "):
        Recipe.from_json(text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run"
    zoo.train(tiny_recipe(epochs=1), tiny_data(), path, backend="torch")
    return path


COUNTS = {
    "step": ("three", "step (='three') must be a whole number of at least 0"),
    "epoch": (-3, "epoch (=-3) must be a whole number of at least 0"),
    "batch": (10_000, "batch (=10000) must be at most "),
    "best_epoch": (7, "best_epoch (=7) must be at most 1"),
    "sums": (["0", 1, 2], "sums (=['0', 1, 2]) must be a list of 3 numbers"),
    "history": (
        [{"epoch": "x"}],
        "history (=[{'epoch': 'x'}]) must be a list of objects of numbers",
    ),
    "slots": ([1], "slots (=[1]) must be a list of texts"),
    "ema": ("no", "ema (='no') must be true or false"),
}


@pytest.mark.parametrize("field", COUNTS)
def test_counts_of_a_checkpoint(finished, tmp_path, field):
    value, message = COUNTS[field]
    shutil.copytree(finished, tmp_path / "run")
    (file,) = (tmp_path / "run").rglob("epoch-0001/state.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    with pytest.raises(TrainingError) as error:
        _ = zoo.open_run(tmp_path / "run").last
    assert f"epoch-0001: is no checkpoint: {message}" in str(error.value)


INFOS = {
    "[]": "it must be a JSON object, not list",
    DEEP: "it must have fewer levels",
    '{"classes": 5}': "classes (=5) must be a list of texts",
    '{"classes": ["a"], "backend": 5}': "backend (=5) must be a text",
}


@pytest.mark.parametrize("text", INFOS, ids=INFOS.values())
def test_what_a_run_says_of_itself(finished, tmp_path, text):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(text)
    with pytest.raises(TrainingError) as error:
        zoo.open_run(tmp_path / "run")
    assert str(error.value) == f"{tmp_path / 'run'}: the run cannot be read: {INFOS[text]}"


ROWS = {
    b"epoch,loss\n1,abc\n": "loss (='abc') must be a number",
    b"epoch,loss\n1,2,3\n": "a row is longer than the first",
    b"epoch,loss\n\xff,2\n": "it must be UTF-8",
}


@pytest.mark.parametrize("text", ROWS, ids=ROWS.values())
def test_tables_of_numbers(finished, tmp_path, text):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "epochs.csv").write_bytes(text)
    with pytest.raises(TrainingError) as error:
        _ = zoo.open_run(tmp_path / "run").epochs
    assert str(error.value).endswith(f"epochs.csv: cannot be read: {ROWS[text]}")


def test_empty_fields_are_left_out(tmp_path):
    (tmp_path / "a.csv").write_text("epoch,loss,top1\n1,0.5,\n2,,nan\n")
    first, second = read_numbers(tmp_path / "a.csv")
    assert first == {"epoch": 1.0, "loss": 0.5}
    assert second["epoch"] == 2
    assert np.isnan(second["top1"])


def file_of(path, inputs=1, **metadata):
    shape = ["N", 3, 4, 4]
    given = [
        helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, shape) for i in range(inputs)
    ]
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    names = [value.name for value in given] * (2 if inputs == 1 else 1)
    node = (
        helper.make_node("Sum", names, ["y"])
        if inputs
        else helper.make_node("RandomNormal", [], ["y"], shape=[1, 3, 4, 4])
    )
    model = helper.make_model(
        helper.make_graph([node], "g", given, [made]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = f"zoo.{key}", value
    onnx.save(model, path)
    return path


FILES = {
    "two inputs": (dict(inputs=2), "inputs (=2) must be one, of images"),
    "no input": (dict(inputs=0), "inputs (=0) must be one, of images"),
    "labels of a number": (dict(labels="5"), "zoo.labels in its metadata must be a list of str"),
    "labels of numbers": (dict(labels="[1]"), "zoo.labels in its metadata must be a list of str"),
    "no JSON": (dict(mean="{"), "zoo.mean in its metadata: it must be JSON: "),
    "levels": (dict(std=DEEP[:90_000]), "zoo.std in its metadata: it must "),
    "a mean of texts": (
        dict(mean='["1"]'),
        "zoo.mean in its metadata must be a list of int or float",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_onnx_files(tmp_path, case):
    options, message = FILES[case]
    path = file_of(tmp_path / "a.onnx", **options)
    with pytest.raises(WeightsError) as error:
        zoo.open_exported(path)
    assert str(error.value).startswith(f"{path}: {message}")


def test_what_the_run_time_refuses_is_told(tmp_path):
    file = zoo.open_exported(file_of(tmp_path / "a.onnx"))
    assert file(np.ones((2, 3, 4, 4))).max() == 2
    file._session.run = lambda *_: (_ for _ in ()).throw(RuntimeError("[ONNXRuntimeError] : 6"))
    with pytest.raises(zoo.InputError, match=r"a\.onnx: ONNX Runtime cannot run it: \[ONNX"):
        file(np.ones((2, 3, 4, 4)))


HOW = zoo.Preprocessing(
    mean=(0.1, 0.2, 0.3), std=(1, 1, 1), channel_order="RGB", value_range=1.0, resize=256, crop=224,
    interpolation="bilinear",
)  # fmt: skip
PREPARED = {
    DEEP: "not the JSON of a preprocessing: it must have fewer levels",
    "[]": "not the JSON of a preprocessing: it must be a JSON object, not list",
    '{"mean": 1}': "the fields of a preprocessing must be ",
}


@pytest.mark.parametrize("text", PREPARED, ids=PREPARED.values())
def test_what_a_file_says_of_its_pictures(text):
    assert zoo.Preprocessing.from_json(HOW.to_json()) == HOW
    with pytest.raises(SpecError) as error:
        zoo.Preprocessing.from_json(text)
    assert str(error.value).startswith(PREPARED[text])


@pytest.mark.parametrize("text", [DEEP[:90_000], "{}", '{"preprocessing": [1]}'])
def test_what_a_file_of_8_bits_says_of_its_pictures(text):
    from zoo.evaluation.pipeline import known_of_onnx

    with pytest.raises(zoo.InputError, match=r"^zoo\.quantization in the file's metadata: "):
        known_of_onnx({"zoo.quantization": text}, None, None, 224)
