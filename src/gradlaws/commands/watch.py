"""``gradlaws watch``."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from gradlaws.commands.terminal import courteous
from gradlaws.report.watch import watch_view

_REFRESH, _WIDE = 1.0, 200


def watch(
    store: Annotated[str, typer.Argument(metavar="FILE.db", help="A store that gradlaws.track writes or has written.")],
    run: Annotated[int | None, typer.Option(help="Number of the run; the last one if not given.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Refresh every second until interrupted.")] = False,
) -> None:
    """How far the laws of a training run have gone, and what was found."""
    with courteous():
        console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
        if not live:
            console.print(watch_view(store, run))
            return
        with Live(watch_view(store, run), console=console, auto_refresh=False) as screen:
            while True:
                time.sleep(_REFRESH)
                screen.update(watch_view(store, run), refresh=True)
