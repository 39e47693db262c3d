"""The ``zoo`` command. Each subcommand imports what it needs: ``zoo list`` stays quick."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from zoo import arch
from zoo.commands.bench import bench
from zoo.commands.doctor import doctor
from zoo.commands.evaluate import evaluate
from zoo.commands.export import export
from zoo.commands.options import GroupConv, Name, Overrides, parse
from zoo.commands.predict import predict
from zoo.commands.quantize import quantize
from zoo.commands.report import report
from zoo.commands.source import source
from zoo.commands.train import recipes, train
from zoo.errors import ZooError, unknown

app = typer.Typer(
    help="Efficient vision networks, proven equal across frameworks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(help="Shell-style pattern.")] = "*",
    weights: Annotated[
        bool, typer.Option("--weights", help="List the published weights instead.")
    ] = False,
) -> None:
    """List the networks, or the published weights that `create` takes by name."""
    if weights:
        from zoo.filetable import print_pretrained

        print_pretrained(pattern)
        return
    names = arch.list_models(pattern)
    if not names:
        raise unknown("model", pattern, arch.list_models())
    typer.echo("\n".join(names))


@app.command()
def info(
    name: Name,
    size: Annotated[int | None, typer.Option(help="Height and width of the image.")] = None,
    depth: Annotated[int, typer.Option(help="Sum up names to so many parts; 0 for all.")] = 2,
    changes: Overrides = None,
    spec_json: Annotated[bool, typer.Option("--spec", help="Print the spec as JSON only.")] = False,
) -> None:
    """Show what a network is and costs: shapes, parameters, multiply-adds, memory."""
    from zoo import models, table

    wanted = arch.spec(name, **parse(changes))
    if spec_json:
        typer.echo(wanted.to_json())
        return
    table.print_info(name, wanted, models.cost(wanted, image_size=size), depth)


@app.command()
def convert(
    source: Annotated[
        str,
        typer.Argument(metavar="SRC", help="A file of any code base, or published weights."),
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DST", help="The suffix decides the format.")
    ],
    model: Annotated[str | None, typer.Option(help="The network, where SRC does not tell.")] = None,
    from_dialect: Annotated[
        str | None, typer.Option("--from", metavar="DIALECT", help="Whose names SRC has.")
    ] = None,
    to_dialect: Annotated[
        str | None,
        typer.Option("--to", metavar="DIALECT", help="Whose names to write, and conventions."),
    ] = None,
    conventions: Annotated[
        str | None, typer.Option(help="A preset to convert to, by permuting channels.")
    ] = None,
    changes: Overrides = None,
    entry: Annotated[str | None, typer.Option(help="Which set of arrays in SRC.")] = None,
    group_conv: GroupConv = "native",
    num_classes: Annotated[int | None, typer.Option(help="Start a new classifier.")] = None,
    in_channels: Annotated[int | None, typer.Option(help="Adapt the first convolution.")] = None,
    verify: Annotated[
        str, typer.Option(help="Backends that run the network before and after, or none.")
    ] = "numpy,numpy",
    seed: Annotated[int, typer.Option(help="Of a new classifier.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing DST.")] = False,
) -> None:
    """Convert weights between formats, code bases and conventions, and verify the result."""
    from zoo import conversion

    expected = None
    if model is not None or changes:
        if model is None:
            raise ZooError("--set changes the spec of --model, which is missing")
        expected = arch.spec(model, **parse(changes))
    done = conversion.convert(
        source,
        destination,
        model=expected,
        from_dialect=from_dialect,
        to_dialect=to_dialect,
        conventions=conventions,
        entry=entry,
        group_conv=group_conv,
        num_classes=num_classes,
        in_channels=in_channels,
        seed=seed,
        verify=None if verify == "none" else [part.strip() for part in verify.split(",")],
        force=force,
    )
    from zoo.text import visible

    typer.echo(visible(done.summary()))


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A file of weights.")],
    entry: Annotated[str | None, typer.Option(help="Which set of arrays in the file.")] = None,
    depth: Annotated[int, typer.Option(help="Sum up names to so many parts; 0 for all.")] = 2,
) -> None:
    """Show what is in a file of weights: code base, network, conventions, arrays, oddities."""
    from zoo.filetable import print_file

    print_file(file, entry, depth)


@app.command()
def parity(
    name: Name,
    backends: Annotated[str, typer.Option(help="Comma-separated.")] = "torch,mindspore",
    level: Annotated[
        str,
        typer.Option(help="structure, forward, batch_statistics, gradients or training."),
    ] = "forward",
    group_conv: GroupConv = "native",
    optimize: Annotated[
        bool, typer.Option("--optimize", help="Prove the form for inference (forward level).")
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option(help="A file, or published weights: what is proven, instead of drawn ones."),
    ] = None,
    variants: Annotated[
        str, typer.Option(help="Optimizers and options of the level training, by comma.")
    ] = "sgd",
    photographs: Annotated[
        bool, typer.Option("--photographs", help="On real photographs instead of drawn images.")
    ] = False,
    size: Annotated[int | None, typer.Option(help="Height and width of the images.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="On images of at most 64 pixels: under a minute.")
    ] = False,
    mutants: Annotated[
        bool,
        typer.Option("--mutants", help="Show that it can fail: give it mistakes and count."),
    ] = False,
    seed: int = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
    png_file: Annotated[Path | None, typer.Option("--png", help="Draw the errors here.")] = None,
    changes: Overrides = None,
) -> None:
    """Prove that backends compute the same.

    Exit status 1 and the first name where they do not; 3 where the weights and images could not
    have shown it, or where one of the mistakes of --mutants went unseen.
    """
    from rich.console import Console

    from zoo.output import require_writable
    from zoo.proof.photographs import photographs as load
    from zoo.proof.prove import parity as prove
    from zoo.table import progress_bar

    for file, suffix in ((json_file, ".json"), (png_file, ".png")):
        if file:
            require_writable(file, suffix)
    overrides = parse(changes) | ({"image_size": size} if size else {})
    if quick and size is None:
        overrides["image_size"] = min(QUICK, arch.spec(name, **overrides).image_size)
    images = load(arch.spec(name, **overrides).image_size) if photographs else None
    engines = [part.strip() for part in backends.split(",")]
    with progress_bar() as progress:
        report = prove(
            name,
            backends=engines,
            level=level,
            group_conv=group_conv,
            optimize=optimize,
            images=images,
            weights=weights,
            variants=[part.strip() for part in variants.split(",")],
            seed=seed,
            progress=progress,
            **overrides,
        )
    Console().print(report.table())
    typer.echo(report.summary())
    if json_file:
        report.save(json_file)
    if png_file:
        report.plot(png_file)
    unseen = False
    if mutants:
        from zoo.proof.mutants.doubt import doubt
        from zoo.proof.mutants.score import score

        with progress_bar() as progress:
            verdicts = doubt(
                name, backends=engines, level=level, seed=seed, images=images,
                progress=progress, **overrides,
            )  # fmt: skip
        typer.echo(score(verdicts))
        unseen = any(verdict.status in ("survived", "raised") for verdict in verdicts)
    if not report.passed or unseen:
        raise typer.Exit(1 if report.failures else 3)


QUICK = 64
"""Pixels of ``zoo parity --quick``: two by two are left in the last stage of a network for 224."""


@app.command()
def demo(
    name: Annotated[str, typer.Argument(help="The network.")] = "shufflenet_v1_2.0x_g3",
    out: Annotated[Path, typer.Option(help="Folder for the report and the chart.")] = Path("."),
    data: Annotated[
        Path | None, typer.Option(help="CIFAR-10, which the trained weights are shown.")
    ] = None,
) -> None:
    """Build a network in PyTorch and MindSpore, prove them equal, and show trained ones images."""
    from zoo.data import open_dataset
    from zoo.demo import run, show_trained

    images = open_dataset(data) if data is not None else None
    proven = run(name, out)
    if not (show_trained(images, out) and proven):
        raise typer.Exit(1)


app.command()(bench)
app.command()(doctor)
app.command()(evaluate)
app.command()(export)
app.command()(predict)
app.command()(quantize)
app.command()(recipes)
app.command()(report)
app.command()(source)
app.command()(train)


def main() -> None:
    """Run the command; what a user can mend is told in one line, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of ASCII shows what it can
            stream.reconfigure(errors="replace")
    try:
        app()
    except (ZooError, OSError) as error:
        from zoo.text import visible

        typer.echo(f"zoo: {visible(str(error))}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
