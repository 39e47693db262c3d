"""What a newcomer meets: packages that are missing, modules in the way, the wrong Python."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import backends
import zoo
from backends import registry
from zoo import cli
from zoo.arch.builder import GraphBuilder
from zoo.errors import BackendNotInstalledError, InputError

HOME = Path(zoo.__file__).parents[1]


def python(*args: str, cwd: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (path, str(HOME))))}
    command = [sys.executable, *args]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.sweep(quick=["not loaded-{}.py-weights", "loaded-{}/__init__.py-backends"])
@pytest.mark.parametrize("name", ["weights", "backends"])
@pytest.mark.parametrize("file", ["{}.py", "{}/__init__.py"])
@pytest.mark.parametrize("first", ["", "import {}; "], ids=["not loaded", "loaded"])
def test_a_module_of_the_users_in_the_place_of_ours(
    tmp_path: Path, name: str, file: str, first: str
) -> None:
    mine = tmp_path / file.format(name)
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("W = 1")
    done = python("-c", f"{first.format(name)}import zoo", cwd=tmp_path)
    assert done.stderr.splitlines()[-1] == (
        f"zoo.errors.ShadowedError: {mine} is found in the place of parity-zoo's package {name!r} "
        f"({HOME / name}): rename it, or take its folder out of sys.path"
    )


def test_a_folder_of_files_is_in_nobodys_way(tmp_path: Path) -> None:
    """The negative control: without an ``__init__.py`` it comes after every package."""
    for name in ("weights", "backends"):
        (tmp_path / name).mkdir()
    (tmp_path / "weights" / "net.pth").write_bytes(b"")
    done = python("-c", "import zoo; print(zoo.load_weights.__module__)", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("weights.checkpoint\n", "")


def test_python_m_zoo(tmp_path: Path) -> None:
    done = python("-m", "zoo", "list", "resnet9*", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "resnet9\n")
    done = python("-m", "zoo", "info", "resnet8", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("zoo: unknown model 'resnet8'; did you mean")


BARE = [
    ("onnx", {"onnx", "onnxruntime"}, "the packages 'onnxruntime' and 'onnx', which are not"),
    ("onnx", {"onnx"}, "the package 'onnx', which is not"),
    ("openvino", {"onnx"}, "the package 'onnx', which is not"),
    ("openvino", {"onnx", "onnxruntime", "openvino"},
     "the packages 'openvino' and 'onnx' and 'onnxruntime', which are not"),
]  # fmt: skip


@pytest.mark.parametrize(("backend", "absent", "words"), BARE)
def test_what_is_not_installed_is_not_said_to_be(
    backend: str, absent: set, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = registry._is_found

    def fails() -> None:
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

    monkeypatch.setattr(registry, "_is_found", lambda name: name not in absent and found(name))
    monkeypatch.setitem(backends.BACKENDS, backend, replace(backends.BACKENDS[backend], load=fails))
    with pytest.raises(BackendNotInstalledError) as error:
        backends.load(backend)
    assert str(error.value) == (
        f"backend {backend!r} needs {words} installed: pip install 'parity-zoo[{backend}]'"
    )


def test_a_python_that_mindspore_is_not_made_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.sys, "version_info", (3, 13, 0))
    monkeypatch.setattr(registry, "_is_found", lambda name: False)
    with pytest.raises(BackendNotInstalledError) as error:
        backends.require_installed("mindspore")
    assert str(error.value) == (
        "backend 'mindspore' needs the package 'mindspore', which is not installed: pip install "
        "'parity-zoo[mindspore]' in Python 3.12 or older (mindspore has no wheels for 3.13)"
    )
    assert backends.remedy("torch") == "pip install 'parity-zoo[torch]'"
    monkeypatch.setattr(registry.sys, "version_info", (3, 12, 9))
    assert backends.remedy("mindspore") == "pip install 'parity-zoo[mindspore]'"


@pytest.mark.parametrize("command", [["demo"], ["parity", "resnet9", "--photographs"]])
def test_photographs_without_scikit_learn(
    command: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setattr(sys, "argv", ["zoo", *command])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("zoo: the photographs need scikit-learn and Pillow (")
    assert told[0].endswith(": pip install 'parity-zoo[train]'")


def test_other_import_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: what is no error of ours is a fault, and is shown where it is."""
    monkeypatch.setattr(cli, "application", lambda names: lambda: __import__("no_such_module"))
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        cli.main()


@pytest.mark.parametrize(
    ("x", "text"),
    [
        ([["a", 3]], "input: must be an array of numbers"),
        ([[1, 2], [3]], "input: must be an array of numbers"),
        (np.zeros(3), "rank"),
        (np.zeros((1, 3, 8, 8)), r"values a channel \(=1\) must be at least 2 in training"),
    ],
)
def test_what_the_reference_cannot_run_is_an_input_error(x: object, text: str) -> None:
    b = GraphBuilder(3, 8)
    graph = b.build(b.batch_norm(b.global_avg_pool(b.input)))
    model = backends.load("numpy").build(graph).train()
    with pytest.raises(InputError, match=text):
        model(x)
    assert model(np.zeros((2, 3, 8, 8))).shape == (2, 3, 1, 1)


def test_dropout_in_training_is_the_frameworks() -> None:
    graph = zoo.spec("shufflenet_v2_0.5x_cifar", dropout=0.5).graph
    engine, x = backends.load("numpy"), np.ones((2, 3, 32, 32))
    found = zoo.get_weights(zoo.create("shufflenet_v2_0.5x_cifar", backend="numpy"))
    with pytest.raises(InputError, match="the numpy backend runs dropout in evaluation only"):
        engine.forward(graph, found, x, training=True, dtype="float64")
    engine.forward(graph, found, x, training=False, dtype="float64")
