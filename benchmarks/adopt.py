"""Networks of other code bases, adopted: which can be, how exactly, what the others lack.

    python benchmarks/adopt.py                                      # all of torchvision's, forward
    python benchmarks/adopt.py --code-base timm,mindcv --only 'res*'
    python benchmarks/adopt.py --level training --only 'regnet*'    # steps of their module as well
    python benchmarks/adopt.py --page                               # the table of docs/adopting.md

Random weights and statistics; images of 64×64, or of the smallest size that a network admits.
``errors`` are of the logits in evaluation mode, of the largest that the network's own code makes.
``proof`` is `zoo.parity` with the user's module at the table, at the level that was asked for.
Writes ``benchmarks/results/adopt.json`` a network at a time: a run that was ended goes on.
"""

from __future__ import annotations

import fnmatch
import gc
import json
import re
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from adopted import networks, table
from adopted.networks import LARGEST, Network
from pages import DOCS, Check, filled, settle
from recording import RESULTS, console, machine, save

import backends
import zoo

OUT = RESULTS / "adopt.json"
LIBRARIES = ["torch", "torchvision", "timm", "mindspore", "mindcv", "onnxruntime", "openvino"]
RUN_TIMES = ("onnx", "openvino")
SHOWN = 3
"""Of what is refused for another reason than a function: of arrays that are shared."""


def main(
    code_base: Annotated[
        str, typer.Option(help="torchvision, timm, mindcv, onnx, by comma.")
    ] = "torchvision",
    only: Annotated[str, typer.Option(help="Shell-style pattern.")] = "*",
    where: Annotated[
        str, typer.Option("--backends", help="By comma.")
    ] = "torch,mindspore,onnx,openvino",
    level: Annotated[str, typer.Option(help="forward, gradients or training.")] = "forward",
    again: Annotated[bool, typer.Option("--again", help="Also what is there.")] = False,
    page: Annotated[bool, typer.Option("--page", help="Write the table instead.")] = False,
    check: Check = False,
) -> None:
    """Adopt networks and compare them with their own code."""
    if page or check:
        sections = {"adopted": table.of(json.loads(OUT.read_text())["networks"])}
        settle(DOCS / "adopting.md", filled(DOCS / "adopting.md", sections), check)
        return
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for base in code_base.split(","):
            for network in _networks(base, Path(folder), only):
                if fnmatch.fnmatch(network.name, only):
                    _try(network, where.split(","), level, again)
                    gc.collect()


def _networks(base: str, folder: Path, only: str) -> Iterator[Network]:
    makers = {
        "torchvision": networks.torchvision_networks,
        "timm": lambda: networks.timm_networks(only),
        "mindcv": networks.mindcv_networks,
        "onnx": lambda: networks.onnx_networks(folder),
    }
    if base not in makers:
        raise typer.BadParameter(f"--code-base (={base}) must be one of {', '.join(makers)}")
    return makers[base]()


def _try(network: Network, names: list[str], level: str, again: bool) -> None:
    found: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() else {"networks": {}}
    key = f"{network.code_base}: {network.name}"
    row = {} if again else found["networks"].get(key, {})
    left = [name for name in names if name not in row.get("errors", {})]
    proven = level == "forward" or row.get("proof", {}).get("level") == level
    if "errors" in row and proven and (not left or network.parameters > LARGEST):
        return
    row = {k: v for k, v in row.items() if k not in ("refused", "failed")}
    row |= _adopted(network, left, None if proven else level)
    if "refused" not in row and "failed" not in row:
        row["errors"] = found["networks"].get(key, {}).get("errors", {}) | row["errors"]
    # Others may have written in the meantime.
    found = json.loads(OUT.read_text()) if OUT.exists() else {"networks": {}}
    found["networks"][key] = row
    found["networks"] = dict(sorted(found["networks"].items()))
    found["machine"] = machine(LIBRARIES)
    save(OUT, found)
    console.print(f"{key}: {row}", markup=False)


def _adopted(network: Network, names: list[str], level: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "code_base": network.code_base,
        "module": network.module,
        "parameters": network.parameters,
    }
    source = network.make()
    try:
        x, wanted = _own(network, source)
    except Exception as error:  # whatever their code raises
        return row | {"failed": f"{type(error).__name__}: {error}"[:200]}
    begun = time.perf_counter()
    try:
        net = zoo.adopt(source, example=x)
    except zoo.ZooError as error:
        return row | {"refused": _missing(error)}
    row |= {"seconds": round(time.perf_counter() - begun, 1), "nodes": len(net.graph.nodes)}
    row |= {"size": x.shape[-1], "spec": net.spec.label, "errors": {}}
    large = network.parameters > LARGEST
    for backend in names[:1] if large else names:
        try:
            model: Any = zoo.create(net, backend=backend)  # type: ignore[call-overload]
            (logits, *_) = backends.backend_of(model).predict(model, x)
        except zoo.ZooError as error:
            row["errors"][backend] = str(error).splitlines()[0][:200]
            continue
        row["errors"][backend] = float(np.abs(logits - wanted).max() / np.abs(wanted).max())
        del model
    if level and not large and not isinstance(source, Path):
        row["proof"] = _proof(network, source, x.shape[-1], level)
    return row


def _own(network: Network, source: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return images of the first size that a network admits, and what its own code makes of them.

    Raises:
        Exception: whatever it raises for the last of the sizes.
    """
    for size in network.sizes:
        x = np.random.default_rng(0).standard_normal((2, 3, size, size)).astype(np.float32)
        try:
            return x, network.runs(source, x)
        except Exception:  # too small, mostly
            if size == network.sizes[-1]:
                raise
    raise AssertionError


def _missing(error: zoo.ZooError) -> list[str]:
    """Return what was refused, each kind once, with the first place that has it."""
    places: dict[str, list[str]] = {}
    for problem in getattr(error, "problems", ()) or [str(error).splitlines()[0]]:
        told = re.sub(r"\S*/(\w+\.onnx)", r"\1", problem)  # in a folder that is gone
        found = re.fullmatch(r"(.*? \(\S+:\d+\)): (.*)", told)
        place, what = found.groups() if found else ("", told)
        places.setdefault(what.removesuffix(" is no operator of the zoo"), []).append(place)
    kinds = []
    for what, where in places.items():
        more = f" and {len(where) - 1} more" if len(where) > 1 else ""
        kinds += [f"{what[:160]}: {where[0]}{more}"] if where[0] else []
    rest = [what[:160] for what, where in places.items() if not where[0]]
    return kinds + rest[:SHOWN] + [f"… and {len(rest) - SHOWN} more"] * (len(rest) > SHOWN)


def _proof(network: Network, source: Any, smallest: int, level: str) -> dict[str, Any]:
    """Return what a proof with the original at the table found.

    Of small images a layer may see too little for a mistake in it to show: the proof says so, and
    the next larger ones are taken.
    """
    for size in network.sizes[network.sizes.index(smallest) :]:
        net = zoo.adopt(source, example=(2, 3, size, size))
        last = size == network.sizes[-1]
        if last or not zoo.parity(net, backends=["numpy"], level="forward").gaps:  # in seconds
            found = _proven(net, level) | {"size": size}
            if "not proven" not in found["status"] and "cannot run" not in found["status"]:
                break
    return found


def _proven(net: zoo.Adopted, level: str) -> dict[str, Any]:
    begun = time.perf_counter()
    try:
        report = zoo.parity(net, backends=["original", "torch", "mindspore"], level=level)  # type: ignore[arg-type]
    except zoo.ZooError as error:
        return {"level": level, "status": f"refused: {error}"[:200]}
    errors: dict[str, dict[str, float]] = {}
    for f in report.findings:
        worst = errors.setdefault(f"{f.level}: {f.measure}", {})
        worst[f.backend.split()[0]] = f.error
    failed = report.failures[0] if report.failures else None
    status = "passed" if report.passed else failed.told() if failed else report.summary()
    seconds = round(time.perf_counter() - begun, 1)
    return {"level": level, "status": status[:200], "seconds": seconds, "errors": errors}


if __name__ == "__main__":
    typer.run(main)
