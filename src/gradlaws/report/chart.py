"""Charts as SVG without scripts: colours come from the page, by class, and so light and dark are one drawing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from gradlaws.report.scale import Decades, Steps, number

WIDTH, HEIGHT = 320, 138
LEFT, RIGHT, TOP, BOTTOM = 38, 8, 8, 20

Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """Sizes over steps.

    Args:
        style: classes that give its colour and dashes.
        name: for whoever points at it.
        points: step and size; no size, or a size of zero, is a gap.
    """

    style: str
    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Dot:
    """One mark: a text for whoever points at it, and classes that give its colour."""

    style: str
    name: str
    x: float
    y: float


def steps_axis(steps: Iterable[float]) -> Steps:
    """From the first to the last step, over the width of a chart."""
    every = list(steps) or [0]
    return Steps(int(min(every)), int(max(every)), LEFT, WIDTH - RIGHT)


def over_steps(title: str, lines: Sequence[Line], x: Steps, y: Decades, epsilon: float = 0.0) -> str:
    """Lines over the steps of training, sizes in decades.

    Args:
        title: what is shown, for those who cannot see it.
        lines: drawn in this order.
        x: of the steps.
        y: of the sizes.
        epsilon: shade the sizes below this one.
    """
    drawn = _noise(epsilon, x, y) + "".join(_line(line, x, y) for line in lines)
    geometry = f'data-x="{x.low},{x.high},{x.start},{x.end}" data-y="{y.low},{y.high},{y.start},{y.end}"'
    return (
        f'<svg class="chart over-steps" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" '
        f"{geometry}>{_frame(x, y, WIDTH, HEIGHT)}{drawn}</svg>"
    )


def square(title: str, dots: Sequence[Dot], axis: Decades, epsilon: float = 0.0, side: int = 300) -> str:
    """Dots in a square with one scale and its diagonal.

    Args:
        title: what is shown, for those who cannot see it.
        dots: sizes along and up.
        axis: of the sizes upwards; the same is used along.
        epsilon: shade the sizes below this one.
        side: in pixels.
    """
    along = Decades(axis.low, axis.high, LEFT, side - RIGHT)
    up = Decades(axis.low, axis.high, side - BOTTOM, TOP)
    diagonal = f'<line class="diagonal" x1="{along.start}" y1="{up.start}" x2="{along.end}" y2="{up.end}"/>'
    marks = "".join(_dot(dot, along.place(dot.x), up.place(dot.y)) for dot in dots)
    return (
        f'<svg class="chart" viewBox="0 0 {side} {side}" role="img" aria-label="{escape(title)}">'
        f"{_frame(along, up, side, side)}{_noise(epsilon, along, up)}{diagonal}{marks}</svg>"
    )


def strip(title: str, dots: Sequence[Dot], axis: Decades, width: int = 220, height: int = 18) -> str:
    """Dots on one horizontal line over a scale in decades, for a row of a table."""
    middle = height / 2
    grid = "".join(f'<line class="grid" x1="{at:.1f}" y1="0" x2="{at:.1f}" y2="{height}"/>' for at, _ in axis.marks)
    marks = "".join(_dot(dot, axis.place(dot.x), middle) for dot in dots)
    line = f'<line class="axis" x1="{axis.start}" y1="{middle}" x2="{axis.end}" y2="{middle}"/>'
    return (
        f'<svg class="strip" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f"{grid}{line}{marks}</svg>"
    )


def strip_axis(axis: Decades, width: int = 220) -> str:
    """The names of the scale of `strip`."""
    names = "".join(f'<text x="{at:.1f}" y="10" text-anchor="middle">{name}</text>' for at, name in axis.marks)
    return f'<svg class="strip" viewBox="0 0 {width} 14" aria-hidden="true">{names}</svg>'


def stacked(title: str, shares: Sequence[tuple[str, str, float]]) -> str:
    """One bar of parts, given as class, name and size; sizes need not add up to one."""
    total = sum(size for _, _, size in shares)
    if not total:
        return '<span class="bar empty" title="nothing moved it"></span>'
    parts = "".join(
        f'<i class="{style}" style="flex-grow:{size / total:.4f}" title="{escape(name)}: {size / total:.0%}"></i>'
        for style, name, size in shares
        if size / total > 0.002
    )
    return f'<span class="bar" role="img" aria-label="{escape(title)}">{parts}</span>'


def _frame(x: Steps | Decades, y: Decades, width: int, height: int) -> str:
    right, bottom = width - RIGHT, height - BOTTOM
    rows = "".join(
        f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}"/>'
        f'<text x="{LEFT - 5}" y="{at + 3:.1f}" text-anchor="end">{name}</text>'
        for at, name in y.marks
    )
    marks = x.marks
    columns = "".join(
        f'<text x="{at:.1f}" y="{height - 6}" text-anchor="{_anchor(at, right)}">{name}</text>' for at, name in marks
    )
    return f'{rows}<line class="axis" x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>{columns}'


def _noise(epsilon: float, x: Steps | Decades, y: Decades) -> str:
    """A band over what is rounded off."""
    top = y.place(epsilon) or y.start
    return f'<rect class="noise" x="{LEFT}" y="{top:.1f}" width="{x.end - x.start:.1f}" height="{y.start - top:.1f}"/>'


def _anchor(at: float, right: float) -> str:
    return "end" if at > right - 2 else "start" if at < LEFT + 2 else "middle"


def _line(line: Line, x: Steps, y: Decades) -> str:
    """Runs of points between gaps; a lonely point is a dot."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for step, size in line.points:
        up = None if size is None else y.place(size)
        if up is None:
            pieces.append([])
        else:
            pieces[-1].append((x.place(step), up))
    drawn = []
    for piece in filter(None, pieces):
        if len(piece) == 1:
            drawn.append(f'<circle cx="{piece[0][0]:.1f}" cy="{piece[0][1]:.1f}" r="1.6"/>')
        else:
            drawn.append(f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in piece)}"/>')
    return f'<g class="line {line.style}" data-name="{escape(line.name)}">{"".join(drawn)}</g>'


def _dot(dot: Dot, x: float | None, y: float | None) -> str:
    if x is None or y is None:
        return ""
    return (
        f'<circle class="dot {dot.style}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(dot.name)}: '
        f"{number(dot.x)}</title></circle>"
    )
