"""``gradlaws report``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gradlaws.commands.terminal import courteous, progress
from gradlaws.report.html import write_report


def report(
    store: Annotated[str, typer.Argument(metavar="FILE.db", help="A store that gradlaws.track writes or has written.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.html", help="The page to write.")] = Path(
        "report.html"
    ),
    run: Annotated[list[int] | None, typer.Option(help="Number of a run, repeatable; all runs if not given.")] = None,
) -> None:
    """Write the runs of a store as one page that works offline: drift, what made it, what was found."""
    with courteous():
        with progress(silent=False) as listener:
            written = write_report(store, output, run or (), listener)
        sys.stderr.write(f"gradlaws: wrote {written}\n")
