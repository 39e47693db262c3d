"""``zoo adopt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.cli.options import Example, Foreign, Overrides, TheirWeights, parse, shape_of


def adopt(
    source: Foreign,
    out: Annotated[
        Path, typer.Option(help="The file to write: .safetensors or .zoo, .pth, .ckpt, .npz.")
    ],
    example: Example = None,
    weights: TheirWeights = None,
    name: Annotated[str | None, typer.Option(help="What to call the network.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    changes: Overrides = None,
) -> None:
    """Read a network of other code as one of ours, into a file that stands wherever a name does.

    --set gives arguments of what makes the network.
    """
    from weights import formats
    from zoo import adopting
    from zoo.files import require_free
    from zoo.models import save

    formats.format_of(out)
    require_free(out, force)
    options = parse(changes, of_recipe=True)
    net = adopting.opened(source, options, example=example and shape_of(example), name=name)
    if weights is not None:
        net = adopting.with_weights(net, weights)
    save(net, out, force=force)
    typer.echo(net.summary())
    typer.echo(f"{out}: written; zoo parity {out} proves it")
