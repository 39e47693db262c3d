"""Lint fails where a backend is not what its protocols say: mypy, run on backends with faults."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BACKENDS, FRAMEWORKS

import backends
import zoo

ROOT = Path(zoo.__file__).parents[1]
REGISTRY = (ROOT / "backends" / "registry.py").read_text()

# (Backend, the member that does not fit) → (file, what stands there, what is put there).
FAULTS = {
    ("numpy", "predict"): ("__init__.py", "forward, predict\n", "forward\n"),
    ("torch", "FUSED"): ("__init__.py", "DTYPES, FUSED, LEVELS", "DTYPES, LEVELS"),
    ("mindspore", "gradients"): ("run.py", "training: bool, dtype: str\n) -> tuple[float",
                                 "train: bool, dtype: str\n) -> tuple[float"),
    ("mindspore", "trainer"): ("trainer.py", "def place(", "def put("),
    ("openvino", "describe"): ("about.py", "-> dict[str, str]:", "-> str:"),
    ("onnx", "Calibrated"): ("quantize.py", "only: Collection[str]", "these: Collection[str]"),
}  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What mypy says, as lint runs it, of backends with all faults at once: backend → text."""
    folder = tmp_path_factory.mktemp("faults")
    if (ROOT / ".mypy_cache").is_dir():  # of lint; without it this takes a minute
        shutil.copytree(ROOT / ".mypy_cache", folder / "cache")
    command = [sys.executable, "-m", "mypy", "--package", "backends"]
    command += ["--cache-dir", str(folder / "cache")]
    # Longer, so that mypy looks at it again: it goes by what the registry itself imports.
    changed = {"backends/registry.py": REGISTRY + "# again\n"}
    for (backend, _), (file, old, new) in FAULTS.items():
        path = f"backends/{backend}/{file}"
        text = (ROOT / path).read_text()
        assert text.count(old) == 1, path
        changed[path] = text.replace(old, new)
    for path, text in changed.items():
        shadow = folder / path.replace("/", "_")
        shadow.write_text(text)
        command += ["--shadow-file", path, str(shadow)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        if place := re.match(r"backends/registry\.py:(\d+): ", line):
            before = REGISTRY.splitlines()[: int(place[1])]
            name = re.findall(r"import backends\.(\w+) as module", "\n".join(before))[-1]
            found[name] = found.get(name, "") + line + "\n"
    return found


@pytest.mark.parametrize(("backend", "member"), FAULTS)
def test_lint_fails_and_names_what_does_not_fit(told: dict[str, str], backend: str, member: str):
    assert "error: Incompatible return value type (got Module, expected" in told[backend]
    assert re.search(rf"note:  +(def )?{member}\b", told[backend]), told[backend]


def test_nothing_else_is_told(told: dict[str, str]):
    members = set(re.findall(r"note:  +(?:def )?(\w+)", "".join(told.values())))
    assert members - {"Expected", "Got"} == {member for _, member in FAULTS}


@pytest.mark.parametrize("name", BACKENDS)
def test_what_a_backend_says_it_can_is_what_the_registry_hands_out(name: str):
    engine = backends.load(name)
    assert backends.name_of(engine) == name
    able = name in FRAMEWORKS
    assert backends.differentiates(engine) is backends.trains(engine) is able
    assert backends.is_editable(engine) is able
    if able:
        assert backends.trainable(name) is backends.editable(name) is engine
        return
    with pytest.raises(zoo.SpecError) as error:
        backends.trainable(name)
    assert str(error.value) == f"backend {name!r} cannot train: mindspore or torch can"
    with pytest.raises(zoo.UnknownNameError, match="unknown backend with code"):
        backends.editable(name)
