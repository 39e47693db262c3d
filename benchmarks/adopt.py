"""Networks of other code bases, adopted: which can be, how exactly, what the others lack.

    python benchmarks/adopt.py                                # all of torchvision's classifiers
    python benchmarks/adopt.py --only 'resnet*' --backends torch,mindspore,onnx,openvino
    python benchmarks/adopt.py --page                         # the table of docs/adopting.md

Random weights and statistics; images of 64×64, or of the smallest size that the network admits. The
error is of the logits, in evaluation mode, of the largest of the network's own. Writes
``benchmarks/results/adopt.json`` a network at a time: a run that was ended goes on.
"""

from __future__ import annotations

import fnmatch
import json
import re
import time
import warnings
from typing import Annotated, Any

import numpy as np
import typer
from pages import DOCS, Check, filled, settle
from recording import RESULTS, console, machine, save

OUT = RESULTS / "adopt.json"
SIZES = {"inception_v3": 96, "maxvit_t": 224, "vit_b_16": 224, "vit_b_32": 224, "vit_l_16": 224,
         "vit_l_32": 224, "vit_h_14": 224}  # fmt: skip
LARGEST = 90e6
"""Parameters; larger networks are left out."""


def main(
    only: Annotated[str, typer.Option(help="Shell-style pattern.")] = "*",
    backends: Annotated[str, typer.Option(help="Comma-separated.")] = "torch,onnx,openvino",
    again: Annotated[bool, typer.Option("--again", help="Also what is there.")] = False,
    page: Annotated[bool, typer.Option("--page", help="Write the table instead.")] = False,
    check: Check = False,
) -> None:
    """Adopt networks and compare them with their own code."""
    import torchvision

    if page or check:
        settle(DOCS / "adopting.md", filled(DOCS / "adopting.md", {"adopted": table()}), check)
        return
    found: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() else {"networks": {}}
    for name in fnmatch.filter(torchvision.models.list_models(module=torchvision.models), only):
        rows = found["networks"]
        if name in rows and not again and rows[name].get("backends") != []:
            continue
        row = _adopted(getattr(torchvision.models, name), name, backends.split(","))
        rows[name] = row
        found["machine"] = machine(["torch", "torchvision", "mindspore", "onnxruntime", "openvino"])
        save(OUT, found)
        console.print(f"{name}: {row}")


def _adopted(make: Any, name: str, names: list[str]) -> dict[str, Any]:
    import torch

    import backends
    import zoo

    with torch.device("meta"):
        count = sum(p.numel() for p in make(weights=None).parameters())
    row: dict[str, Any] = {"code_base": "torchvision", "parameters": count}
    if count > LARGEST:
        return row | {"left_out": f"more than {LARGEST / 1e6:.0f}M parameters"}
    warnings.simplefilter("ignore")
    module = randomized(make(weights=None)).eval()
    size = SIZES.get(name, 64)
    x = np.random.default_rng(0).standard_normal((2, 3, size, size)).astype(np.float32)
    begun = time.perf_counter()
    try:
        net = zoo.adopt(module, example=x)
    except zoo.ZooError as error:
        kinds = re.findall(r"(\w+) is no operator", str(error)) or [str(error).splitlines()[-1]]
        return row | {"refused": sorted(set(kinds))}
    row |= {"seconds": round(time.perf_counter() - begun, 1), "nodes": len(net.graph.nodes)}
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).numpy()
    errors = {}
    for backend in names:
        model: Any = zoo.create(net, backend=backend)  # type: ignore[call-overload]
        (logits,) = backends.backend_of(model).predict(model, x)
        errors[backend] = float(np.abs(logits - wanted).max() / np.abs(wanted).max())
    return row | {"size": size, "errors": errors}


def randomized(module: Any, seed: int = 0) -> Any:
    """Return a module with statistics and biases that would show if they were left out."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=draw)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(0, 0.3, generator=draw)
    return module


def table() -> str:
    """Return what was tried: how many, the largest error of each backend, what others lack."""
    rows = json.loads(OUT.read_text())["networks"]
    done = {name: row for name, row in rows.items() if "errors" in row}
    lines = [
        f"Of torchvision's {len(rows)} classifiers {len(done)} were adopted; the largest error of "
        "the logits, of the largest of the network's own:",
        "",
        "| backend | networks | largest error |",
        "|---|---:|---:|",
    ]
    for backend in dict.fromkeys(b for row in done.values() for b in row["errors"]):
        errors = {n: row["errors"][backend] for n, row in done.items() if backend in row["errors"]}
        worst = max(errors, key=lambda name: errors[name])
        lines.append(f"| {backend} | {len(errors)} | {errors[worst]:.1e} (`{worst}`) |")
    lines += ["", "| not adopted | for want of |", "|---|---|"]
    for name, row in rows.items():
        if name not in done:
            why = row.get("left_out") or ", ".join(f"`{kind}`" for kind in row["refused"][:6])
            lines.append(f"| `{name}` | {why} |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
