"""What the package hands out, and what it needs for that."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import zoo
from weights import pretrained

PUBLIC = [
    "Adopted", "AdoptionError", "Agreement", "BackendNotInstalledError", "BenchmarkReport",
    "Checkpoint", "ConventionError",
    "Conversion", "Cost", "Dataset", "Diagnosis", "Evaluation", "Export", "ExportError",
    "Finding", "Graph", "GraphError", "InputError", "Measurement", "NotInstalledError",
    "OutputError", "ParityReport", "PictureTransform", "Port", "Predictions", "Preprocessing",
    "QuantizationReport",
    "Recipe", "Run", "ShadowedError", "Spec", "SpecError", "TrainingError",
    "UnknownNameError", "WeightsError", "ZooError", "adopt", "benchmark", "compare",
    "convert", "cost", "create", "diagnose", "evaluate", "export", "get_weights", "list_models",
    "list_recipes", "load", "load_weights", "mean_and_std", "open_dataset", "open_exported",
    "open_run", "parity", "port", "predict", "push_to_hub", "quantize", "recipe", "report",
    "resume", "save", "set_weights", "spec", "spec_from_json", "train", "transforms",
    "write_source",
]  # fmt: skip


def test_public_names():
    assert sorted(zoo.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(zoo, name).__doc__, f"{name} has no docstring"
    with pytest.raises(AttributeError, match="module 'zoo' has no attribute 'craete'"):
        _ = zoo.craete


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(zoo.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert sorted(alias.name for node in block.body for alias in node.names) == PUBLIC


def run(code: str, *blocked: str) -> str:
    """Run code in a fresh interpreter in which some packages cannot be imported."""
    guard = (
        "import sys, importlib.abc\n"
        "class Blocked(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {blocked!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
    )
    command = [sys.executable, "-c", guard + code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr.strip().splitlines()[-1] if done.stderr else done.stdout


FRAMEWORKS = ("torch", "torchvision", "mindspore", "onnx", "onnxruntime")
EXTRAS = (
    *FRAMEWORKS, "safetensors", "requests", "typer", "rich", "matplotlib", "sklearn", "PIL",
    "scipy", "click", "psutil", "cpuinfo", "pydantic", "lightning_fabric", "tensorboard", "jinja2",
    "huggingface_hub",
)  # fmt: skip


def test_numpy_is_enough():
    out = run(
        "import zoo\n"
        "name = 'shufflenet_v1_0.5x_g3'\n"
        "model = zoo.create(name, backend='numpy', image_size=32)\n"
        "import numpy as np\n"
        "y = model(np.ones((1, 3, 32, 32)))\n"
        "print(len(zoo.list_models()) > 13, zoo.cost(name).params, y.shape)\n"
        "print(zoo.parity(name, backends=['numpy'], image_size=64).passed)\n"
        "import tempfile, pathlib\n"
        "folder = pathlib.Path(tempfile.mkdtemp())\n"
        "zoo.save(model, folder / 'a.pth')\n"
        "print(zoo.convert(folder / 'a.pth', folder / 'b.ckpt', conventions='paper').dialect)",
        *EXTRAS,
    )
    assert out.splitlines() == ["True 717324 (1, 1000)", "True", "zoo_mindspore"]


def test_importing_and_listing_load_no_framework():
    out = run(
        "import zoo; zoo.list_models(); zoo.spec('shufflenet_v1_0.5x_g3').graph\n"
        f"print(sorted(set(sys.modules) & set({(*EXTRAS, 'numpy')!r})))"
    )
    assert out.strip() == "[]"


@pytest.mark.parametrize("backend", ["torch", "mindspore"])
def test_a_missing_backend_tells_what_to_install(backend):
    code = f"import zoo; zoo.create('shufflenet_v1_0.5x_g3', backend={backend!r})"
    out = run(code, backend)
    assert out.startswith("zoo.errors.BackendNotInstalledError: ")
    assert f"backend '{backend}' needs the package '{backend}', which is not installed: " in out
    assert f"pip install 'parity-zoo[{backend}]'" in out


def test_parity_needs_pytorch_from_batch_statistics_on():
    code = (
        "import zoo; zoo.parity('shufflenet_v1_0.5x_g3', backends=['numpy'], "
        "level='batch_statistics', image_size=32)"
    )
    out = run(code, "torch")
    assert "level 'batch_statistics' has PyTorch for its reference: backend 'torch' needs" in out


def test_a_broken_framework_is_told_apart_from_a_missing_one(tmp_path, monkeypatch):
    import backends

    def broken():
        raise ImportError("numpy.core.multiarray failed to import")

    row = replace(backends.BACKENDS["torch"], load=broken)
    monkeypatch.setitem(backends.BACKENDS, "torch", row)
    with pytest.raises(zoo.BackendNotInstalledError) as error:
        backends.load("torch")
    assert str(error.value) == (
        "backend 'torch': 'torch' is installed but cannot be imported (numpy.core.multiarray "
        "failed to import); pip install 'parity-zoo[torch]' installs versions that fit together"
    )


def test_names_of_before_still_work_and_warn():
    import zoo.recipes

    with pytest.warns(DeprecationWarning, match=r"zoo\.recipes\.at is now called .*values_at"):
        assert zoo.recipes.at is zoo.recipes.values_at
    (entry, *_) = pretrained.list_pretrained()
    with pytest.warns(DeprecationWarning, match=r"Pretrained\.licence is now called license"):
        assert entry.licence == entry.license
    with pytest.raises(AttributeError, match=r"'zoo\.recipes' has no attribute 'att'"):
        zoo.recipes.att  # noqa: B018
