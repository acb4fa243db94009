"""A survey: the rows of a grid that are not in the journal yet, then the table."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gradlaws.errors import InputError
from gradlaws.progress import Progress
from gradlaws.survey.cluster import run_on_cluster
from gradlaws.survey.grid import Task, read_grid
from gradlaws.survey.journal import Journal, journal_of
from gradlaws.survey.local import run_here
from gradlaws.survey.table import writable, write_table


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What a survey did.

    Args:
        rows: of the table.
        known: how many of them were in the journal before.
        statuses: how many rows have which status.
    """

    rows: int
    known: int
    statuses: dict[str, int]

    def __str__(self) -> str:
        words = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        return f"{self.rows} rows, {self.known} of them known before: {words}"


def survey(
    grid: Path,
    table: Path,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    on_progress: Progress | None = None,
) -> Surveyed:
    """Answer every row of a grid and write the table.

    Each finished row goes to the journal beside the table at once, so that a survey that was killed goes on where it
    was; rows that a journal has are never computed again, also when the grid grows. An interrupted survey leaves a
    table of what is finished.

    Args:
        grid: see `gradlaws.survey.grid`.
        table: the Parquet file.
        jobs: processes on this machine.
        scheduler: the address of a Dask scheduler whose workers do the work instead.
        on_progress: hears how many rows are done, and the fraction.

    Raises:
        InputError: the grid, the table, the journal or the cluster cannot be used.
        GradlawsError: the cluster went away; the same call goes on.
    """
    if jobs < 1:
        raise InputError(f"{jobs} processes: expected at least 1")
    writable(table)
    tasks = read_grid(grid)
    with Journal(journal_of(table)) as journal:
        open_tasks = [task for task in tasks if task.key not in journal.rows]
        known = len(tasks) - len(open_tasks)
        try:
            if open_tasks:
                _work(open_tasks, journal, known, jobs, scheduler, on_progress)
        finally:
            finished = [journal.rows[task.key] for task in tasks if task.key in journal.rows]
            write_table(table, finished)
        statuses = [str(row["status"]) for row in finished]
        return Surveyed(len(finished), known, {status: statuses.count(status) for status in dict.fromkeys(statuses)})


def _work(
    tasks: list[Task], journal: Journal, known: int, jobs: int, scheduler: str | None, on_progress: Progress | None
) -> None:
    total = known + len(tasks)
    rows = run_on_cluster(tasks, scheduler) if scheduler else run_here(tasks, jobs)
    with closing(rows):
        for done, (task, row) in enumerate(rows, known + 1):
            journal.add(task.key, row)
            if on_progress:
                on_progress(f"{done} of {total} rows", done / total)
