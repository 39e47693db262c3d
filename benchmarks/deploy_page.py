"""The tables and charts of docs/performance.md that tell what deploy.py and ceilings.py measured.

    python benchmarks/deploy_page.py          # writes them
    python benchmarks/deploy_page.py --check  # fails if they are not what it would write

What stands between the markers in docs/performance.md is replaced; the charts go to docs/charts/.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from deploy_charts import CHARTS, digest, is_drawn
from engines.base import BATCHES
from engines.deploy import ENGINES
from pages import DOCS, Check, filled, settle
from recording import RESULTS, spread

Row = dict[str, Any]


def main(
    check: Check = False,
    results: Annotated[Path, typer.Option(help="Of deploy.py.")] = RESULTS / "deploy.json",
    ceilings: Annotated[Path, typer.Option(help="Of ceilings.py.")] = RESULTS / "ceilings.json",
    page: Annotated[Path, typer.Option(help="With the markers.")] = DOCS / "performance.md",
    charts: Annotated[Path, typer.Option(help="The folder of the charts.")] = DOCS / "charts",
) -> None:
    """Write the tables and charts, or tell whether they are up to date."""
    measured = json.loads(results.read_text())
    bounds = json.loads(ceilings.read_text()) if ceilings.exists() else None
    settle(page, filled(page, {"deploy": text(measured, bounds).rstrip("\n")}), check)
    if not check:
        charts.mkdir(parents=True, exist_ok=True)
        for name, draw in CHARTS.items():
            draw(measured, charts / name)
    elif old := [name for name in CHARTS if not is_drawn(charts / name, digest(measured))]:
        typer.echo(f"not what {Path(__file__).name} draws: {', '.join(old)}; run it", err=True)
        raise typer.Exit(1)


def text(measured: Row, bounds: Row | None) -> str:
    """Return what stands between the markers."""
    parts = [
        _conditions(measured),
        "### What was wanted\n\n" + _wanted(measured),
        "![ratios and what was wanted](charts/deploy-ratios.svg)\n",
        *(
            f"### All engines, batch {batch}\n\n{_engines(measured, batch)}\n"
            f"![times at batch {batch}](charts/deploy-batch-{batch}.svg)\n"
            for batch in BATCHES
        ),
        "### In one run-time\n\n" + _others(measured),
    ]
    if bounds is not None:
        parts.append("### What this processor admits\n\n" + _bounds(measured, bounds))
    if left := _left(measured):
        parts.append("### Not measured\n\n" + left)
    return "\n".join(parts)


def _conditions(measured: Row) -> str:
    settings, machine = measured["settings"], measured["machine"]
    height, width = settings["image_size"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items() if v)
    vectors = "AVX-512" if any(f.startswith("avx512") for f in machine["isa"]) else "no AVX-512"
    matrices = ", AMX" if any(f.startswith("amx") for f in machine["isa"]) else ""
    return (
        f"{width}×{height}, {settings['dtype']}, {settings['threads']} threads; {machine['cpu']} "
        f"({vectors}{matrices}), {machine['system']}, Python {machine['python']}; {versions}. "
        f"{settings['launches']} launches of the finalists, {settings['rounds_per_launch']} rounds "
        f"each. All engines of a network have the peer's weights, and all logits were within "
        f"{settings['tolerance']:g} of the largest of the peer's own.\n"
    )


def _table(header: list[str], rows: list[list[str]], right: int = 0) -> str:
    """Return a Markdown table whose last ``right`` columns are numbers."""
    rules = ["---"] * (len(header) - right) + ["---:"] * right
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, rules, *rows))


def _wanted(measured: Row) -> str:
    rows = [
        [f"`{model}`", row["about"], str(row["batch"]), _names(row), _ratio(row), _verdict(row)]
        for model, results in measured["models"].items()
        for row in results["comparisons"]
        if "target" in row
    ]
    header = ["network", "", "batch", "engines", "ratio (smallest–largest)", "wanted"]
    return _table(header, rows)


def _names(row: Row) -> str:
    return f"`{row['engine']}` over `{row['base']}`"


def _ratio(row: Row) -> str:
    disturbed = "" if row["quiet_rounds"] else ", disturbed"
    return f"**{row['ratio']:.2f}** ({spread(row)}{disturbed})"


def _verdict(row: Row) -> str:
    aim = f", aim {row['aim']:g}" if "aim" in row else ""
    distance = row["distance_percent"]
    told = f"{distance:+.0f} %" if row["passed"] else f"**missed by {-distance:.1f} %**"
    return f"≥ {row['target']:g}{aim}: {told}"


def _engines(measured: Row, batch: int) -> str:
    """Return milliseconds a call of every engine; those of the fastest of each side are bold."""
    models = measured["models"]
    best = {
        (model, side): min(times)
        for model, results in models.items()
        for side in ("zoo", "peer")
        if (times := list(_times(results, side, batch).values()))
    }
    rows = []
    for name, engine in ENGINES.items():
        cells = []
        for model, results in models.items():
            time = results["engines"].get(name, {}).get("milliseconds", {}).get(str(batch))
            cell = "" if time is None else f"{time:.1f}"
            cells.append(f"**{cell}**" if time == best.get((model, engine.side), -1) else cell)
        if any(cells):
            rows.append([f"`{name}`", engine.about, *cells])
    header = ["ms", "", *(f"`{model.removeprefix('shufflenet_')}`" for model in models)]
    return _table(header, rows, right=len(models))


def _times(results: Row, side: str, batch: int) -> dict[str, float]:
    """Return engine → milliseconds a call, of those that compute the PyTorch peer's function."""
    return {
        name: engine["milliseconds"][str(batch)]
        for name, engine in results["engines"].items()
        if engine["side"] == side and engine["function"] == "peer"
        if str(batch) in engine["milliseconds"]
    }


def _others(measured: Row) -> str:
    models = measured["models"]
    found: dict[tuple[str, int], dict[str, str]] = {}
    for model, results in models.items():
        for row in results["comparisons"]:
            if "target" not in row:
                cell = f"{row['ratio']:.2f} ({spread(row)})"
                found.setdefault((row["about"], row["batch"]), {})[model] = cell
    rows = [
        [about, str(batch), *(cells.get(model, "") for model in models)]
        for (about, batch), cells in found.items()
    ]
    header = ["", "batch", *(f"`{model.removeprefix('shufflenet_')}`" for model in models)]
    return _table(header, rows, right=len(models))


def _bounds(measured: Row, bounds: Row) -> str:
    peak = max(bounds["gmacs_per_second"].values())
    copies = {int(size): rate for size, rate in bounds["copy_gbytes_per_second"].items()}
    rows = []
    for model, results in measured["models"].items():
        if model not in bounds["models"]:
            continue
        for batch in BATCHES:
            bound = bounds["models"][model][f"batch_{batch}"]
            times = _times(results, "zoo", batch)
            if not times:
                continue
            name = min(times, key=lambda engine: times[engine])
            share = 100 * bound["arithmetic_ms"] / times[name]
            cells = (bound["arithmetic_ms"], bound["layers_ms"], times[name])
            rows.append(
                [
                    f"`{model}`",
                    f"`{name}`",
                    str(batch),
                    *(f"{c:.1f}" for c in cells),
                    f"{share:.0f} %",
                ]
            )
    header = ["network", "our fastest", "batch", "arithmetic, ms", "by layers, ms", "measured, ms"]
    near, far = min(copies), max(copies)
    return (
        f"At most {peak:.0f} G multiply-adds/s (matrix products), and copies of "
        f"{near / 2**20:g} MiB at {copies[near]:.0f}, of {far / 2**20:g} MiB at "
        f"{copies[far]:.0f} GB/s read and written. The last column is the part of that arithmetic "
        "that is reached; `benchmarks/ceilings.py` says how the bounds are counted.\n\n"
        + _table([*header, "of the arithmetic"], rows, right=4)
    )


def _left(measured: Row) -> str:
    return "".join(
        f"* `{name}` of `{model}` {what}: {reason}\n"
        for model, results in measured["models"].items()
        for what in ("skipped", "failed")
        for name, reason in results[what].items()
    )


if __name__ == "__main__":
    typer.run(main)
