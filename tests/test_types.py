"""What type checkers tell a user of the installed package: pyright, as editors run it, and mypy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import typing
import venv
from pathlib import Path

import pytest
from wheels import build, copy_sources

import backends

# A line of a user's script → what pyright and mypy call the type in it. MindSpore has no types that
# mypy would read: there it is Any.
TYPES = [
    ('zoo.create("resnet9")', "TorchModel", "backends.native.TorchModel"),
    ('zoo.create("resnet9", backend="torch", seed=3, num_classes=5)', "TorchModel",
     "backends.native.TorchModel"),
    ('zoo.create("resnet9").get_classifier()', "Module", "torch.nn.modules.module.Module"),
    ('zoo.create("resnet9").num_features', "int", "int"),
    ('zoo.create("resnet9").feature_info', "FeatureInfo", "zoo.arch.feature_info.FeatureInfo"),
    ('zoo.create("resnet9", backend="mindspore")', "MindSporeModel",
     "backends.native.MindSporeModel"),
    ('zoo.create("resnet9", backend="onnx").num_classes', "int", "int"),
    ('zoo.transforms("megvii")', "PictureTransform", "zoo.transforming.PictureTransform"),
    ('zoo.create("resnet9", backend="onnx", optimize=True)', "Model", "backends.onnx.model.Model"),
    ('zoo.create("resnet9", backend="openvino")', "Model", "backends.openvino.model.Model"),
    ('zoo.create("resnet9", backend="numpy")', "Model", "backends.numpy.model.Model"),
    ('zoo.load("net.pth")', "TorchModel", "backends.native.TorchModel"),
    ('zoo.load("net.pth", backend="numpy")', "Model", "backends.numpy.model.Model"),
    ('zoo.open_exported("net.onnx")', "File", "backends.onnx.file.File"),
    ('zoo.open_exported("net.onnx").labels', "list[str] | None", "list[str] | None"),
    ('zoo.spec("resnet9")', "Spec", "zoo.arch.spec.Spec"),
    ('zoo.parity("resnet9").passed', "bool", "bool"),
    ('zoo.cost("resnet9").params', "int", "int"),
]  # fmt: skip
FINE = """
import torch
plain: torch.nn.Module = zoo.create("resnet9")
for name in ("torch", "mindspore"):
    zoo.create("resnet9", backend=name)
zoo.create("resnet9", backend="numpy")(array).shape
"""
WRONG = [
    'zoo.create("resnet9", backend="tensorflow")',
    'zoo.create("resnet9", seed="three")',
    'zoo.load("net.pth", backend="keras")',
    'zoo.open_exported("net.onnx").lables',
    'zoo.craete("resnet9")',
]
SCRIPT = "\n".join(
    ["import numpy as np", "import zoo", "array: np.ndarray = np.ones((1, 3, 32, 32))"]
    + [f"reveal_type({line})" for line, *_ in TYPES]
    + WRONG
    + [FINE]
)
FIRST = 4  # the line of the first type
LINES = range(FIRST + len(TYPES), FIRST + len(TYPES) + len(WRONG))


@pytest.fixture(scope="module", params=["build_wheel", "build_editable"])
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with our packages installed, and a user's script beside it.

    What else they need comes from the environment of the tests.
    """
    folder = tmp_path_factory.mktemp(request.param)
    venv.create(folder / "venv", with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    build(copy_sources(folder / "source"), request.param).extractall(site)
    (site / "rest.pth").write_text("\n".join(p for p in sys.path if "site-packages" in p))
    (folder / "user").mkdir()
    (folder / "user" / "script.py").write_text(SCRIPT)
    return folder


def pyright(environment: Path) -> dict[int, tuple[str, str]]:
    """Return line → (severity, message) of the first finding in it."""
    python = environment / "venv" / "bin" / "python"
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", str(python)]
    done = subprocess.run(
        [*command, "script.py"],
        cwd=environment / "user",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    found: dict[int, tuple[str, str]] = {}
    for finding in json.loads(done.stdout)["generalDiagnostics"]:
        line = finding["range"]["start"]["line"] + 1
        found.setdefault(line, (finding["severity"], finding["message"]))
    return found


def mypy(environment: Path) -> dict[int, tuple[str, str]]:
    python = environment / "venv" / "bin" / "python"
    command = [sys.executable, "-m", "mypy", "--python-executable", str(python)]
    done = subprocess.run(
        [*command, "--cache-dir", str(environment / "cache"), "script.py"],
        cwd=environment / "user",
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[int, tuple[str, str]] = {}
    for line, severity, message in re.findall(
        r"^script\.py:(\d+): (\w+): (.*)$", done.stdout, re.MULTILINE
    ):
        found.setdefault(int(line), (severity, message))
    return found


@pytest.mark.sweep(quick=["build_wheel-pyright"])
@pytest.mark.parametrize("checker", [pyright, mypy])
def test_a_users_script(environment: Path, checker: typing.Callable) -> None:
    found = checker(environment)
    for number, (line, *names) in enumerate(TYPES, FIRST):
        severity, message = found.pop(number)
        name = names[checker is mypy]
        assert severity in ("information", "note"), (line, message)
        assert message.endswith(f'is "{name}"'), (line, message)
    assert {line for line, (severity, _) in found.items() if severity == "error"} == set(LINES)
    assert found.keys() == set(LINES)


@pytest.mark.exhaustive
@pytest.mark.parametrize("environment", ["build_wheel"], indirect=True)
def test_without_the_marker_nothing_is_known(environment: Path) -> None:
    """The negative control; pyright reads packages that do not say that they are typed."""
    (marker,) = environment.glob("venv/lib/*/site-packages/zoo/py.typed")
    aside = marker.rename(marker.with_name("aside"))
    try:
        assert "py.typed" in mypy(environment)[2][1]
    finally:
        aside.rename(marker)


def test_names_of_backends() -> None:
    assert list(typing.get_args(backends.Name)) == sorted(backends.BACKENDS)
