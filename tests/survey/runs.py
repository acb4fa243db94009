"""Surveys in processes of their own, to be watched and killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
SLOW = """
import time
import torch

def make():
    time.sleep(0.4)
    return torch.nn.Linear(2, 2), torch.ones(1, 2)
"""


def environment():
    return {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}


def slow_grid(folder, rows):
    """A grid whose rows take a while."""
    (folder / "slow.py").write_text(SLOW)
    path = folder / "grid.toml"
    path.write_text(f'models = ["slow.py:make"]\n[options]\nseed = {list(range(rows))}\nlower_only = [true]\n')
    return path


def start(*arguments):
    """The command line, in a process that may be killed."""
    code = "from gradlaws.cli import main; main()"
    command = [sys.executable, "-c", code, "survey", *map(str, arguments)]
    return subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)


def finished(table):
    """How many rows the journal has."""
    journal = table.with_name(table.name + ".journal")
    return max(0, journal.read_bytes().count(b"\n") - 1) if journal.exists() else 0


def wait_for_rows(table, count, process, patience=300):
    """Until so many rows are finished while the survey still runs."""
    end = time.monotonic() + patience
    while finished(table) < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, "no rows"
        time.sleep(0.02)
