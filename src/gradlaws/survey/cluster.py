"""Tasks on the workers of a Dask cluster that somebody else has started."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from importlib import import_module
from typing import Any

from gradlaws.errors import GradlawsError, InputError
from gradlaws.survey.grid import Task
from gradlaws.survey.local import died
from gradlaws.survey.work import Row, answer, version

_PATIENCE = 60
"""Seconds to wait for the scheduler and for its first worker."""


def run_on_cluster(tasks: Sequence[Task], address: str) -> Generator[tuple[Task, Row], None, None]:
    """Rows as they finish. Rows of a worker that dies are asked again of the others, by Dask.

    Args:
        tasks: what is asked; files that they name must be there on every worker.
        address: of the scheduler, such as ``tcp://127.0.0.1:8786``.

    Raises:
        InputError: there is no scheduler, it has no worker, or a worker has another version of gradlaws.
        GradlawsError: the scheduler went away; rows that were received are safe.
    """
    distributed = _distributed()
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # tracebacks of theirs say less than our sentences
    with _client(distributed, address) as client:
        _same_version(client)
        futures = {client.submit(answer, task, key=f"gradlaws {task.key}", pure=False): task for task in tasks}
        for future in distributed.as_completed(futures):
            task = futures[future]
            if future.status in {"cancelled", "lost"}:
                raise GradlawsError(f"the scheduler at {address} went away: run the same command again to go on")
            error = future.exception()
            if error is None:
                yield task, future.result()
            elif isinstance(error, distributed.KilledWorker):
                yield task, died(task, "its workers died again and again, perhaps for want of memory")
            else:
                raise GradlawsError(f"a worker failed on {task.model!r}: {type(error).__name__}: {error}")
            future.release()


def _client(distributed: Any, address: str) -> Any:
    try:
        return distributed.Client(address, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address!r} ({type(error).__name__}): expected an address such as "
            "tcp://127.0.0.1:8786, as `dask scheduler` prints it"
        ) from None


def _same_version(client: Any) -> None:
    """Every worker must answer as this process would."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        raise InputError("the Dask cluster has no workers: start some with `dask worker ADDRESS`") from None
    try:
        found = client.run(version)
    except Exception as error:
        raise InputError(f"the workers cannot run gradlaws: {type(error).__name__}: {error}") from None
    for worker, other in found.items():
        if other != version():
            raise InputError(
                f"worker {worker} has gradlaws {other}, but this is {version()}: install the same everywhere"
            )


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError:
        raise InputError("a Dask cluster needs dask.distributed: pip install 'gradlaws[survey]'") from None
