"""Whole surveys: the table, what a kill leaves, going on, processes that die."""

import signal
import time
from pathlib import Path

import pyarrow.parquet
import pytest
from typer.testing import CliRunner

import gradlaws as gl
from gradlaws.cli import app
from gradlaws.errors import InputError
from gradlaws.survey import run, table
from gradlaws.survey.grid import Task
from gradlaws.survey.local import MOST_DEATHS
from gradlaws.survey.run import survey
from gradlaws.survey.work import answer
from tests.survey.runs import finished, slow_grid, start, wait_for_rows


def rows(path):
    return pyarrow.parquet.read_table(path).to_pylist()


def here(tasks, jobs):
    """Rows without processes, for what is not about them."""
    for task in tasks:
        yield task, answer(task)


@pytest.fixture
def in_process(monkeypatch):
    monkeypatch.setattr(run, "run_here", here)


def grid(tmp_path, text):
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return path


GRID = 'models = ["linear 1-2-1", "linear 2-2-2"]\nflows = ["gradient", "mirror:entropy", "momentum", "sign"]\n'


def test_the_table_says_what_the_library_says(tmp_path, in_process):
    done = survey(grid(tmp_path, GRID), tmp_path / "t.parquet")
    found = rows(tmp_path / "t.parquet")
    assert list(found[0]) == list(table.COLUMNS)
    assert (done.rows, done.known, done.statuses) == (8, 0, {"PROVED": 8})
    assert [(row["model"], row["flow"]) for row in found[:2]] == [
        ("linear 1-2-1", "gradient"),
        ("linear 1-2-1", "mirror:entropy"),
    ]
    for row in found:
        count = gl.count(row["model"], flow=row["flow"])
        assert (row["laws_at_least"], row["laws_at_most"], row["variables"]) == (
            count.lower,
            count.upper,
            count.parameters,
        )
    assert found[4]["formulas"] == ["W1 W1^T - W2^T W2    symmetric matrix, 3 laws"]
    assert found[0]["seed"] is None


def test_a_grown_grid_computes_new_rows_only(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(run, "run_here", lambda tasks, jobs: here([asked.append(t) or t for t in tasks], jobs))
    path = grid(tmp_path, GRID)
    survey(path, tmp_path / "t.parquet")
    before = rows(tmp_path / "t.parquet")
    heard = []
    path.write_text('models = ["relu 1-1-1"]\n[[grid]]\n' + GRID)
    done = survey(path, tmp_path / "t.parquet", on_progress=lambda stage, fraction: heard.append((stage, fraction)))
    assert (done.rows, done.known, len(asked)) == (9, 8, 9)
    assert rows(tmp_path / "t.parquet")[1:] == before
    assert heard == [("9 of 9 rows", 1.0)]
    assert str(done) == "9 rows, 8 of them known before: 9 PROVED"


def test_a_refusal_is_a_row(tmp_path, in_process):
    text = 'models = ["linear 2-2-2"]\nflows = ["mirror:entropy:W9"]\n'
    assert survey(grid(tmp_path, text), tmp_path / "t.parquet").statuses == {"REFUSED": 1}
    (row,) = rows(tmp_path / "t.parquet")
    assert row["error"].startswith("no parameter is called 'W9'")
    assert row["laws_at_least"] is None


def test_an_interrupt_leaves_a_table_of_what_is_finished(tmp_path, monkeypatch):
    def interrupted(tasks, jobs):
        yield tasks[0], answer(tasks[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_here", interrupted)
    with pytest.raises(KeyboardInterrupt):
        survey(grid(tmp_path, GRID), tmp_path / "t.parquet")
    assert len(rows(tmp_path / "t.parquet")) == 1
    monkeypatch.setattr(run, "run_here", here)
    assert survey(grid(tmp_path, GRID), tmp_path / "t.parquet").known == 1


def test_a_failed_write_leaves_the_old_table(tmp_path, in_process, monkeypatch):
    path = tmp_path / "t.parquet"
    survey(grid(tmp_path, GRID), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(OSError, match="no space left"):
        survey(grid(tmp_path, GRID), path)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["grid.toml", "t.parquet", "t.parquet.journal"]


def children(pid):
    """Processes whose parent this is, by /proc."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_survey_goes_on_and_repeats_nothing(tmp_path):
    path, output = slow_grid(tmp_path, 8), tmp_path / "t.parquet"
    process = start(path, "-o", output, "-j", 2)
    wait_for_rows(output, 2, process)
    workers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert workers
    journal = output.with_name("t.parquet.journal")
    known = finished(output)
    assert 2 <= known < 8
    assert not output.exists()
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"key": "torn')
    again = start(path, "-o", output, "-j", 1)
    _, words = again.communicate(timeout=400)
    assert again.returncode == 0, words
    assert f"8 rows, {known} of them known before" in words
    assert journal.read_bytes().startswith(whole)
    assert finished(output) == 8
    assert [row["seed"] for row in rows(output)] == list(range(8))
    end = time.monotonic() + 120
    while any(map(alive, workers)):
        assert time.monotonic() < end, "workers outlive their survey"
        time.sleep(0.1)


def test_a_row_that_kills_its_process_is_given_up_and_no_other(tmp_path):
    (tmp_path / "boom.py").write_text("import os\ndef make():\n    os.kill(os.getpid(), 9)\n")
    text = 'models = ["linear 1-1-1", "boom.py:make", "relu 1-1-1"]\n'
    process = start(grid(tmp_path, text), "-o", tmp_path / "t.parquet", "-j", 2)
    _, words = process.communicate(timeout=400)
    assert process.returncode == 0, words
    found = rows(tmp_path / "t.parquet")
    assert [row["status"] for row in found] == ["PROVED", "REFUSED", "PROVED"]
    assert found[1]["error"].startswith(f"its process died {MOST_DEATHS} times")


def test_the_command_refuses_with_one_sentence(tmp_path):
    path = grid(tmp_path, GRID)
    for arguments, words in [
        ([path, "-o", tmp_path / "none" / "t.parquet"], "there is no folder"),
        ([path, "-o", tmp_path], "expected the name of a file in a folder that is writable"),
        ([tmp_path / "none.toml", "-o", tmp_path / "t.parquet"], "cannot read"),
        ([path, "-o", tmp_path / "t.parquet", "-j", "-1"], "-1 processes: expected at least 1"),
    ]:
        result = CliRunner().invoke(app, ["survey", *map(str, arguments)])
        assert result.exit_code == 2
        assert words in result.stderr
        assert "Traceback" not in result.stderr


def test_without_pyarrow_a_sentence(tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(table, "import_module", absent)
    with pytest.raises(InputError, match="needs pyarrow: pip install"):
        survey(grid(tmp_path, GRID), tmp_path / "t.parquet")


def test_keys_do_not_depend_on_the_order_of_options():
    assert Task("a", "b", (("x", 1), ("y", 2))).key == Task("a", "b", (("y", 2), ("x", 1))).key
