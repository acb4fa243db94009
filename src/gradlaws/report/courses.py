"""Stored runs as a report needs them: few points for each law, whatever the length of the run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from gradlaws.progress import Progress
from gradlaws.training import store
from gradlaws.training.record import Finding, LawRecord, RunRecord, StepRecord

POINTS = 160
"""Of one law on a chart; more are not told apart on a screen."""

PARTS = {
    "decay": "decay",
    "gradient": "step size",
    "momentum": "momentum",
    "first": "first order",
    "second": "second order",
    "unexplained": "unexplained",
}
"""What the change of one step is made of, by field of a record."""

Key = tuple[str, str]
"""Module and formula: what makes laws of two runs the same."""


@dataclass(frozen=True, eq=False, slots=True)
class Course:
    """One law in one run.

    Args:
        law: which.
        records: in the order of steps, thinned; at least one.
        last: the last one that was stored.
    """

    law: LawRecord
    records: tuple[StepRecord, ...]
    last: StepRecord

    @property
    def key(self) -> Key:
        """What it is called in every run."""
        return self.law.module, self.law.text

    def largest(self, part: str) -> float | None:
        """The largest size of one field over the run, None where it is not known."""
        sizes = [size for record in self.records if (size := getattr(record, part)) is not None]
        return max(sizes, default=None)

    @property
    def shares(self) -> dict[str, float]:
        """Sums over the records of the sizes of all parts; empty where rounding is all that happened."""
        sums = {part: sum(getattr(record, part) or 0.0 for record in self.records) for part in PARTS}
        quiet = all(record.observed <= self.law.epsilon for record in self.records)
        return {} if quiet and sums["unexplained"] >= 0.5 * sum(sums.values()) else sums


@dataclass(frozen=True, eq=False, slots=True)
class RunCourses:
    """One run.

    Args:
        run: which.
        place: among the runs of the report, from 0.
        laws: all of them.
        courses: of those laws that were recorded, by number.
        findings: in words.
    """

    run: RunRecord
    place: int
    laws: tuple[LawRecord, ...]
    courses: tuple[Course, ...]
    findings: tuple[Finding, ...]

    @property
    def flagged(self) -> set[int]:
        """Laws that a finding is about."""
        return {finding.law for finding in self.findings if finding.law is not None}


def read_runs(
    path: str | Path, numbers: Sequence[int] = (), on_progress: Progress | None = None
) -> tuple[RunCourses, ...]:
    """Runs of a store with their laws.

    Args:
        path: of the store; it may still be written to.
        numbers: of the runs; all of them if there are none.
        on_progress: told what is being done, and which part of all is done.

    Raises:
        InputError: there is no such store or run.
    """
    if numbers:
        chosen = [store.run_numbered(path, number) for number in dict.fromkeys(numbers)]
    else:
        chosen = list(store.runs(path)) or [store.run_numbered(path)]
    read = []
    for place, run in enumerate(chosen):
        if on_progress:
            on_progress(f"reading run {run.number}", 0.9 * place / len(chosen))
        read.append(_read(path, run, place))
    return tuple(read)


def _read(path: str | Path, run: RunRecord, place: int) -> RunCourses:
    laws = {law.law: law for law in store.laws(path, run.number)}
    last = {record.law: record for record in store.latest(path, run.number)}
    thin = groupby(store.thinned(path, run.number, POINTS), key=lambda record: record.law)
    courses = tuple(Course(laws[n], tuple(records), last[n]) for n, records in thin if n in last)
    return RunCourses(run, place, tuple(laws.values()), courses, store.findings(path, run.number))


def worst_first(runs: Sequence[RunCourses]) -> list[tuple[Key, list[tuple[RunCourses, Course]]]]:
    """All laws with the runs that have them: those in which something was found, then by how far they went."""
    together: dict[Key, list[tuple[RunCourses, Course]]] = defaultdict(list)
    for run in runs:
        for course in run.courses:
            together[course.key].append((run, course))

    def rank(entry: tuple[Key, list[tuple[RunCourses, Course]]]) -> tuple[bool, float]:
        flagged = any(course.law.law in run.flagged for run, course in entry[1])
        return not flagged, -max(course.last.drift for _, course in entry[1])

    return sorted(together.items(), key=rank)


def by_module(run: RunCourses) -> dict[str, list[Course]]:
    """The laws of each module."""
    modules: dict[str, list[Course]] = defaultdict(list)
    for course in run.courses:
        modules[course.law.module].append(course)
    return modules


def envelope(courses: Sequence[Course], part: str) -> list[tuple[float, float]]:
    """At each step, the largest of one field over several laws."""
    found: dict[int, float] = {}
    for course in courses:
        for record in course.records:
            found[record.step] = max(getattr(record, part), found.get(record.step, 0.0))
    return sorted((float(step), size) for step, size in found.items())
