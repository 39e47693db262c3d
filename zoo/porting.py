"""Port: a network from elsewhere as a folder of source, weights and proof."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import backends
from weights import Checkpoint
from zoo.adopting import adopt, with_weights
from zoo.blocks.names import camel
from zoo.models import create, save
from zoo.output import Progress, write
from zoo.proof.original import original_of
from zoo.proof.prove import parity
from zoo.proof.report import ParityReport
from zoo.sources import write_source

SUFFIXES = {"torch": ".pth", "mindspore": ".ckpt"}
"""Framework → the suffix of its own files of weights."""

README = """\
# {name}

{name} in {framework}, ported by parity-zoo from {origin}.

- `{source}`: the network as plain {framework} code, which needs nothing else; run it to check it.
- `{weights}`: its weights, under the names that it came with and that this code has. {loading}
- `parity.json`, `parity.png`: the proof.

{summary}

With the weights in the file, on {images} random images, the logits are within {error:.1e} of those
of {judge} (of the largest).
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
        error: of the logits with the network's own weights, of the largest: against the original,
            a file's in ONNX Runtime, or the float64 reference where there is neither.
        changed: arrays of the original that are no longer what they were when it was adopted.
    """

    folder: Path
    report: ParityReport
    error: float
    changed: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the port is proven to be what the original is."""
        return self.report.passed and not self.changed

    def summary(self) -> str:
        """Return what came of it; the first name where the two diverge, if they do."""
        lines = [f"with its own weights, logits within {self.error:.1e}"]
        if self.changed:
            rest = f" and {len(self.changed) - 1} more" if len(self.changed) > 1 else ""
            lines.append(f"diverges at {self.changed[0]}{rest}: changed since it was adopted")
        return "\n".join([*lines, self.report.summary()])


def port(
    network: Any,
    out: str | Path,
    *,
    to: str = "torch",
    example: Any = None,
    weights: str | Path | None = None,
    level: str = "training",
    force: bool = False,
    progress: Progress | None = None,
) -> Port:
    """Write a network of another code base, or framework, as source, weights and proof.

    Args:
        network: what `adopt` takes or returned, or `load_weights`.
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
    net = network if isinstance(network, Checkpoint) else adopt(network, example=example)
    if weights is not None:
        net = with_weights(net, weights)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    name, net = net.model, net.as_read
    called = "".join(c for c in camel(name) if c.isalnum() or c == "_") or "Network"
    source, file = f"{called.lower()}.py", f"{called.lower()}{SUFFIXES[to]}"
    write_source(net, folder / source, backend=to, force=force)
    model = create(net, backend=to)  # type: ignore[call-overload]
    save(model, folder / file, force=force)
    error, judge = _error(net, model, weights is None)
    changed = _changed(net) if weights is None else ()
    table = [to] if getattr(net, "original", None) is None else ["original", to]
    report = parity(net, backends=table, level=level, progress=progress)
    report.save(folder / "parity.json")
    report.plot(folder / "parity.png")
    done = Port(folder, report, error, changed)
    notes = "".join(f"\n- {note}" for note in net.notes)
    text = README.format(
        name=name,
        framework={"torch": "PyTorch", "mindspore": "MindSpore"}[to],
        origin=f"the {net.format} {net.path}",
        source=source,
        weights=file,
        loading=LOADING[to].format(weights=file),
        summary=done.summary(),
        images=IMAGES,
        error=error,
        judge=judge,
        notes=f"\n{notes}\n" if notes else "",
    )
    write(folder / "README.md", text.encode())
    return done


IMAGES = 4


def _changed(net: Checkpoint) -> tuple[str, ...]:
    """Return the arrays of the original that are others than those that were adopted."""
    if getattr(net, "original", None) is None:
        return ()
    now = original_of(net).get_parameters(net.original)  # type: ignore[attr-defined]
    return tuple(n for n, array in net.items() if n in now and not np.array_equal(now[n], array))


def _error(net: Checkpoint, model: Any, as_it_came: bool) -> tuple[float, str]:
    """Return how far a model's logits are from those of what it is a port of, and what that is."""
    rng = np.random.default_rng(0)
    graph = net.spec.graph
    images = rng.standard_normal((IMAGES, *graph.input_shape[1:])).astype(np.float32)
    original = getattr(net, "original", None)
    if original is not None:
        theirs, weights = original_of(net), dict(net.weights)
        if as_it_came:
            weights = theirs.get_parameters(original)
        values, _ = theirs.forward(graph, weights, images, training=False, dtype="float32")
        exact, judge = values[graph.outputs[0]], "the original"
    elif as_it_came and net.path.suffix.lower() == ".onnx":
        exact, judge = backends.exporter().File(net.path)(images), "the file in ONNX Runtime"
        exact = exact[0] if isinstance(exact, tuple) else exact
    else:
        (exact, *_) = backends.load("numpy").predict(create(net, backend="numpy"), images)
        judge = "the float64 reference"
    (found, *_) = backends.backend_of(model).predict(model, images)
    return float(np.abs(found - exact).max() / np.abs(exact).max()), judge
