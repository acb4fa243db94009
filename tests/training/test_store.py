"""The store: written as a run goes, read meanwhile, whole after a kill, and polite about files that are not its own."""

import csv
import importlib
import signal
import sqlite3
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from gradlaws.errors import InputError
from gradlaws.training import store as stores
from gradlaws.training.export import export_csv, export_parquet
from gradlaws.training.record import Finding, LawRecord, RunRecord, StepRecord
from gradlaws.training.store import Store

RUN = RunRecord("first", "Net", "SGD", 1, 10, 100.0)
LAWS = [LawRecord(i, f"|W{i}|^2", f"W_{i}", "block", "trace", 2, 1, f"block.W{i}", 1e-7) for i in range(3)]
FINDING = Finding(2, "tied weights", 1, "block", "block.W1", 0.5, "the weights are tied")


def records(step):
    return [StepRecord(step, law, 1.5, *[step + law / 8] * 8, None, 0.0, 0.1, 0.2) for law in range(3)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.db"


def written(path, steps, run=RUN):
    store = Store.begin(path, run, LAWS)
    for step in steps:
        store.append(records(step), [FINDING] if step == 2 else [])
    return store


def test_what_was_written_is_read(path):
    written(path, [1, 2]).finish()
    (run,) = stores.runs(path)
    assert run.finished > 1e9
    assert replace(run, finished=None) == replace(RUN, number=1)
    assert list(stores.laws(path, 1)) == LAWS
    assert list(stores.steps(path, 1)) == records(1) + records(2)
    assert stores.findings(path, 1) == (FINDING,)


def test_a_run_is_read_while_it_writes(path):
    store = written(path, [1])
    assert len(stores.steps(path, 1)) == 3
    reader = stores.open_for_reading(path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM steps").fetchone() == (3,)
    store.append(records(2))
    assert reader.execute("SELECT count(*) FROM steps").fetchone() == (3,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM steps").fetchone() == (6,)
    reader.close()
    assert stores.runs(path)[0].finished is None
    store.finish()


def test_several_runs_at_once_in_one_file(path):
    first, second = written(path, [1]), written(path, [1, 2], replace(RUN, name="second"))
    first.append(records(5))
    first.finish()
    second.finish()
    assert [(run.number, run.name) for run in stores.runs(path)] == [(1, "first"), (2, "second")]
    assert [{s.step for s in stores.steps(path, n)} for n in (1, 2)] == [{1, 5}, {1, 2}]


def test_a_diverged_run_is_kept(path):
    store = Store.begin(path, RUN, LAWS)
    store.append([replace(records(1)[0], drift=float("nan"), gap=float("inf"))])
    store.finish()
    (step,) = stores.steps(path, 1)
    assert step.drift == step.gap == float("inf")


WRITER = """
import sys
sys.path.insert(0, {root!r})
from tests.training.test_store import LAWS, RUN, Store, records
store = Store.begin(sys.argv[1], RUN, LAWS)
step = 0
while True:
    step += 1
    store.append(records(step))
    print(step, flush=True)
"""


def test_a_killed_run_loses_nothing_but_the_step_in_flight(path, request):
    script = WRITER.format(root=str(request.config.rootpath))
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    seen = [int(process.stdout.readline()) for _ in range(40)]
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    last = int(rest.split()[-1]) if rest.split() else seen[-1]
    found = [step.step for step in stores.steps(path, 1)]
    assert found in ([s for step in range(1, last + extra + 1) for s in [step] * 3] for extra in (0, 1))
    after = Store.begin(path, RUN, LAWS)
    assert after.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    after.finish()


def test_a_full_disk_is_one_sentence_and_loses_no_earlier_step(path):
    store = written(path, [1])
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    many = [record for step in range(2, 500) for record in records(step)]
    with pytest.raises(InputError, match=r"the disk is full: free some space"):
        store.append(many)
    assert not store.connection.in_transaction
    store.finish()
    assert list(stores.steps(path, 1)) == records(1)


def test_a_folder_that_is_not_there(path):
    with pytest.raises(InputError, match="choose a file in a folder that you may write to"):
        Store.begin(path / "deeper" / "run.db", RUN, LAWS)


def test_a_store_of_another_version(path):
    written(path, [1]).finish()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    for use in (lambda: Store.begin(path, RUN, LAWS), lambda: stores.runs(path)):
        with pytest.raises(InputError, match="is a store of version 7, and this gradlaws reads and writes version 2"):
            use()


def test_the_database_of_another_program(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE shopping (item TEXT)")
    connection.close()
    with pytest.raises(InputError, match="is a database of another program"):
        Store.begin(path, RUN, LAWS)


def test_a_file_that_is_no_database(path):
    path.write_text("no database at all " * 100)
    for use in (lambda: Store.begin(path, RUN, LAWS), lambda: stores.runs(path)):
        with pytest.raises(InputError, match="is not a store of runs"):
            use()


def test_a_store_that_is_not_there(path):
    with pytest.raises(InputError, match="there is no store"):
        stores.runs(path)


def test_csv(path, tmp_path):
    store = written(path, [1, 2])
    files = export_csv(path, tmp_path / "out")
    store.finish()
    assert [file.name for file in files] == ["runs.csv", "laws.csv", "steps.csv", "findings.csv"]
    with files[2].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["step"], row["law"]) for row in rows][:4] == [
        *(("1", "1", f"{i}") for i in range(3)),
        ("1", "2", "0"),
    ]
    assert float(rows[4]["observed"]) == 2.125
    assert rows[0]["unexplained"] == ""


def test_parquet_without_pyarrow(path, tmp_path, monkeypatch):
    written(path, [1]).finish()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="pip install pyarrow, or use export_csv"):
        export_parquet(path, tmp_path)


def test_parquet_is_read_back(path, tmp_path):
    written(path, [1, 2]).finish()
    files = export_parquet(path, tmp_path / "out")
    read = importlib.import_module("pyarrow.parquet").read_table
    assert read(files[2]).column_names == stores.columns("steps")
    assert read(files[2]).to_pylist()[4] == {"run": 1, **asdict(records(2)[1])}
    assert read(files[3])["text"].to_pylist() == [FINDING.text]
