"""A stored run as a table in the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from gradlaws.training import store
from gradlaws.training.record import LawRecord, StepRecord

_SHOWN = 20


def watch_view(path: str | Path, number: int | None = None) -> Group:
    """The last record of each law of a run, worst law first, and what was found.

    Args:
        path: of the store; it may still be written to.
        number: of the run; None for the last one.

    Raises:
        InputError: there is no such store or run.
    """
    run = store.run_numbered(path, number)
    laws = {law.law: law for law in store.laws(path, run.number)}
    last = store.latest(path, run.number)
    state = "finished" if run.finished else "running, or killed"
    step = f"step {max(record.step for record in last)}" if last else "no step yet"
    title = f"run {run.number}, {run.name}: {run.optimizer}, every {run.every}, {state}, {step}"
    found = [Text(str(finding)) for finding in store.findings(path, run.number)]
    return Group(Text(title), _table(last, laws), *(found or [Text("nothing unexpected was found")] * bool(last)))


def _table(last: tuple[StepRecord, ...], laws: dict[int, LawRecord]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("drift", "forecast", "<grad h, g>", "unexplained"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("module", overflow="fold")
    table.add_column("law", overflow="fold")
    worst = sorted(last, key=lambda record: -record.drift)
    for record in worst[:_SHOWN]:
        rest = "-" if record.unexplained is None else f"{record.unexplained:.1e}"
        sizes = (f"{record.drift:.1e}", f"{record.forecast:.1e}", f"{record.identity:.1e}", rest)
        # as Text, for square brackets in a formula are no markup
        table.add_row(*sizes, Text(laws[record.law].module), Text(laws[record.law].text))
    if len(worst) > _SHOWN:
        table.add_row("", "", "", "", "", f"and {len(worst) - _SHOWN} that went less far")
    return table
