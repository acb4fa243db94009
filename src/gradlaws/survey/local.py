"""Tasks on processes of this machine; one that dies is started again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from gradlaws.survey.grid import Task
from gradlaws.survey.work import Row, answer

MOST_DEATHS = 3
"""How often the process of a row may die before the row is given up."""


def run_here(tasks: Sequence[Task], jobs: int) -> Generator[tuple[Task, Row], None, None]:
    """Rows as they finish, from `jobs` processes.

    A process that is killed takes the rows of all others with it, in the way that Python pools work: those are asked
    again, one at a time if it happens twice, so that the row that kills its process is known.
    """
    waiting, deaths = list(reversed(tasks)), Counter[Task]()
    while waiting:
        alone = any(deaths[task] > 1 for task in waiting)
        taken: dict[Future[Row], Task] = {}
        pool = ProcessPoolExecutor(1 if alone else jobs, multiprocessing.get_context("spawn"), _prepare)
        try:
            while waiting or taken:
                while waiting and len(taken) < (1 if alone else jobs):
                    task = waiting.pop()
                    taken[pool.submit(answer, task)] = task
                done, _ = wait(taken, return_when=FIRST_COMPLETED)
                for future in done:
                    row = future.result()
                    yield taken.pop(future), row
                if alone and not any(deaths[task] > 1 for task in waiting):
                    break
        except BrokenProcessPool:
            yield from _again(list(taken.values()), waiting, deaths)
        finally:
            _stop(pool, bool(taken))


def _again(taken: list[Task], waiting: list[Task], deaths: Counter[Task]) -> Iterator[tuple[Task, Row]]:
    """Put the rows that were being computed first in line; give up those whose process died too often."""
    deaths.update(taken)
    for task in taken:
        if deaths[task] < MOST_DEATHS:
            waiting.append(task)
        else:
            yield task, died(task, f"its process died {MOST_DEATHS} times, perhaps for want of memory")


def died(task: Task, words: str) -> Row:
    """The row of a task that no process survived."""
    return {"model": task.model, "flow": task.flow, **dict(task.options), "status": "REFUSED", "error": words}


def _prepare() -> None:
    """A worker leaves interrupts to the survey, uses one thread, and never outlives the survey."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _stop(pool: ProcessPoolExecutor, busy: bool) -> None:
    """Without waiting for rows that nobody will read."""
    if busy:
        for process in list((pool._processes or {}).values()):
            process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)
