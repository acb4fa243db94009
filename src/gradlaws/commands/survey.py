"""``gradlaws survey``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from gradlaws.commands.terminal import courteous, progress


def survey(
    grid: Annotated[
        Path, typer.Argument(metavar="GRID.toml", help="models = [...], flows = [...] and [options] (docs/survey.md).")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="TABLE.parquet", help="Where the table goes.")],
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", help="Processes on this machine; as many as processors if not given.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Use the workers of this Dask scheduler instead.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no summary.")] = False,
) -> None:
    """Answer a grid of models x flows x options into one table; run it again to go on where it was stopped."""
    with courteous():
        from gradlaws.survey.run import survey as survey_of  # noqa: PLC0415 - what only this command needs

        with progress(quiet) as listener:
            done = survey_of(grid, output, jobs=jobs or os.cpu_count() or 1, scheduler=scheduler, on_progress=listener)
        if not quiet:
            sys.stderr.write(f"gradlaws: wrote {output}, {done}\n")
