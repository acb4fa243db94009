"""The sections of a report that are drawn: all laws at a glance, by module, and each by itself, worst first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import PurePosixPath

from gradlaws.report.chart import (
    BOTTOM,
    HEIGHT,
    TOP,
    Dot,
    Line,
    over_steps,
    square,
    stacked,
    steps_axis,
    strip,
    strip_axis,
)
from gradlaws.report.courses import PARTS, Course, Key, RunCourses, by_module, envelope
from gradlaws.report.mathml import mathml
from gradlaws.report.scale import Decades, Steps, decades, number

Axes = tuple[Steps, Decades]
Entry = tuple[Key, list[tuple[RunCourses, Course]]]

_COLOURS = 6
"""Colours of runs in the style sheet."""

_COMPARED = 12
"""Laws that are compared at a glance."""

_OPEN = 2
"""Runs whose parts are shown without being asked for."""


def colour(run: RunCourses) -> str:
    """Class of everything drawn in the colour of a run."""
    return f"run-{run.place % _COLOURS + 1}"


def glance(runs: Sequence[RunCourses], laws: Sequence[Entry]) -> str:
    """Predicted against observed for all laws, and the worst of them run beside run."""
    every = [(run, course) for run in runs for course in run.courses]
    axis = decades((size for _, c in every for size in (c.last.drift, c.last.forecast)), 0, 1)
    dots = [Dot(_classes(run), f"{c.law.text}, {run.run.name}", x=c.last.forecast, y=c.last.drift) for run, c in every]
    epsilon = max(course.law.epsilon * math.sqrt(course.last.step) for _, course in every)
    scatter = square("Drift as observed, upwards, and as predicted, along", dots, axis, epsilon)
    return (
        '<section><h2>At a glance</h2><div class="glance">'
        f"<figure>{scatter}<figcaption>Drift since the first record: observed (up) against predicted (along). On the "
        "line a law goes where step size, decay and momentum take it; the shaded band is a random walk of rounding."
        "</figcaption></figure>"
        f"<figure>{_compared(laws)}<figcaption>The laws that went furthest, relative to the size of their tensors: "
        "<b>●</b> observed, <b>○</b> predicted.</figcaption></figure></div></section>"
    )


def _compared(laws: Sequence[Entry]) -> str:
    chosen = sorted(laws, key=lambda entry: -max(course.last.drift for _, course in entry[1]))[:_COMPARED]
    sizes = [size for _, found in chosen for _, c in found for size in (c.last.drift, c.last.forecast)]
    axis = decades(sizes, 14, 206)
    rows = []
    for (module, text), found in chosen:
        dots = [
            Dot(f"{_classes(run)}{' hollow' * hollow}", f"{run.run.name}, {name}", x=size, y=1.0)
            for run, c in found
            for hollow, name, size in ((0, "observed", c.last.drift), (1, "predicted", c.last.forecast))
        ]
        formula = mathml(found[0][1].law.latex, module)
        place = f"<small>{escape(module)}</small>" if module else ""
        drawn = strip(f"Drift of {text}", dots, axis)
        rows.append(f'<div class="compared"><div class="formula">{formula}{place}</div>{drawn}</div>')
    return f'{"".join(rows)}<div class="compared"><span></span>{strip_axis(axis)}</div>'


def modules(runs: Sequence[RunCourses]) -> str:
    """One small chart for each module, nothing if there is only one."""
    found = {run.place: by_module(run) for run in runs}
    names = sorted({name for own in found.values() for name in own}, key=_natural)
    if len(names) < 2:
        return ""
    courses = [course for run in runs for course in run.courses]
    x, y = _axes(courses, ("drift", "forecast"))
    cards = []
    for name in names:
        having = [(run, found[run.place][name]) for run in runs if name in found[run.place]]
        lines = [line for run, own in having for line in _pair(run, own)]
        count = len(having[0][1])
        size = f"{count} formula{'s' * (count > 1)}"
        chart = over_steps(f"Drift of the laws of {name or 'the model'}", lines, x, y)
        title = escape(name) if name else "across modules"
        cards.append(f'<article class="module"><h3>{title} <small>{size}</small></h3>{chart}</article>')
    return (
        '<section><h2>By module</h2><p class="lead">The largest drift among the laws of each module: observed '
        f"{_KEY_LINE}, predicted {_KEY_DASH}. All charts have the same axes.</p>"
        f'<div class="modules">{"".join(cards)}</div></section>'
    )


def law_cards(runs: Sequence[RunCourses], laws: Sequence[Entry]) -> str:
    """Every law: formula, drift against prediction, and what each step's change is made of."""
    courses = [course for run in runs for course in run.courses]
    drift, parts = _axes(courses, ("drift", "forecast")), _axes(courses, tuple(PARTS))
    cards = "\n".join(_card(entry, place, drift, parts, len(runs) > 1) for place, entry in enumerate(laws))
    used = [part for part in PARTS if any((course.largest(part) or 0) > 0 for course in courses)]
    legend = "".join(f'<li class="part-{part}"><i></i>{PARTS[part]}</li>' for part in used)
    return (
        '<section><h2>Every law, worst first</h2><p class="lead">First chart: drift since the first record, observed '
        f"{_KEY_LINE} and predicted {_KEY_DASH}. Second: what the change of one step is made of, as sizes. Both are "
        "relative to the size of the law's tensors; in the shaded band a number of their precision is rounded off.</p>"
        f'<ul class="legend">{legend}</ul><form class="controls" hidden><input type="search" name="find" '
        'placeholder="Module, tensor or formula" aria-label="Find laws"><select name="order" aria-label="Order">'
        '<option value="worst">worst first</option><option value="drift">drift</option><option value="gap">observed '
        'less predicted</option><option value="unexplained">unexplained</option><option value="identity">gradient '
        'identity</option></select><output></output></form><div class="laws">'
        f"{cards}</div></section>"
    )


_KEY_LINE = '<svg class="key" viewBox="0 0 22 8" aria-hidden="true"><line x1="1" y1="4" x2="21" y2="4"/></svg>'
_KEY_DASH = _KEY_LINE.replace('class="key"', 'class="key dashed"')


def _axes(courses: Sequence[Course], parts: Sequence[str]) -> Axes:
    """One scale of steps and one of sizes for a family of charts."""
    steps = [record.step for course in courses for record in (course.records[0], course.last)]
    sizes = (getattr(record, part) or 0.0 for course in courses for record in course.records for part in parts)
    return steps_axis(steps), decades(sizes, HEIGHT - BOTTOM, TOP)


def _card(
    entry: Entry,
    place: int,
    drift: Axes,
    parts: Axes,
    several: bool,
) -> str:
    (module, text), found = entry
    law = found[0][1].law
    flagged = [f.cause for run, course in found for f in run.findings if f.law == course.law.law]
    flags = "".join(f'<span class="flag">{escape(cause)}</span>' for cause in dict.fromkeys(flagged))
    where = f"<code>{escape(module)}</code>" if module else ""
    noun = "law" if law.count == 1 else "laws"
    chart = over_steps(
        f"Drift of {text}",
        [line for run, course in found for line in _pair(run, [course])],
        drift[0],
        drift[1],
        law.epsilon,
    )
    made = [_parts(run, course, parts, several) for run, course in found]
    more = f"<details><summary>{len(made) - _OPEN} more runs</summary>{''.join(made[_OPEN:])}</details>"
    own = [course for _, course in found]
    keys = {
        "drift": max(course.last.drift for course in own),
        "gap": max(course.last.gap for course in own),
        "unexplained": max(course.largest("unexplained") or 0.0 for course in own),
        "identity": max(course.largest("identity") or 0.0 for course in own),
    }
    data = " ".join(f'data-{name}="{_plain(value)}"' for name, value in keys.items())
    return (
        f'<article class="law" id="law-{place}" data-worst="{-place}" {data} data-text="{escape(text.lower())}">'
        f'<h3 class="formula">{mathml(law.latex, module)}</h3><p class="where">{where}'
        f"<span>{law.count:,} {noun}, degree {law.degree}</span>{flags}</p>"
        f"{chart}{''.join(made[:_OPEN])}{more * (len(made) > _OPEN)}{_numbers(found, several)}</article>"
    )


def _parts(run: RunCourses, course: Course, axes: Axes, several: bool) -> str:
    lines = [
        Line(f"part-{part}", name, _points(course, part))
        for part, name in PARTS.items()
        if (course.largest(part) or 0.0) > 0
    ]
    name = f'<figcaption class="{colour(run)}"><i class="swatch"></i>{escape(run.run.name)}</figcaption>' * several
    x, y = axes
    chart = over_steps(f"Parts of the change of {course.law.text} in one step", lines, x, y, course.law.epsilon)
    return f'<figure class="of-{run.run.number}">{name}{chart}{_bar(course)}</figure>'


def _bar(course: Course) -> str:
    """What the run as a whole is made of."""
    shares = [(f"part-{part}", PARTS[part], size) for part, size in course.shares.items()]
    if not shares:
        return '<span class="bar empty">moved by rounding only</span>'
    return stacked(f"Parts of the change of {course.law.text} over the run", shares)


def _numbers(found: Sequence[tuple[RunCourses, Course]], several: bool) -> str:
    rows = []
    for run, course in found:
        cells = (
            course.last.drift,
            course.last.forecast,
            course.largest("identity"),
            course.largest("unexplained"),
        )
        name = f'<th scope="row" class="{colour(run)}"><i class="swatch"></i></th>' * several
        rows.append(
            f'<tr class="of-{run.run.number}">{name}{"".join(f"<td>{number(cell)}</td>" for cell in cells)}</tr>'
        )
    head = "<th></th>" * several + (
        '<th scope="col">drift</th><th scope="col">predicted</th><th scope="col">⟨∇h, g⟩</th>'
        '<th scope="col">unexplained</th>'
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _pair(run: RunCourses, courses: Sequence[Course]) -> Iterable[Line]:
    """Predicted under observed."""
    for part, name, style in (("forecast", "predicted", " dashed"), ("drift", "observed", "")):
        points = tuple(envelope(courses, part))
        yield Line(f"{_classes(run)}{style}", f"{run.run.name}, {name}", points)


def _classes(run: RunCourses) -> str:
    return f"{colour(run)} of-{run.run.number}"


def _points(course: Course, part: str) -> tuple[tuple[float, float | None], ...]:
    return tuple((record.step, getattr(record, part)) for record in course.records)


def _natural(path: str) -> tuple[tuple[int, int, str], ...]:
    """Module 10 comes after module 9."""
    names = PurePosixPath(path.replace(".", "/")).parts
    return tuple((0, int(name), "") if name.isdecimal() else (1, 0, name) for name in names)


def _plain(value: float) -> str:
    return f"{min(value, 1e300):.3e}" if not math.isnan(value) else "0"
