"""Networks of other zoos beside ours: their code, live, on the weights that their files hold.

    python benchmarks/peers.py                                   # torchvision, timm and MindCV
    python benchmarks/peers.py --code-base mindcv --only 'regnet*'
    python benchmarks/peers.py --page                            # the table of docs/weights.md

Tried is every network of a code base whose name is one of the catalog's (or an alias), of a family
for which there is a dialect of it, up to 90M parameters: what is added to either is tried as well.

Each is made by its own code and adopted, which finds the network and its conventions without a
table of names. Random weights and statistics are written to a file under the code base's names, its
own code loads it strictly, runs it on images of 64×64 (or of the smallest size that is admitted)
and saves it; from that file the dialect reads the weights again, to the same bytes or not. Ours
runs in PyTorch, and in the code base's own framework. Writes
``benchmarks/results/peers.json`` a network at a time: a run that was ended goes on.
"""

from __future__ import annotations

import fnmatch
import gc
import json
import math
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from adopted import foreign
from adopted.networks import LARGEST, SIZES
from pages import DOCS, Check, filled, settle
from recording import RESULTS, console, machine, save

import backends
import weights
import zoo
from weights.dialects import Dialect, dialects
from zoo.arch import Spec

OUT = RESULTS / "peers.json"
LIBRARIES = ["torch", "torchvision", "timm", "mindspore", "mindcv"]


def main(
    code_base: Annotated[str, typer.Option(help="By comma.")] = "torchvision,timm,mindcv",
    only: Annotated[str, typer.Option(help="Shell-style pattern.")] = "*",
    again: Annotated[bool, typer.Option("--again", help="Also what is there.")] = False,
    page: Annotated[bool, typer.Option("--page", help="Write the table instead.")] = False,
    check: Check = False,
) -> None:
    """Run networks of other zoos beside ours."""
    if page or check:
        sections = {"peers": table(json.loads(OUT.read_text())["networks"])}
        settle(DOCS / "weights.md", filled(DOCS / "weights.md", sections), check)
        return
    warnings.simplefilter("ignore")
    chosen = [
        (spec, base, name)
        for base in code_base.split(",")
        for name, spec in known(base)
        if fnmatch.fnmatch(name, only) and parameters(spec) <= LARGEST
    ]
    for spec, base, name in sorted(chosen, key=lambda one: parameters(one[0])):
        key = f"{base}: {name}"
        if again or "errors" not in _rows()["networks"].get(key, {}):
            row = {"code_base": base, "parameters": parameters(spec)} | tried(base, name)
            found = _rows()  # others may have written in the meantime
            found["networks"] = dict(sorted((found["networks"] | {key: row}).items()))
            found["machine"] = machine(LIBRARIES)
            save(OUT, found)
            gc.collect()
            console.print(f"{key}: {row}", markup=False)


def _rows() -> dict[str, Any]:
    return json.loads(OUT.read_text()) if OUT.exists() else {"networks": {}}


def known(base: str) -> Iterator[tuple[str, Spec]]:
    """Yield the networks of a code base that are ours too, as their names say."""
    families = {dialect.family for dialect in of_code_base(base)}
    for name in foreign.CODE_BASES[base].names():
        try:
            spec = zoo.spec(name)
        except zoo.UnknownNameError:
            continue
        if spec.family in families:
            yield name, spec


def of_code_base(base: str) -> list[Dialect]:
    """Return its dialects: those called like it, or like it with more behind (``timm_tf``)."""
    return [d for d in dialects() if d.name == base or d.name.startswith(f"{base}_")]


def parameters(spec: Spec) -> int:
    """Return how many are trained."""
    return sum(math.prod(p.shape) for p in spec.graph.parameters.values() if p.trainable)


def tried(base: str, name: str) -> dict[str, Any]:
    """Return what became of a network beside ours; "failed" tells why it was not run."""
    begun = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            row = _beside(base, name, Path(folder))
    except Exception as error:  # whatever their code raises
        return {"failed": f"{type(error).__name__}: {error}"[:300]}
    return row | {"seconds": round(time.perf_counter() - begun, 1)}


def _beside(base: str, name: str, folder: Path) -> dict[str, Any]:
    peer = foreign.CODE_BASES[base]
    module = peer.make(name)
    x, net = _adopted(peer, module)
    spec: Spec = net.spec
    row = {
        "size": x.shape[-1], "network": net.model, "family": spec.family,
        "conventions": spec.preset_name,
    }  # fmt: skip
    if net.recognized is None:
        return row | {"failed": f"is not recognized: {' '.join(net.notes)[:300]}"}
    fitting = [d for d in of_code_base(base) if d.family == spec.family]
    (dialect, *_) = [d for d in fitting if _preset(d, spec) == spec.conventions] or fitting
    drawn = weights.randomize(spec.graph, 1)
    there, back = (folder / f"{way}{peer.suffix}" for way in ("there", "back"))
    weights.save_weights(there, spec, drawn, dialect=dialect.name)
    peer.read(module, there)
    wanted = peer.logits(module, x)
    peer.save(module, back)
    found = zoo.load_weights(back, model=spec)
    errors = {}
    for backend in dict.fromkeys(("torch", peer.backend)):
        model: Any = zoo.create(found.spec, weights=drawn, backend=backend)  # type: ignore[call-overload]
        (ours, *_) = backends.load(backend).predict(model, x)
        errors[backend] = float(np.abs(ours - wanted).max() / np.abs(wanted).max())
    same = all(drawn[key].tobytes() == array.tobytes() for key, array in found.items())
    return row | {
        "dialect": found.dialect,
        "equal_spec": (found.spec.conventions, found.model) == (spec.conventions, net.model),
        "errors": errors,
        "same_bytes": same and set(found) == set(drawn),
    }


def _preset(dialect: Dialect, spec: Spec) -> Any:
    name = dialect.preset(spec.repeats)
    return spec.presets[name] if name else None


def _adopted(peer: foreign.CodeBase, module: Any) -> tuple[np.ndarray, Any]:
    for size in SIZES:
        x = np.random.default_rng(0).standard_normal((2, 3, size, size)).astype(np.float32)
        try:
            _ = peer.logits(module, x)
        except Exception:  # too small
            if size == SIZES[-1]:
                raise
            continue
        return x, zoo.adopt(module, example=x)
    raise AssertionError


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows by code base and family, as Markdown."""
    lines = [
        "| code base | family | networks | recognized live | torch | MindSpore | same bytes |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    kinds = dict.fromkeys((row["code_base"], _family(key)) for key, row in rows.items())
    for base, family in sorted(kinds):
        own = [
            row for key, row in rows.items() if (row["code_base"], _family(key)) == (base, family)
        ]
        done = [row for row in own if "errors" in row]
        worst = " | ".join(_worst(done, backend) for backend in ("torch", "mindspore"))
        same = sum(row["same_bytes"] for row in done)
        lines.append(f"| {base} | {family} | {len(own)} | {len(done)} | {worst} | {same} |")
    failed = [f"- {key}: {row['failed']}" for key, row in rows.items() if "failed" in row]
    return "\n".join([*lines, *(["", *failed] if failed else [])])


def _worst(rows: list[dict[str, Any]], backend: str) -> str:
    errors = [row["errors"][backend] for row in rows if backend in row["errors"]]
    return f"{max(errors):.1e}" + f" ({len(errors)})" * (len(errors) < len(rows)) if errors else ""


def _family(key: str) -> str:
    return zoo.spec(key.partition(": ")[2]).family


if __name__ == "__main__":
    typer.run(main)
