"""`diagnose`: the machine, the backends, each tried in a process of its own, and known trouble."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import backends
from zoo import families
from zoo.bench.engine import THREAD_VARIABLES, Engine, EngineError, least_disturbed
from zoo.bench.measurement import FLOAT32, Contender
from zoo.bench.work import Work, prepare
from zoo.doctor import onednn
from zoo.doctor.conflicts import conflicts, installed_versions
from zoo.doctor.report import Diagnosis, Health, OneDNN
from zoo.machine import Machine, machine, version

NETWORK = "shufflenet_v1_0.5x_g3"
IMAGE_SIZE = 160
"""A small network with all kinds of convolution; in smaller images the convolutions hardly show."""
TIMEOUT = 60.0
"""Seconds after which a framework that does not answer counts as broken."""
ORDER = ("numpy", "torch", "mindspore", "onnx", "openvino")
ENVIRONMENT = (*THREAD_VARIABLES, onednn.SWITCH, *onednn.ONEDNNS_OWN)


def diagnose(progress: Callable[[str, int, int], None] | None = None) -> Diagnosis:
    """Return what is installed, whether it works, and what is known to slow it down.

    Each backend builds and runs a small network in a process of its own, so that a broken one can
    do no harm, and its logits are compared with NumPy's in float64. Takes about 20 seconds with all
    backends.

    Args:
        progress: told of every step: what is being done, steps done, steps in all.

    Returns:
        The findings; whatever a framework does, there is no error.
    """
    names = sorted(backends.BACKENDS, key=lambda n: ORDER.index(n) if n in ORDER else len(ORDER))
    host = machine()
    found: list[Health] = []
    measured = OneDNN(verdict="MindSpore is not installed: there is nothing to measure")
    with tempfile.TemporaryDirectory(prefix="zoo-doctor-") as folder:
        spec = families.spec(NETWORK, image_size=IMAGE_SIZE)
        work = prepare(Path(folder), spec, None, seed=0)
        for i, name in enumerate(names):
            if progress:
                progress(name, i, len(names))
            health, extra = _examine(name, work, host)
            found.append(health)
            measured = extra or measured
    packages = installed_versions()
    return Diagnosis(
        version=version("parity-zoo"),
        machine=host,
        packages=packages,
        environment={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        network=f"{NETWORK} on an image of {IMAGE_SIZE}×{IMAGE_SIZE}",
        backends=tuple(found),
        conflicts=conflicts(packages),
        onednn=measured,
    )


def _examine(name: str, work: Work, host: Machine) -> tuple[Health, OneDNN | None]:
    """Return the state of a backend, and of MindSpore what its oneDNN costs."""
    remedy = backends.remedy(name)
    if missing := backends.missing_packages(name):
        what, verb = backends.listed(missing)
        reason = f"{what} {verb} not installed"
        return Health(name=name, state="missing", reason=reason, remedy=remedy), None
    special = name == "mindspore"
    job = work.job(Contender(name, optimized=False), 1, None)
    engine, extra = None, None
    try:
        engine = Engine(job, env=onednn.limited(os.environ) if special else None, timeout=TIMEOUT)
        error = work.error(job)
        turn = least_disturbed(engine, 0.1)
        if special:
            extra = onednn.compare(engine, job, os.environ, "AVX-512" in host.instruction_sets)
    except EngineError as failure:
        if special:
            extra = OneDNN(verdict="MindSpore does not work: nothing could be measured")
        return Health(name=name, state="broken", reason=str(failure), remedy=remedy), extra
    finally:
        if engine is not None:
            engine.close()
    started = engine.started
    right = error <= FLOAT32
    reason = f"the error of its logits (={error:.1e}) must be at most {FLOAT32:.0e}"
    return Health(
        name=name,
        state="works" if right else "broken",
        reason=None if right else reason,
        remedy=None if right else remedy,
        about=started["about"],
        import_seconds=started["import_seconds"],
        first_call_seconds=started["build_seconds"] + started["first_run_seconds"],
        seconds=median(turn.times),
        taken=turn.taken,
        error=error,
    ), extra
