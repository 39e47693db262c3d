"""Networks as files of plain PyTorch or MindSpore, for those who want the code and not the zoo."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import backends
from weights import Checkpoint
from zoo import families
from zoo.arch import Graph, Spec
from zoo.blocks import write
from zoo.errors import ZooError
from zoo.live import graph_of
from zoo.loading import Network, opened
from zoo.output import require_writable
from zoo.output import write as write_file


def write_source(
    model: Any,
    path: str | Path,
    *,
    backend: str | None = None,
    force: bool = False,
    **overrides: Any,
) -> Path:
    """Write a network as a file of Python that needs its framework and nothing else.

    It is the code that `create` runs: the same names of parameters, so that converted checkpoints
    load strictly, and the same bits. What `adopt` returned is written under the names of its own
    code base, whose checkpoints load. Run as a program it builds the network and checks its number
    of parameters and the shapes of its outputs.

    Args:
        model: whatever `create` takes, or a live model that it made (a part of a network and the
            form for inference are written as they are).
        path: the destination, ``.py``.
        backend: ``"torch"`` or ``"mindspore"``; by default a live model's own, else ``"torch"``.
        force: replace an existing file.
        **overrides: fields of the spec, see `spec`; of what `adopt` returned ``num_classes``,
            ``in_channels`` and ``image_size``. (Its ``spec`` is written under our names, if it was
            recognized, with any field.)

    Returns:
        The path.

    Raises:
        UnknownNameError: the model, backend or override does not exist.
        OutputError: the file exists or cannot be written.
        WeightsError: a live model has other layers than it was made with; they are named.
    """
    path = Path(path)
    require_writable(path, ".py", force)
    text = source(model, backend=backend, **overrides)
    write_file(path, text.encode(), force=force)
    return path


def source(model: Any, *, backend: str | None = None, **overrides: Any) -> str:
    """Return what `write_source` writes."""
    graph, backend = _graph(model, backend, overrides)
    written = write(graph, backends.editable(backend).IDIOMS)
    if written.given:
        raise ZooError(f"{written.given[0][0]}: an operator that has no spelling as code")
    return f'"""{_title(graph, backend)}"""\n\n{written.alone}'


def _graph(model: Any, backend: str | None, overrides: dict[str, Any]) -> tuple[Graph, str]:
    if isinstance(model, Network):
        meant = opened(model)
        meant = meant.as_read if isinstance(meant, Checkpoint) else meant
        return families.spec(meant, **overrides).graph, backend or "torch"
    own = backends.name_of(backends.backend_of(model))
    if overrides:
        raise ZooError(f"{sorted(overrides)[0]} cannot be changed in a live model")
    return graph_of(model), backend or own


def _title(graph: Graph, backend: str) -> str:
    spec = graph.origin
    name = families.model_name(spec) if isinstance(spec, Spec) else "A network"
    framework = {"torch": "PyTorch", "mindspore": "MindSpore"}[backend]
    line = (
        "Checkpoints that have its names of parameters load as they are. "
        f"Images are (N, {graph.in_channels}, H, W), {graph.image_size[0]}x{graph.image_size[1]} "
        "nominally."
    )
    about = textwrap.fill(line, 88)
    return f"{name} in {framework}, written by parity-zoo.\n\n{about}\n"
