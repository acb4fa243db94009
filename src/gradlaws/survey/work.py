"""One row: what a worker process does, wherever it runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from gradlaws.errors import GradlawsError
from gradlaws.flows.toml import is_fields_file, read_fields_file
from gradlaws.laws.answer import laws
from gradlaws.models.load import is_factory, load_factory
from gradlaws.report.text import laws_text
from gradlaws.survey.grid import Task

Row = dict[str, Any]
"""Column names and values of one row; see `gradlaws.survey.table`."""


def version() -> str:
    """Of the library in this process: all workers must have the same."""
    import gradlaws  # noqa: PLC0415 - the front door, looked at from inside

    return gradlaws.__version__


def answer(task: Task) -> Row:
    """The row of a task. A refusal is an answer too: its sentence is in the column ``error``.

    The arithmetic uses one thread: the processes are what runs side by side.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    started = time.perf_counter()
    try:
        row = _answered(task)
    except GradlawsError as error:
        row = {"status": "REFUSED", "error": str(error)}
    finally:
        torch.set_num_threads(threads)
    asked = {"model": task.model, "flow": task.flow, **dict(task.options)}
    return asked | row | {"seconds": time.perf_counter() - started, "version": version()}


def _answered(task: Task) -> Row:
    model: tuple[Any, ...] = (task.model,)
    if is_factory(task.model):
        model = load_factory(task.model)
    elif is_fields_file(task.model):
        model = (read_fields_file(Path(task.model)),)
    found = laws(*model, flow=task.flow, **dict(task.options))
    count = found.count
    return {
        "variables": count.parameters,
        "laws_at_least": count.lower,
        "laws_at_most": count.upper,
        "lie_dimension": count.lie_dimension,
        "status": count.status.value,
        "formulas": laws_text(found).splitlines() if found.laws else [],
        "notes": list(found.evidence.notes),
        "assumptions": list(found.evidence.assumptions),
        "failure_probability": found.evidence.failure_probability,
    }
