"""The ``zoo`` command, a file for each subcommand, which imports what it needs when it runs."""

from __future__ import annotations

import io
import sys

import typer

from zoo.cli.adopt import adopt
from zoo.cli.bench import bench
from zoo.cli.convert import convert
from zoo.cli.demo import demo
from zoo.cli.doctor import doctor
from zoo.cli.evaluate import evaluate
from zoo.cli.export import export
from zoo.cli.info import info
from zoo.cli.inspect import inspect
from zoo.cli.list import list_
from zoo.cli.parity import parity
from zoo.cli.port import port
from zoo.cli.predict import predict
from zoo.cli.quantize import quantize
from zoo.cli.report import report
from zoo.cli.source import source
from zoo.cli.train import recipes, train
from zoo.errors import ZooError

app = typer.Typer(
    help="Efficient vision networks, proven equal across frameworks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("list")(list_)
for command in (
    info, adopt, convert, inspect, parity, demo, bench, doctor, evaluate, export, port, predict,
    quantize, recipes, report, source, train,
):  # fmt: skip
    app.command()(command)


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
