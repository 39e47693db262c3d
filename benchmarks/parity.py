"""Parity of every network at every level, native and split: the errors behind the tolerances.

    python benchmarks/parity.py                       # the whole catalog, an hour
    python benchmarks/parity.py --pattern '*cifar'    # some of it; the others' results are kept
    python benchmarks/parity.py --seeds 1,2,3         # other work: are there false alarms?
    python benchmarks/parity.py --small --missing     # what has no results yet, on small images

Writes ``benchmarks/results/parity.json`` network by network, so that it can be taken up again where
it was stopped (``--missing``); ``benchmarks/parity_page.py`` makes the tables of docs/parity.md of
it. The split form is proven where it is another one: where a network has group convolutions; the
form for inference up to the forward level, on the run-times too. SE-ShuffleNet V2-164 (133 million
parameters) is proven on small images, see LARGE; that takes 14 GB.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from recording import RESULTS, save

import zoo
from zoo.passes import split_group_conv

FRAMEWORKS = ("torch", "mindspore")
RUNTIMES = ("onnx", "openvino")
SMALL = (64, 96, 128, 160, 192)
LARGE = {"se_shufflenet_v2_164": {"image_size": 64, "images": 16}}
"""What a machine with 16 GiB can do. A batch norm of the last stage sees one value an image there:
of eight, it makes so much of rounding that one float32 run may differ from four others."""


def main(
    pattern: Annotated[str, typer.Option(help="Shell-style patterns of names, by comma.")] = "*",
    what: Annotated[
        str, typer.Option(help="levels (of the frameworks), inference, or both, by comma.")
    ] = "levels,inference",
    forms: Annotated[str, typer.Option(help="native, split, or both, by comma.")] = "native,split",
    seeds: Annotated[str, typer.Option(help="Of the work, by comma.")] = "0",
    size: Annotated[int | None, typer.Option(help="Other than the nominal image size.")] = None,
    small: Annotated[
        bool, typer.Option("--small", help="The smallest images on which every mistake shows.")
    ] = False,
    level: Annotated[str, typer.Option(help="Of the frameworks, up to which.")] = "training",
    missing: Annotated[bool, typer.Option("--missing", help="Only what has no results.")] = False,
    out: Annotated[Path, typer.Option(help="Where the results go.")] = RESULTS / "parity.json",
) -> None:
    """Run every proof and write down its errors."""
    wanted = [int(seed) for seed in seeds.split(",")]
    passed = True
    names = {name for one in pattern.split(",") for name in zoo.list_models(one)}
    for name in sorted(names, key=lambda name: zoo.cost(name).macs):
        for form, options in proofs(name, what.split(","), forms.split(","), level):
            held = read(out)["rows"] if out.exists() else []
            done = {key(row)[: 4 if small else 5] for row in held}
            asked = () if small else (size,)
            left = [
                seed
                for seed in wanted
                if not missing
                or not all((name, form, b, seed, *asked) in done for b in options["backends"])
            ]
            with kept(options["backends"]):
                for seed in left:
                    sizes = without_gaps(name) if small else iter((size,))
                    passed = prove(name, form, options, seed, sizes, out) and passed
    if not passed:
        raise typer.Exit(1)


def without_gaps(name: str) -> Iterator[int | None]:
    """Yield sizes whose values show every mistake (NumPy tells in seconds), then the nominal."""
    for size in SMALL:
        if size < zoo.spec(name).image_size:
            report = zoo.parity(name, backends=["numpy"], level="forward", image_size=size)
            if not report.gaps:
                yield size
    yield None


def prove(
    name: str,
    form: str,
    options: dict[str, Any],
    seed: int,
    sizes: Iterator[int | None],
    out: Path,
) -> bool:
    """Run one proof and add its rows to the results; return whether it passed.

    It is the one at the first size whose gradients show every mistake too.
    """
    for size in sizes:
        large = dict(LARGE.get(name, {}))
        if size is not None:
            large["image_size"] = size
        if count := large.pop("images", None):
            shape = (count, 3, large["image_size"], large["image_size"])
            large["images"] = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
        report = zoo.parity(name, seed=seed, **options, **large)
        typer.echo(f"seed {seed}, {form}: {report.summary()}")
        if not report.gaps:
            break
    record(name, form, seed, size, report, out)
    return report.passed


def record(
    name: str, form: str, seed: int, size: int | None, report: zoo.ParityReport, out: Path
) -> None:
    """Add the rows of one proof to the results."""
    rows = [
        {
            "model": name,
            "group_conv": form,
            "backend": f.backend.split()[0],
            "seed": seed,
            "size": size,
            "level": f.level,
            "measure": f.measure,
            "error": f.error,
            "admitted": f.tolerance,
            "power": f.power,
            "floor": f.floor,
            "status": f.status,
            "diverges_at": f.diverges_at,
        }
        for f in report.findings
    ]
    made_with = dict(report.made_with)
    for field in ("images", "group_conv", "levels", "optimize", "seed"):
        made_with.pop(field, None)
    before = read(out) if out.exists() else {"made_with": {}, "rows": []}
    new = {key(row) for row in rows}
    rows += [row for row in before["rows"] if key(row) not in new]
    rows.sort(key=order)
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    made = json.dumps(before["made_with"] | made_with)
    save(out, f'{{"made_with": {made},\n "rows": [\n{lines}\n ]}}\n')


def order(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what rows are sorted by; those of one proof keep their order."""
    late = row["backend"] in RUNTIMES
    return row["model"], row["group_conv"], late, row["seed"], row["size"] or 0


def read(file: Path) -> dict[str, Any]:
    """Return results: what they were made with, and the rows."""
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a row is about; ``group_conv`` is ``"optimized"`` for the form for inference.

    The findings about the reference itself are replaced with those of the network.
    """
    return row["model"], row["group_conv"], row["backend"], row["seed"], row["size"]


def kept(backends: tuple[str, ...]) -> contextlib.AbstractContextManager[None]:
    """Let MindSpore keep what it compiled from seed to seed."""
    if "mindspore" not in backends:
        return contextlib.nullcontext()
    from backends.mindspore.run import keep_compiled

    return keep_compiled()


def proofs(
    name: str, what: list[str], forms: list[str], level: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (form, options) of each proof of a network."""
    graph = zoo.spec(name).graph
    other = split_group_conv(graph)[0] != graph
    for form in forms if other else forms[:1]:
        if "levels" in what:
            yield form, {"backends": FRAMEWORKS, "group_conv": form, "level": level}
        if "inference" in what:
            yield form, {"backends": RUNTIMES, "group_conv": form}
    if "inference" in what:
        yield "optimized", {"backends": (*FRAMEWORKS, *RUNTIMES), "optimize": True}


if __name__ == "__main__":
    typer.run(main)
