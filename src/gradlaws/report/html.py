"""Stored runs as one page that works offline: drift, what made it, what was found, run beside run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from gradlaws.errors import InputError
from gradlaws.laws.certificate import write_atomically
from gradlaws.progress import Progress
from gradlaws.report.courses import RunCourses, read_runs, worst_first
from gradlaws.report.figures import colour, glance, law_cards, modules


def write_report(
    store: str | Path, page: str | Path, runs: Sequence[int] = (), on_progress: Progress | None = None
) -> Path:
    """Write the report of a store.

    The page holds its own style, script and drawings, asks for nothing over a network, and is there as a whole or not
    at all.

    Args:
        store: file that `gradlaws.track` writes or has written.
        page: file to write.
        runs: numbers of the runs; all of them if there are none.
        on_progress: told what is being done, and which part of all is done.

    Returns:
        The file.

    Raises:
        InputError: there is no such store or run, or the page cannot be written.
    """
    target = Path(page).resolve()
    if not target.parent.is_dir() or (target.exists() and not target.is_file()):
        raise InputError(f"cannot write the report to {str(page)!r}: expected a file in a folder that exists")
    text = report_html(store, runs, on_progress)
    try:
        write_atomically(target, text)
    except OSError as error:
        raise InputError(
            f"cannot write the report to {str(page)!r} ({error.strerror}): choose a file in a folder of yours"
        ) from None
    return target


def report_html(store: str | Path, numbers: Sequence[int] = (), on_progress: Progress | None = None) -> str:
    """The same as text."""
    runs = read_runs(store, numbers, on_progress)
    if on_progress:
        on_progress("drawing", 0.9)
    laws = worst_first(runs)
    style, script = _asset("page.css"), _asset("page.js")
    sections = [_runs(runs), _findings(runs)]
    if laws:
        sections += [glance(runs, laws), modules(runs), law_cards(runs, laws)]
    else:
        sections.append('<section><p class="empty">No step has been recorded yet.</p></section>')
    names = list(dict.fromkeys(run.run.model for run in runs))
    return Template(_asset("page.html")).substitute(
        title=escape(f"{', '.join(names)}: laws in training"),
        heading=escape(", ".join(names)),
        source=escape(Path(store).name),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_digest(script)}'",
        style=style,
        script=script,
        body="\n".join(section for section in sections if section),
    )


def _runs(runs: Sequence[RunCourses]) -> str:
    several = len(runs) > 1
    cards = "\n".join(_run(run, several) for run in runs)
    return f'<section class="runs" aria-label="Runs">{cards}</section>'


def _run(run: RunCourses, several: bool) -> str:
    record = run.run
    last = max((course.last.step for course in run.courses), default=0)
    state = "finished" if record.finished else "running, or killed"
    began = datetime.fromtimestamp(record.started, UTC).strftime("%Y-%m-%d %H:%M UTC")
    count = sum(law.count for law in run.laws)
    facts = {
        "optimizer": record.optimizer,
        "parameters": f"{record.parameters:,}",
        "laws": f"{count:,} in {len(run.laws):,} formulas",
        "steps": f"{last:,}, every {record.every:,} recorded" if record.every > 1 else f"{last:,}, all recorded",
        "began": f"{began}, {state}",
    }
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    box = f'<input type="checkbox" checked data-run="{record.number}"> ' if several else ""
    return (
        f'<article class="run {colour(run)}"><h2><label>{box}<i class="swatch"></i>{escape(record.name)}</label>'
        f"<small>run {record.number}</small></h2><dl>{rows}</dl></article>"
    )


def _findings(runs: Sequence[RunCourses]) -> str:
    several = len(runs) > 1
    items = []
    for run in runs:
        name = f'<span class="{colour(run)}"><i class="swatch"></i>{escape(run.run.name)}</span>' if several else ""
        for found in run.findings:
            items.append(
                f'<li class="finding of-{run.run.number}"><h3>{escape(found.cause)}</h3><p class="where">'
                f"{name}<span>step {found.step:,}</span><code>{escape(found.tensors)}</code></p>"
                f"<p>{escape(found.text)}</p></li>"
            )
        if not run.findings and run.courses:
            items.append(
                f'<li class="sound of-{run.run.number}"><p>{name}<span>Nothing unexpected was found.</span></p></li>'
            )
    return f'<section><h2>What was found</h2><ul class="findings">{"".join(items)}</ul></section>' if items else ""


def _asset(name: str) -> str:
    return files("gradlaws.report").joinpath("assets", name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """What the page's policy knows its one script by; text of a store that posed as a script would not run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
