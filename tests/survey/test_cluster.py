"""A real Dask scheduler and real workers on loopback, one of them killed in the middle of a survey."""

import subprocess
import sys
import time

import pyarrow.parquet
import pytest

from gradlaws.errors import InputError
from gradlaws.survey import cluster
from gradlaws.survey.grid import Task
from gradlaws.survey.run import survey
from tests.survey.runs import environment, finished, slow_grid, start, wait_for_rows


@pytest.fixture
def processes():
    """What is started here ends here."""
    started = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def dask(processes, *arguments):
    command = [sys.executable, "-m", *arguments]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    processes.append(process)
    return process


def scheduler(processes, tmp_path):
    """A scheduler on a free port; its address."""
    file = tmp_path / "scheduler.json"
    dask(
        processes,
        "distributed.cli.dask_scheduler",
        *("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-jupyter", "--scheduler-file", str(file)),
    )
    end = time.monotonic() + 120
    while not file.exists() or "address" not in file.read_text():
        assert time.monotonic() < end, "no scheduler"
        time.sleep(0.1)
    return file.read_text().partition('"address": "')[2].partition('"')[0]


def worker(processes, address, tmp_path):
    return dask(
        processes,
        "distributed.cli.dask_worker",
        *(address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"),
        *("--local-directory", str(tmp_path)),
    )


def test_a_worker_killed_in_the_middle_costs_nothing(tmp_path, processes):
    address = scheduler(processes, tmp_path)
    workers = [worker(processes, address, tmp_path) for _ in range(3)]
    output = tmp_path / "t.parquet"
    process = start(slow_grid(tmp_path, 15), "-o", output, "--scheduler", address)
    processes.append(process)
    wait_for_rows(output, 3, process)
    workers[0].kill()
    _, words = process.communicate(timeout=400)
    assert process.returncode == 0, words
    assert "15 rows, 0 of them known before" in words
    found = pyarrow.parquet.read_table(output).to_pylist()
    assert [row["seed"] for row in found] == list(range(15))
    assert {row["laws_at_least"] for row in found} == {found[0]["laws_at_least"]}
    assert finished(output) == 15


def test_a_scheduler_that_goes_away_is_one_sentence_and_loses_nothing(tmp_path, processes):
    address = scheduler(processes, tmp_path)
    worker(processes, address, tmp_path)
    output = tmp_path / "t.parquet"
    process = start(slow_grid(tmp_path, 30), "-o", output, "--scheduler", address)
    processes.append(process)
    wait_for_rows(output, 1, process)
    processes[0].kill()
    _, words = process.communicate(timeout=400)
    assert process.returncode == 1
    assert words == f"gradlaws: the scheduler at {address} went away: run the same command again to go on\n"
    assert pyarrow.parquet.read_table(output).num_rows == finished(output) >= 1


def test_no_scheduler(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    with pytest.raises(InputError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9'"):
        survey(slow_grid(tmp_path, 1), tmp_path / "t.parquet", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(InputError, match="no Dask scheduler answers at 'nonsense:'"):
        survey(slow_grid(tmp_path, 1), tmp_path / "t.parquet", scheduler="nonsense:")


class Workers:
    """The part of a client that looks after versions."""

    def __init__(self, answer):
        self.answer = answer

    def wait_for_workers(self, count, timeout):
        if self.answer is None:
            raise TimeoutError

    def run(self, function):
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"tcp://one": function(), "tcp://two": self.answer}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "the Dask cluster has no workers"),
        (ModuleNotFoundError("No module named 'gradlaws'"), "the workers cannot run gradlaws: ModuleNotFoundError"),
        ("0.0.1", "worker tcp://two has gradlaws 0.0.1, but this is"),
    ],
)
def test_workers_that_would_answer_differently(answer, words):
    with pytest.raises(InputError) as caught:
        cluster._same_version(Workers(answer))
    assert words in str(caught.value)


def test_without_distributed_a_sentence(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(cluster, "import_module", absent)
    with pytest.raises(InputError, match=r"needs dask.distributed: pip install"):
        next(cluster.run_on_cluster([Task("linear 1-1-1")], "tcp://127.0.0.1:9"))
