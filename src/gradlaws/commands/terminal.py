"""How a command speaks: one sentence instead of a traceback, exit statuses, a progress bar on the error stream."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gradlaws.errors import GradlawsError, InputError
from gradlaws.laws.count import Count
from gradlaws.progress import Progress as Listener

ANSWERED, DEFECT, BAD_REQUEST, UNDECIDED, INTERRUPTED = 0, 1, 2, 3, 130


def show(text: str) -> None:
    """Write to standard output as it is: no markup, no wrapping."""
    sys.stdout.write(text + "\n")


def leave(count: Count) -> None:
    """Exit status 3 when the question stays open."""
    if not count.complete:
        raise typer.Exit(UNDECIDED)


@contextmanager
def courteous() -> Iterator[None]:
    """One sentence and an exit status instead of a traceback."""
    try:
        yield
    except GradlawsError as error:
        sys.stderr.write(f"gradlaws: {error}\n")
        raise typer.Exit(BAD_REQUEST if isinstance(error, InputError) else DEFECT) from None
    except KeyboardInterrupt:
        sys.stderr.write("gradlaws: interrupted\n")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def progress(silent: bool) -> Iterator[Listener | None]:
    """A progress bar on the terminal's error stream; nothing elsewhere."""
    console = Console(stderr=True)
    if silent or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        yield _listener(bars)


def _listener(bars: Progress) -> Callable[[str, float], None]:
    """One bar, renamed from stage to stage."""
    task = bars.add_task("starting", total=1.0)

    def listen(stage: str, fraction: float) -> None:
        bars.update(task, description=stage, completed=fraction)

    return listen
