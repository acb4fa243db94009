"""The command line ``gradlaws``: its commands are the files of `gradlaws.commands`."""

from __future__ import annotations

import typer

from gradlaws.commands.balance import balance
from gradlaws.commands.check import check
from gradlaws.commands.components import components
from gradlaws.commands.compress import compress
from gradlaws.commands.laws import count, laws
from gradlaws.commands.report import report
from gradlaws.commands.survey import survey
from gradlaws.commands.symmetries import symmetries
from gradlaws.commands.watch import watch

COMMANDS = (
    count,
    laws,
    check,
    survey,
    watch,
    report,
    symmetries,
    balance,
    compress,
    components,
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Finds every quantity that gradient training conserves, and proves that there are no others.",
    epilog="Exit status: 0 answered, 2 bad request, 3 the bounds do not meet.",
)
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Entry point of the ``gradlaws`` command."""
    app()
