"""What MindSpore's oneDNN costs as it is shipped, on this machine.

MindSpore 2.10 hands oneDNN plain NCHW layouts; on AVX-512 processors it then runs most convolutions
of these networks by its scalar reference. The backend limits it to AVX2 (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from zoo.bench.engine import Engine, EngineError, speeds, take_turns, undisturbed
from zoo.bench.worker import Job
from zoo.doctor.report import OneDNN

SWITCH = "ZOO_MINDSPORE_ONEDNN"
ONEDNNS_OWN = ("DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA")
SLOW = 1.5
"""How many times as long oneDNN must take as shipped to be called slow."""
SECONDS, ROUNDS = 0.3, 3

REMEDY = (
    "the zoo limits it by itself when its MindSpore backend is imported. In other programs: "
    "`import backends.mindspore` before MindSpore runs its first operator; or set "
    "DNNL_MAX_CPU_ISA=AVX2, which also slows PyTorch in the same process"
)


def limited(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which the zoo limits oneDNN, whatever the user's does."""
    return {k: v for k, v in environment.items() if k not in (SWITCH, *ONEDNNS_OWN)}


def compare(engine: Engine, job: Job, environment: Mapping[str, str], avx512: bool) -> OneDNN:
    """Measure a small network in MindSpore with oneDNN as shipped and as the zoo limits it.

    Args:
        engine: MindSpore, started in `limited` (environment).
        job: what it runs.
        environment: the user's.
        avx512: whether the processor is known to have it.
    """
    said = tuple(notes(environment))
    shipped = None
    try:
        shipped = Engine(job, env=limited(environment) | {SWITCH: "default"}, timeout=60)
        turns = take_turns(
            {"shipped": shipped, "limited": engine}, seconds=SECONDS, rounds=ROUNDS, failed=_failed
        )
    except EngineError as error:
        return OneDNN(verdict=f"not measured: {error}", notes=said)
    finally:
        if shipped is not None:
            shipped.close()
    calls = {
        key: median(median(turn.times) for turn in undisturbed(taken))
        for key, taken in turns.items()
    }
    ratio = median(speeds(turns["limited"], turns["shipped"])[0])
    return OneDNN(
        verdict=verdict(ratio, avx512),
        remedy=REMEDY if ratio >= SLOW else None,
        notes=said,
        shipped_seconds=calls["shipped"],
        limited_seconds=calls["limited"],
        ratio=ratio,
    )


def verdict(ratio: float, avx512: bool) -> str:
    """Return what the ratio of the times comes to."""
    if ratio >= SLOW:
        return (
            "as MindSpore ships it, oneDNN falls back to slow kernels on this processor "
            f"({ratio:.1f} times as long)"
        )
    if not avx512:
        return "this processor has no AVX-512: nothing is needed"
    return "oneDNN as MindSpore ships it is as quick here: nothing is needed"


def notes(environment: Mapping[str, str]) -> list[str]:
    """Return which settings of the user bear on this."""
    said = []
    if environment.get(SWITCH) == "default":
        said.append(f"{SWITCH}=default is set: here the zoo leaves oneDNN as it is shipped")
    said += [
        f"{name}={environment[name]} is set (not while this was measured): it holds for MindSpore "
        "and PyTorch alike"
        for name in ONEDNNS_OWN
        if name in environment
    ]
    return said


def _failed(_key: str, error: EngineError) -> None:
    raise error
