"""Measure every way to run a network on this processor: ours beside what users of others have.

Run it from the repository's root, on a machine that does nothing else:

    python benchmarks/deploy.py                           # five networks, about half an hour
    python benchmarks/deploy.py --models shufflenet_v2_1.0x --engines 'zoo-*,peer-openvino*'

Protocol as in ``forward.py``: a process an engine, turns, ratios within rounds, several launches.
All engines of a network have the same weights, those of the peer (torchvision's for V2, pytorchcv's
for V1), and run the same images; whose logits are further than 1e-5 of the largest from the peer's
own in float64 is not measured but reported. MindCV's networks are other functions, so a variant of
ours that follows them is checked against MindCV.

First all engines meet in a tournament of few rounds; the fastest of each side, and those that
questions with targets are about, are then launched several times more. ``comparing.py`` has the
questions. The results of networks that are not measured are kept. ``deploy_page.py`` makes the
tables and charts of docs/performance.md from them.
"""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from comparing import compare, finalists
from engines.base import BATCHES, IMAGE_SIZE, NoPeerError, Task
from engines.deploy import ENGINES, MODELS
from engines.peers import torch_name
from engines.serve import TOLERANCE
from recording import RESULTS, console, machine, save, show
from tournament import Effort, Field

THREADS = 2
LIBRARIES = (
    *("torch", "torchvision", "pytorchcv", "onnx", "onnxscript", "onnxruntime", "openvino"),
    *("mindspore", "mindcv", "numpy"),
)


def main(
    models: Annotated[str, typer.Option(help="Names of zoo.list_models(), by comma.")] = (
        ",".join(MODELS)
    ),
    engines: Annotated[str, typer.Option(help="Names or patterns, by comma.")] = "*",
    launches: Annotated[int, typer.Option(min=0, help="Of the finalists.")] = 3,
    rounds: Annotated[int, typer.Option(min=1, help="Of a launch of finalists, a batch.")] = 3,
    seconds: Annotated[float, typer.Option(help="Length of a block; no call is cut.")] = 0.5,
    tournament_rounds: Annotated[int, typer.Option(min=1, help="With all engines.")] = 2,
    out: Annotated[Path, typer.Option(help="The JSON file.")] = RESULTS / "deploy.json",
) -> None:
    """Measure our networks and the peers' in all run-times."""
    patterns = engines.split(",")
    names = [
        name
        for name, engine in ENGINES.items()
        if name in patterns
        or (not engine.extra and any(fnmatch.fnmatchcase(name, p) for p in patterns))
    ]
    if not names:
        raise typer.BadParameter(f"no engine {engines}: {', '.join(ENGINES)}")
    first, then = (Effort(n, seconds) for n in (tournament_rounds, rounds))
    settings = {
        "image_size": IMAGE_SIZE,
        "dtype": "float32",
        "threads": THREADS,
        "launches": launches,
        "rounds_per_launch": rounds,
        "tournament_rounds": tournament_rounds,
        "seconds_per_block": seconds,
        "tolerance": TOLERANCE,
    }
    results = _kept(out, {"settings": settings, "machine": machine(LIBRARIES)})
    for model in models.split(","):
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            # A cache of its own: kernels chosen on a disturbed machine must not outlive the run.
            environment = {"TORCHINDUCTOR_CACHE_DIR": str(Path(folder) / "inductor")}
            field = Field(Task(model, THREADS, Path(folder)), environment)
            _prepare(model, Path(folder))
            console.print(f"{model}: {len(names)} engines", style="dim")
            field.launch(names, 0, first)
            console.print(f"{model}: {time.perf_counter() - start:.0f} s so far", style="dim")
            chosen = finalists(field.measured(), model, BATCHES)
            for number in range(1, launches + 1):
                console.print(f"{model}: launch {number} of {len(chosen)} finalists", style="dim")
                field.launch((n for n in names if n in chosen), number, then)
        results["models"][model] = {
            **_peer(model),
            "minutes": round((time.perf_counter() - start) / 60, 1),
            "finalists": [name for name in names if name in chosen],
            "engines": described(field),
            "comparisons": compare(field.measured(), model),
            "skipped": field.skipped,
            "failed": field.failed,
        }
        save(out, compact(results))
        show(f"{model}, float32, {THREADS} threads", results["models"][model], BATCHES)
    if any(results["models"][model]["failed"] for model in models.split(",")):
        raise typer.Exit(1)


def _kept(out: Path, conditions: dict[str, Any]) -> dict[str, Any]:
    """Return the results that are there, to which those of other networks are added.

    Raises:
        BadParameter: they are of another machine or protocol, so that no table could have both.
    """
    conditions = json.loads(json.dumps(conditions))
    if not out.exists():
        return {**conditions, "models": {}}
    found = json.loads(out.read_text())
    if {key: found.get(key) for key in conditions} != conditions:
        raise typer.BadParameter(
            f"{out} was measured with another machine, versions or settings: give another --out, "
            "or move it away"
        )
    return found


def _prepare(model: str, folder: Path) -> None:
    """Have the peers' own code write the material, each in a process of its own."""
    console.print(f"{model}: preparing the peers' weights and exports", style="dim")
    script = str(Path(__file__).with_name("material.py"))
    with tempfile.TemporaryFile() as log:
        processes = [
            subprocess.Popen([sys.executable, script, what, model, folder], stdout=log, stderr=log)
            for what in ("peer", "mindcv")
        ]
        codes = [process.wait() for process in processes]
        if any(codes):
            log.seek(0)
            console.print(log.read().decode(errors="replace"), markup=False)
            raise typer.Exit(1)


def described(field: Field) -> dict[str, Any]:
    """Return what the engines are and did, and their largest errors."""
    return {
        name: {
            "about": ENGINES[name].about,
            "side": ENGINES[name].side,
            "runtime": ENGINES[name].runtime,
            "function": ENGINES[name].function,
            "errors": {
                str(batch): float(f"{max(t.account['largest_error'] for t in turns.values()):.2e}")
                for batch, turns in field.records[name].turns.items()
            },
            **did,
        }
        for name, did in field.summary().items()
    }


def _peer(model: str) -> dict[str, str]:
    try:
        library, name = torch_name(model)
    except NoPeerError:
        return {}
    return {"peer": library, "peer_name": name}


def compact(results: dict[str, Any]) -> str:
    """Return JSON with the innermost lists and objects on one line each."""
    text = json.dumps(results, indent=1)
    inner = re.compile(r"([\[{])\s+([^\[\]{}]*?)\s+([\]}])")

    def joined(found: re.Match[str]) -> str:
        line = found[1] + re.sub(r"\s*\n\s*", " ", found[2]) + found[3]
        return line if len(line) <= 200 else found[0]

    return inner.sub(joined, text) + "\n"


if __name__ == "__main__":
    typer.run(main)
