"""The command line: what it prints, writes and exits with; and what importing and listing cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import zoo
from zoo import cli
from zoo.cli import demonstration

SMALL = ["--size", "64"]


def run(*args):
    return CliRunner().invoke(cli.app, args, catch_exceptions=True)


def test_list():
    assert run("list").stdout.split() == zoo.list_models()
    assert run("list", "*g8").stdout.split() == zoo.list_models("*g8")
    assert isinstance(run("list", "nothing*").exception, zoo.UnknownNameError)


def test_info_prints_the_totals():
    out = run("info", "shufflenet_v1_1.0x_g3").stdout
    assert "1,864,728 parameters · 137.46M multiply-adds" in out
    assert "stage3.7" in out
    assert "stage2.0.expand.conv" in run("info", "shufflenet_v1_1.0x_g3", "--depth", "0").stdout
    changed = run("info", "shufflenet_v1_1.0x_g3", "--set", "num_classes=10", "--spec").stdout
    assert json.loads(changed)["num_classes"] == 10
    preset = run("info", "shufflenet_v1_1.0x_g3", "--set", "conventions=mindcv").stdout
    assert "shufflenet_v1_1.0x_g3  (mindcv)" in preset


def test_parity_writes_its_files(tmp_path):
    files = [tmp_path / "report.json", tmp_path / "chart.png"]
    result = run(
        "parity", "shufflenet_v1_0.5x_g3", "--backends", "numpy,torch", *SMALL,
        "--json", str(files[0]), "--png", str(files[1]),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "numpy, torch agree, forward and below" in result.stdout
    assert json.loads(files[0].read_text())["passed"]
    assert files[1].stat().st_size > 10_000


def test_parity_fails_with_status_1_and_the_name(monkeypatch):
    """With a tolerance that float32 cannot meet, the command has to fail."""
    from zoo.proof import tolerances

    monkeypatch.setattr(tolerances, "FORWARD", tolerances.Tolerance(limit=1e-12))
    monkeypatch.setattr(tolerances, "PROPAGATED", 0)
    result = run("parity", "shufflenet_v1_0.5x_g3", "--backends", "numpy", *SMALL)
    assert result.exit_code == 1
    assert "numpy diverges at stem.conv (forward, every node: error " in result.stdout


def test_photographs_are_real_and_normalized():
    from zoo.proof.photographs import photographs

    images = photographs(64)
    assert images.shape == (2, 3, 64, 64)
    assert images.std() > 0.5
    assert abs(images[0] - images[1]).mean() > 0.3


def test_convert_and_inspect(tmp_path):
    from weights import randomize, save_weights

    spec = zoo.spec("shufflenet_v1_0.5x_g3")
    theirs, ours = tmp_path / "theirs.pth", tmp_path / "ours.ckpt"
    save_weights(theirs, spec, randomize(spec.graph), dialect="megvii")
    result = run("convert", str(theirs), str(ours), "--conventions", "paper")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"{theirs}: torch file, names of megvii",
        "shufflenet_v1_0.5x_g3, conventions megvii, 1000 classes, 3 input channels; 246 arrays, "
        "729,564 values",
        "pictures: BGR in 0..255, mean [0.0, 0.0, 0.0], std [1.0, 1.0, 1.0], bilinear to 256, the "
        "middle 224",
        f"{ours}: mindspore file, names of zoo_mindspore",
        "shufflenet_v1_0.5x_g3, conventions paper, 1000 classes, 3 input channels",
        result.stdout.splitlines()[-1],
    ]
    assert "verified: numpy before, numpy after, error " in result.stdout
    assert isinstance(run("convert", str(theirs), str(ours)).exception, zoo.OutputError)
    assert run("convert", str(theirs), str(ours), "--force", "--verify", "none").exit_code == 0
    shown = run("inspect", str(ours), "--depth", "1").stdout
    assert f"{ours}: mindspore file, names of zoo_mindspore" in shown
    assert "metadata zoo.model: shufflenet_v1_0.5x_g3" in shown
    assert "stage4" in shown
    strange = tmp_path / "strange.npz"
    np.savez(strange, [1.0, np.nan], name=np.arange(3))
    shown = run("inspect", str(strange)).stdout
    assert "of no network known here" in shown
    assert "because: " in shown
    assert "NaN or inf" in shown


def test_published_weights_are_listed():
    shown = run("list", "--weights").stdout
    assert "shufflenet_v1_1.0x_g3  weights='mindcv/imagenet1k'" in shown
    assert "top-1 67.77 %, top-5 87.73 %, Apache-2.0, conventions mindcv" in shown
    assert isinstance(run("list", "--weights", "*g8").exception, zoo.UnknownNameError)


@pytest.mark.exhaustive
def test_demo(tmp_path):
    name = "shufflenet_v1_1.0x_g3_cifar"
    folder = os.environ.get("ZOO_DATA")
    images = ["--data", f"{folder}/cifar10_exact_subset.npz"] if folder else []
    result = run("demo", name, "--out", str(tmp_path / "new"), *images)
    assert result.exit_code == 0, result.output
    assert "862,768 parameters" in result.stdout
    assert "the same bits" in result.stdout
    assert "torch, mindspore agree, training and below" in result.stdout
    files = [f"parity-{name}.json", f"parity-{name}.png"]
    if folder:
        assert "mindspore and torch name the same class for all 1017 images" in result.stdout
        assert "onnx and torch name the same class for all 1017 images" in result.stdout
        files.append(f"seen-{demonstration.TRAINED}.png")
    else:
        assert "zoo demo --data cifar-10-python.tar.gz shows what they see" in result.stdout
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == files


ERRORS = [
    (["info", "nope"], "zoo: unknown model 'nope'; known: "),
    (["info", "shufflenet_v1_1.0x_g3", "--set", "groups=7"],
     "zoo: stage2.0.shuffle: channels (=60) must be divisible by groups (=7)"),
    (["info", "shufflenet_v1_1.0x_g3", "--set", "groups"],
     "zoo: --set 'groups' must be KEY=VALUE"),
    # names of arguments in Python are no fields here
    (["recipes", "cifar10", "--set", "name=a"], "zoo: unknown field of a recipe 'name'"),
    (["recipes", "cifar10", "--set", "self=a"], "zoo: unknown field of a recipe 'self'"),
    (["train", "cifar10", "--data", "x", "--set", "data=a"], "zoo: unknown field of a recipe 'dat"),
    (["convert", "missing.pth", "out.ckpt"], "zoo: missing.pth: no such file, and no published w"),
    (["convert", "mindcv/imagenet1k", "out.ckpt"],
     "zoo: weights 'mindcv/imagenet1k': model must be a network of the catalog, of which they"),
    (["convert", "missing.pth", "out.h5"], "zoo: out.h5: the suffix must be one of .safetensors, "),
    (["convert", "missing.pth", "out.pth", "--to", "mindvc"], "zoo: unknown dialect 'mindvc'; did"),
    (["convert", "missing.pth", "out.pth", "--set", "groups=3"],
     "zoo: --set changes the spec of --model, which is missing"),
    (["convert", "missing.pth", "out.pth", "--verify", "numpy"],
     "zoo: verify (=['numpy']) must name two backends, for before and after"),
    (["inspect", "missing.pth"], "zoo: missing.pth: no such file"),
    (["parity", "shufflenet_v1_1.0x_g3", "--backends", "numpy", "--level", "training"],
     "zoo: backend 'numpy' does no level 'training'"),
    (["parity", "shufflenet_v1_0.5x_g3", "--backends", "numpy", "--size", "32", "--json",
      "/nowhere/report.json"], "zoo: /nowhere/report.json: the folder /nowhere does not exist"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "message"), ERRORS)
def test_errors_are_one_line_and_status_2(args, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["zoo", *args])
    with pytest.raises(SystemExit) as error:
        cli.main()
    assert error.value.code == 2
    err = capsys.readouterr().err.strip().splitlines()[-1]
    assert err.startswith(message)


def test_listing_loads_neither_numpy_nor_a_framework():
    """What is quick is what is not loaded; times are for benchmarks."""
    heavy = {"numpy", "torch", "mindspore", "onnxruntime", "openvino", "matplotlib"}
    code = (
        "import sys; sys.argv = ['zoo', 'list']\nfrom zoo.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print(sorted(set(sys.modules) & {heavy}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "resnet9" in done.stdout


def test_without_a_terminal_progress_is_a_line_a_step(tmp_path):
    done = run(
        "parity", "shufflenet_v1_0.5x_g3", "--backends", "numpy", "--level", "forward", *SMALL
    )
    assert done.stderr.splitlines() == [
        "[0/2] structure: numpy", "[1/2] forward: numpy", "[2/2] done",
    ]  # fmt: skip


def run_zoo(*args, **environment):
    return subprocess.run(
        [sys.executable, "-m", "zoo", *args],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


EVIL = "\x1b[31mred\x1b]0;title\x07\u202e"


def test_names_of_strangers_do_not_steer_the_terminal(tmp_path):
    from weights import formats

    file = tmp_path / "a.npz"
    named = {"[/x]b": np.ones((2, 2), np.float32), EVIL: np.ones(3, np.float32)}
    formats.write(file, named, {"k[/b]": "\x1b[2Jv"})
    for command in ("inspect", "convert"):
        more = [str(tmp_path / "b.npz")] if command == "convert" else []
        done = run_zoo(command, str(file), *more)
        shown = done.stdout + done.stderr
        assert "[/x]b" in shown
        assert r"\x1b[31mred\x1b]0;title\x07\u202e" in shown
        assert not set("\x1b\x07\u202e") & set(shown)
        assert "Traceback" not in shown


def test_a_terminal_of_ascii_shows_what_it_can():
    done = run_zoo("info", "shufflenet_v1_0.5x_g3", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert "stage2" in done.stdout
