"""Every mutant of every network, given to the proof on every backend that can carry it.

    python benchmarks/mutants.py                                   # hours, most of it MindSpore's
    python benchmarks/mutants.py --backends numpy,torch --nodes kinds
    python benchmarks/mutants.py --summary                         # the table of docs/parity.md

Writes ``benchmarks/results/mutants.json``. A run that was ended goes on where it was: verdicts are
kept in a file of JSON lines beside it until all are there.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from recording import RESULTS
from recording import save as write

import backends as engines
from zoo.errors import unknown
from zoo.proof.mutants.catalog import Nodes
from zoo.proof.mutants.networks import NETWORKS, bench
from zoo.proof.mutants.run import Verdict, tasks
from zoo.proof.mutants.score import summary as summarize

BACKENDS = ("numpy", "torch", "mindspore", "onnx", "openvino")


def read(checkpoint: Path) -> list[Verdict]:
    """Return the verdicts of a run that was ended; a last line that is not whole is left out."""
    found = []
    for line in checkpoint.read_text().splitlines() if checkpoint.exists() else ():
        try:
            found.append(Verdict(**json.loads(line)))
        except json.JSONDecodeError:
            break
    return found


def run(
    out: Path, networks: list[str], names: list[str], nodes: Nodes, sample: int | None, seed: int
) -> list[Verdict]:
    """Return all verdicts, each written beside ``out`` as it is found."""
    checkpoint = out.with_suffix(".jsonl")
    done = {verdict.key: verdict for verdict in read(checkpoint)}
    checkpoint.write_text("".join(f"{_line(verdict)}\n" for verdict in done.values()))
    verdicts = []
    with checkpoint.open("a") as file:
        for network in networks:
            ready = None
            for backend, mutant in tasks(NETWORKS[network](), names, nodes, sample):
                key = (network, backend, mutant.key)
                if key not in done:
                    ready = ready or bench(network, seed)
                    done[key] = ready.judge(mutant, backend)
                    print(_line(done[key]), file=file, flush=True)
                    _tell(done[key])
                verdicts.append(done[key])
    return verdicts


def _tell(verdict: Verdict) -> None:
    if verdict.status != "killed" or not verdict.exact or verdict.killed_at != verdict.level:
        where = f"{verdict.operator}: {verdict.mutation} @ {verdict.node}"
        found = f"{verdict.status} {verdict.killed_at or ''} {verdict.named or ''} {verdict.note}"
        typer.echo(f"{verdict.network}, {verdict.backend}: {where}: {found}")


def save(out: Path, verdicts: list[Verdict], made_with: dict[str, Any]) -> None:
    """Write the verdicts and what they were made with, a line a verdict."""
    rows = ",\n".join(f"  {_line(verdict)}" for verdict in verdicts)
    write(out, f'{{"made_with": {json.dumps(made_with)},\n "verdicts": [\n{rows}\n]}}\n')
    out.with_suffix(".jsonl").unlink()


def _line(verdict: Verdict) -> str:
    return json.dumps(dataclasses.asdict(verdict))


def _chosen(text: str, known: list[str], what: str) -> list[str]:
    names = text.split(",")
    if missing := set(names).difference(known):
        raise unknown(what, min(missing), known)
    return names


def main(
    out: Annotated[Path, typer.Option(help="The JSON file.")] = RESULTS / "mutants.json",
    backends: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(BACKENDS),
    networks: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(NETWORKS),
    nodes: Annotated[Nodes, typer.Option(help="Where each mutation is put.")] = "first",
    sample: Annotated[int | None, typer.Option(help="At most so many of each network.")] = None,
    seed: int = 0,
    summary: Annotated[bool, typer.Option("--summary", help="Of --out; run nothing.")] = False,
) -> None:
    """Give mutants to the proof."""
    if summary:
        rows = json.loads(out.read_text())["verdicts"]
        typer.echo(summarize([Verdict(**row) for row in rows]))
        return
    names = _chosen(backends, list(BACKENDS), "backend")
    wanted = _chosen(networks, list(NETWORKS), "network")
    verdicts = run(out, wanted, names, nodes, sample, seed)
    versions = {name: engines.load(name).describe()["version"] for name in names}
    save(out, verdicts, {"nodes": nodes, "seed": seed, **versions})
    typer.echo(summarize(verdicts))


if __name__ == "__main__":
    typer.run(main)
