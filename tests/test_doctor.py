"""`zoo doctor`: what it finds, and that nothing a framework does can make it fail."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

import backends
import zoo
from zoo import cli
from zoo.doctor import diagnose as doctor
from zoo.doctor import onednn
from zoo.doctor.conflicts import KNOWN, conflicts
from zoo.machine import instruction_sets, machine


def run(*args):
    return CliRunner().invoke(cli.app, ["doctor", *args])


@pytest.fixture
def only(monkeypatch):
    """Let there be these backends and no others."""

    def only(*names):
        monkeypatch.setattr(backends, "BACKENDS", {n: backends.BACKENDS[n] for n in names})

    return only


def test_all_is_well(only, tmp_path):
    only("numpy")
    result = run("--json", str(tmp_path / "found.json"))
    assert result.exit_code == 0, result.output
    assert "✓ numpy" in result.stdout
    assert "all that is installed works: numpy" in result.stdout
    fields = json.loads((tmp_path / "found.json").read_text())
    assert fields["broken"] == []
    assert fields["backends"][0]["error"] < 1e-12
    assert fields["machine"]["cores"] >= 1
    assert fields["machine"]["memory_bytes"] > 2**28
    assert fields["onednn"]["verdict"] == "MindSpore is not installed: there is nothing to measure"


def test_broken_and_missing_frameworks_are_told_of(only, tmp_path, monkeypatch):
    """MindSpore is broken, PyTorch is missing: status 1, remedies, and no traceback."""
    only("numpy", "torch", "mindspore")
    (tmp_path / "mindspore.py").write_text("raise OSError('libdnnl.so.3: wrong ELF class')")
    monkeypatch.syspath_prepend(tmp_path)
    find = backends.registry.importlib.util.find_spec
    monkeypatch.setattr(
        backends.registry.importlib.util,
        "find_spec",
        lambda n, *rest: None if n == "torch" else find(n),
    )
    result = run()
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    out = result.stdout
    assert (
        "✗ mindspore: OSError: libdnnl.so.3: wrong ELF class: pip install 'parity-zoo[minds" in out
    )
    assert "– torch: the package 'torch' is not installed: pip install 'parity-zoo[torch]'" in out
    assert "MindSpore does not work: nothing could be measured" in out
    assert "✓ numpy" in out
    assert out.strip().splitlines()[-1] == "broken: mindspore"


def test_an_engine_that_computes_something_else_is_broken(only, monkeypatch):
    only("numpy")
    monkeypatch.setattr(doctor.Work, "error", lambda work, job: 0.02)
    found = zoo.diagnose()
    assert found.broken == ("numpy",)
    assert found.backends[0].reason == ("the error of its logits (=2.0e-02) must be at most 1e-04")


@pytest.mark.exhaustive
def test_mindspore_is_measured_with_onednn_as_shipped_and_limited(only, monkeypatch):
    only("numpy", "mindspore")
    # One unit a stage has all kinds of convolution and compiles in a third of the time.
    small = zoo.spec(doctor.NETWORK, stage_repeats=(1, 1, 1), image_size=doctor.IMAGE_SIZE)
    monkeypatch.setattr(doctor.families, "spec", lambda *args, **kwargs: small)
    monkeypatch.setenv(onednn.SWITCH, "default")  # the user's setting is told of, not measured
    found = zoo.diagnose()
    assert [health.state for health in found.backends] == ["works", "works"]
    assert found.backends[1].about["version"] == __import__("mindspore").__version__
    measured = found.onednn
    assert measured.shipped_seconds > 0 < measured.limited_seconds
    assert measured.notes == (
        "ZOO_MINDSPORE_ONEDNN=default is set: here the zoo leaves oneDNN as it is shipped",
    )
    if "AVX-512" in found.machine.instruction_sets:
        assert found.backends[1].about["kernels"] == "up to AVX2"
        # By how much is the machine's affair, and on a busy one whether at all: 1.4 to 4 were seen.
        slow = measured.ratio >= onednn.SLOW
        assert measured.verdict == onednn.verdict(measured.ratio, avx512=True)
        assert (measured.remedy == onednn.REMEDY) == slow
        assert "`import backends.mindspore` before MindSpore runs its first" in onednn.REMEDY
    else:
        assert measured.verdict == "this processor has no AVX-512: nothing is needed"


@pytest.mark.parametrize(
    ("ratio", "avx512", "verdict"),
    [
        (6.4, True, "as MindSpore ships it, oneDNN falls back to slow kernels on this processor "
         "(6.4 times as long)"),
        (1.1, True, "oneDNN as MindSpore ships it is as quick here: nothing is needed"),
        (1.0, False, "this processor has no AVX-512: nothing is needed"),
    ],
)  # fmt: skip
def test_verdicts(ratio, avx512, verdict):
    assert onednn.verdict(ratio, avx512) == verdict


def test_the_users_settings_are_left_out_of_the_measurement():
    users = {"PATH": "/bin", "DNNL_MAX_CPU_ISA": "AVX2", onednn.SWITCH: "default"}
    assert onednn.limited(users) == {"PATH": "/bin"}
    assert onednn.notes(users)[1] == (
        "DNNL_MAX_CPU_ISA=AVX2 is set (not while this was measured): it holds for MindSpore and "
        "PyTorch alike"
    )


def test_conflicts():
    fine = {"mindspore": "2.10.0", "numpy": "1.26.4", "ml_dtypes": "0.5.4", "torch": "2.15.0+cu132"}
    assert conflicts(fine) == ()
    new = {"numpy": "2.3.1", "ml_dtypes": "0.6.0"}
    assert conflicts(new) == ()  # without MindSpore they are what one should have
    assert [str(conflict) for conflict in conflicts({**fine, **new})] == [
        "numpy 2.3.1: backend 'mindspore' needs numpy<2 (MindSpore 2.10's PyNative mode fails with "
        "NumPy 2): pip install 'parity-zoo[mindspore]'",
        "ml_dtypes 0.6.0: backend 'mindspore' needs ml_dtypes<0.6 (ml_dtypes 0.6 needs NumPy 2): "
        "pip install 'parity-zoo[mindspore]'",
    ]


def test_known_conflicts_are_those_of_the_extras():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    for known in KNOWN:
        asked = Requirement(known.requirement)
        extra = map(Requirement, project["optional-dependencies"][known.backend])
        (given,) = [r for r in extra if r.name == asked.name]
        assert set(asked.specifier) <= set(given.specifier), known


def test_a_conflict_counts_as_broken(only, monkeypatch):
    only("numpy", "mindspore")
    monkeypatch.setattr(
        doctor, "_examine", lambda *args: (doctor.Health(name="x", state="works"), None)
    )
    monkeypatch.setattr(
        doctor, "installed_versions", lambda: {"mindspore": "2.10.0", "numpy": "2.0"}
    )
    assert zoo.diagnose().broken == ("mindspore",)


def test_instruction_sets():
    x86 = ["sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "amx_int8"]
    assert instruction_sets(x86, "x86_64") == (
        "SSE4.2", "AVX", "FMA", "AVX2", "AVX-512", "AVX-512 VNNI", "AMX INT8",
    )  # fmt: skip
    assert instruction_sets(["asimd", "asimddp"], "aarch64") == ("NEON", "NEON dot product")
    assert instruction_sets([], "arm64") == ("NEON",)  # macOS tells no flags
    assert instruction_sets([], "x86_64") == ()


def test_a_machine_that_tells_nothing_is_no_error(monkeypatch):
    import cpuinfo

    from zoo import machine as module

    module.processor.cache_clear()
    monkeypatch.setattr(cpuinfo, "get_cpu_info", lambda: 1 / 0)
    assert machine().instruction_sets in ((), ("NEON",))
    module.processor.cache_clear()


def test_the_file_is_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(doctor, "_examine", lambda *args: pytest.fail("started"))
    result = run("--json", "/nowhere/found.json")
    assert str(result.exception) == "/nowhere/found.json: the folder /nowhere does not exist"
