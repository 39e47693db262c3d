"""Port: a network from elsewhere as a folder of source, weights and proof."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import backends
import weights as arrays
from zoo.adopting import Adopted, adopt
from zoo.blocks.names import camel
from zoo.errors import AdoptionError, ZooError
from zoo.models import create, save
from zoo.output import Progress, write
from zoo.proof.prove import parity
from zoo.proof.report import ParityReport
from zoo.sources import write_source

SUFFIXES = {"torch": ".pth", "mindspore": ".ckpt"}
"""Framework → the suffix of its own files of weights."""

README = """\
# {name}

{name} in {framework}, ported by parity-zoo from {origin}.

- `{source}`: the network as plain {framework} code, which needs nothing else; run it to check it.
- `{weights}`: its weights, under the names that this code gives them. {loading}
- `parity.json`, `parity.png`: the proof.

{summary}

With the weights in the file, on {images} random images, the logits are within {error:.1e} of the
original's (of the largest).
{notes}"""

LOADING = {
    "torch": '`model.load_state_dict(torch.load("{weights}"))` loads them.',
    "mindspore": (
        '`mindspore.load_param_into_net(model, mindspore.load_checkpoint("{weights}"))` loads them.'
    ),
}


@dataclass(frozen=True)
class Port:
    """What `port` wrote.

    Attributes:
        folder: where.
        report: the proof.
        error: of the logits with the network's own weights, of the largest.
    """

    folder: Path
    report: ParityReport
    error: float


def named(text: str, options: Mapping[str, Any]) -> Any:
    """Return the network that ``package.module:name`` makes; its code is run.

    Args:
        text: where a function or class is.
        options: what it is called with.

    Raises:
        AdoptionError: there is no such thing, or it does not make what it should.
    """
    module, colon, name = text.partition(":")
    if not colon or not name:
        raise AdoptionError(f"{text!r} must be like torchvision.models:resnet50")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return found(**options)
    except Exception as error:  # whatever the user's code raises
        raise AdoptionError(f"{text}: {type(error).__name__}: {error}") from error


def port(
    network: Any,
    out: str | Path,
    *,
    to: str = "torch",
    example: Any = (2, 3, 224, 224),
    weights: str | Path | None = None,
    level: str = "training",
    force: bool = False,
    progress: Progress | None = None,
) -> Port:
    """Write a network of another code base, or framework, as source, weights and proof.

    Args:
        network: what `adopt` takes, or returned.
        out: a folder, which is made.
        to: ``"torch"`` or ``"mindspore"``.
        example: as for `adopt`.
        weights: a file of the network's own code base, instead of the weights that it has.
        level: of the proof against the original, see `parity`.
        force: replace what is there.
        progress: told of every step.

    Raises:
        ZooError: as `adopt`, `load_weights`, `write_source`, `save`.
    """
    if to not in SUFFIXES:
        backends.editable(to)
    net = network if isinstance(network, Adopted) else adopt(network, example=example)
    held = dict(net.weights)
    if weights is not None:
        held = dict(arrays.load_weights(weights, model=net.spec))
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    called = "".join(c for c in camel(net.model) if c.isalnum() or c == "_") or "Network"
    source, file = f"{called.lower()}.py", f"{called.lower()}{SUFFIXES[to]}"
    write_source(net, folder / source, backend=to, force=force)
    model = create(net.spec, backend=to, weights=held)  # type: ignore[call-overload]
    save(model, folder / file, force=force)
    error = _error(net, model, held)
    report = parity(net, backends=["original", to], level=level, progress=progress)
    report.save(folder / "parity.json")
    report.plot(folder / "parity.png")
    notes = "".join(f"\n- {note}" for note in net.notes)
    text = README.format(
        name=net.model,
        framework={"torch": "PyTorch", "mindspore": "MindSpore"}[to],
        origin=f"the {net.format} {net.path}",
        source=source,
        weights=file,
        loading=LOADING[to].format(weights=file),
        summary=report.summary(),
        images=IMAGES,
        error=error,
        notes=f"\n{notes}\n" if notes else "",
    )
    write(folder / "README.md", text.encode())
    return Port(folder, report, error)


IMAGES = 4


def _error(net: Adopted, model: Any, held: Mapping[str, np.ndarray]) -> float:
    """Return how far a model's logits are from the original's under the same weights."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((IMAGES, *net.graph.input_shape[1:])).astype(np.float32)
    if net.original is None:
        raise ZooError("only what was adopted from a live module is ported")
    _, reader = backends.way_in(net.original)
    theirs = reader.original(net.original, net.theirs)
    values, _ = theirs.forward(net.graph, dict(held), images, training=False, dtype="float32")
    exact = values[net.graph.outputs[0]]
    (found,) = backends.backend_of(model).predict(model, images)
    return float(np.abs(found - exact).max() / np.abs(exact).max())
