"""Laws by the module that they live in, equal ones of repeated modules together: ``transformer.h.0..11.attn``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby

from gradlaws.laws.law import Law

Lines = tuple[str, ...]
Path = tuple[str, ...]


def grouped(laws: Iterable[tuple[Law, str]]) -> list[tuple[str, Lines]]:
    """Module path and lines, with the names in the lines relative to it; the path is empty for laws of no module.

    Args:
        laws: each with the line that is printed for it.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for law, line in laws:
        path = home(law)
        groups[path].append(re.sub(rf"(?<![\w.]){re.escape(path)}\.", "", line) if path else line)
    found = [(tuple(path.split(".")), tuple(lines)) for path, lines in groups.items()]
    for place in range(max((len(path) for path, _ in found), default=0)):
        found = _merged(found, place)
    return [(".".join(path), lines) for path, lines in found]


def home(law: Law) -> str:
    """The innermost module that owns all tensors of a law."""
    owners = [term["tensor"].split(".")[:-1] for term in law.terms if "tensor" in term]
    if not owners:
        return ""
    shared = []
    for parts in zip(*owners, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)


def _merged(groups: list[tuple[Path, Lines]], place: int) -> list[tuple[Path, Lines]]:
    """Groups that differ in the number at one place of their paths only, as one."""
    members: dict[tuple[Path, Path, Lines], list[int]] = defaultdict(list)
    for path, lines in groups:
        numbered = len(path) > place and path[place].isdigit()
        members[path[:place] if numbered else path, path[place + 1 :] if numbered else (), lines].append(
            int(path[place]) if numbered else -1
        )
    return [
        ((*before, runs(numbers), *after) if numbers != [-1] else before, lines)
        for (before, after, lines), numbers in members.items()
    ]


def runs(numbers: Sequence[int]) -> str:
    """Whole numbers as runs: ``0..3,5``."""
    written = []
    for _, run in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
        values = [value for _, value in run]
        written.append(str(values[0]) if len(values) == 1 else f"{values[0]}..{values[-1]}")
    return ",".join(written)
