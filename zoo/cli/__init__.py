"""The ``zoo`` command, a file for each subcommand, which imports what it needs when it runs."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING

from zoo.errors import ZooError

if TYPE_CHECKING:
    import typer

    app: typer.Typer

COMMANDS = {
    name: (module, function)
    for module, function in (
        *((name, name) for name in (
            "info", "adopt", "convert", "inspect", "parity", "demo", "bench", "doctor", "evaluate",
            "export", "port", "predict", "push", "quantize",
        )),
        ("train", "recipes"), ("report", "report"), ("source", "source"), ("train", "train"),
        ("list", "list_"),
    )
    for name in (function.rstrip("_"),)
}  # fmt: skip
"""Name → module in this package, and function there."""


def application(names: Iterable[str]) -> typer.Typer:
    """Return the command with some of its subcommands.

    Typer prepares all that it is given, which takes longer than to list the networks.
    """
    import typer

    found = typer.Typer(
        help="Efficient vision networks, proven equal across frameworks.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    found.callback()(lambda: None)  # a single subcommand has its name too
    for name in names:
        module, function = COMMANDS[name]
        found.command(name)(getattr(import_module(f"zoo.cli.{module}"), function))
    return found


def __getattr__(name: str) -> typer.Typer:
    """Return the whole command, as `app`."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return application(COMMANDS)


def main() -> None:
    """Run the command; what a user can mend is told in one line, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of ASCII shows what it can
            stream.reconfigure(errors="replace")
    asked = sys.argv[1:2]
    try:
        application(asked if asked and asked[0] in COMMANDS else COMMANDS)()
    except (ZooError, OSError) as error:
        import typer

        from zoo.text import visible

        typer.echo(f"zoo: {visible(str(error))}", err=True)
        sys.exit(2)
