"""Runs in one SQLite file: written as they go, readable meanwhile, and whole up to the last step after a kill.

Write-ahead logging lets readers in while a run writes. One transaction holds all laws of one recorded step, so that a
step is there with all its laws or not at all. Several runs, one after the other or at once, share a file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from gradlaws.errors import InputError
from gradlaws.training.record import Finding, LawRecord, RunRecord, StepRecord

VERSION = 2
"""Of the tables; kept in SQLite's user_version."""

APPLICATION = 0x67726C77
"""Says that a file is one of ours (``grlw``); kept in SQLite's application_id."""

TABLES: dict[str, type[Any]] = {"runs": RunRecord, "laws": LawRecord, "steps": StepRecord, "findings": Finding}
_TYPES = {"int": "INTEGER NOT NULL", "float": "REAL NOT NULL", "str": "TEXT NOT NULL"}
_PATIENCE = 10.0
"""Seconds that a writer waits for another one."""

Record = TypeVar("Record", RunRecord, LawRecord, StepRecord, Finding)


@dataclass(frozen=True, eq=False, slots=True)
class Store:
    """One run that is being written.

    Args:
        path: of the file.
        connection: open for writing, in autocommit mode.
        run: number of the run.
    """

    path: Path
    connection: sqlite3.Connection
    run: int

    @staticmethod
    def begin(path: str | Path, run: RunRecord, laws: Sequence[LawRecord]) -> Store:
        """Open or make a file and enter a run with its laws.

        Raises:
            InputError: the file is of another kind or version, or cannot be written.
        """
        path = Path(path)
        try:
            connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection, path)
                connection.execute("BEGIN IMMEDIATE")
                number = _insert(connection, "runs", [replace(run, number=_next(connection))])
                _insert(connection, "laws", laws, number)
                connection.execute("COMMIT")
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise InputError(_cannot("write", path, error)) from error
        return Store(path, connection, number)

    def append(self, steps: Sequence[StepRecord], findings: Sequence[Finding] = ()) -> None:
        """Add all laws of one step, and what was found there, at once.

        Raises:
            InputError: the disk is full or the file has gone.
        """
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            _insert(self.connection, "steps", steps, self.run)
            _insert(self.connection, "findings", findings, self.run)
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise InputError(_cannot("write", self.path, error)) from error

    def finish(self) -> None:
        """Note the time and close.

        Raises:
            InputError: the disk is full or the file has gone.
        """
        try:
            self.connection.execute("UPDATE runs SET finished = ? WHERE number = ?", (time.time(), self.run))
        except sqlite3.Error as error:
            raise InputError(_cannot("write", self.path, error)) from error
        finally:
            self.connection.close()


def runs(path: str | Path) -> tuple[RunRecord, ...]:
    """All runs of a file, in the order in which they began.

    Raises:
        InputError: there is no such file, or it is of another kind or version.
    """
    return _read(path, "runs", RunRecord, None, "number")


def run_numbered(path: str | Path, number: int | None = None) -> RunRecord:
    """One run; the last one if no number is given.

    Raises:
        InputError: there is no such run; or as `runs`.
    """
    every = runs(path)
    for run in reversed(every):
        if number in (None, run.number):
            return run
    wanted = "no run" if number is None else f"no run {number}"
    raise InputError(f"{path} has {wanted}: it holds {', '.join(str(run.number) for run in every) or 'none'}")


def laws(path: str | Path, run: int) -> tuple[LawRecord, ...]:
    """The laws of one run."""
    return _read(path, "laws", LawRecord, run, "law")


def steps(path: str | Path, run: int) -> tuple[StepRecord, ...]:
    """What was measured in one run, by step and law."""
    return _read(path, "steps", StepRecord, run, "step, law")


def latest(path: str | Path, run: int) -> tuple[StepRecord, ...]:
    """The last record of each law of one run, by law; empty before the first."""
    last = "step = (SELECT max(step) FROM steps AS own WHERE own.run = ?1 AND own.law = steps.law)"
    return _read(path, "steps", StepRecord, run, "law", last)


def thinned(path: str | Path, run: int, points: int) -> tuple[StepRecord, ...]:
    """What was measured in one run, by law and step, in at most so many records for each law.

    Neighbouring records become one, with the last of their steps and the largest of each of their numbers: a peak of
    a single step stays. A law with no more records than that is given as it is.
    """
    inner = [field.name for field in fields(StepRecord) if field.name not in ("step", "law")]
    largest = ", ".join(f"max({name}) AS {name}" for name in inner)
    place = "(row_number() OVER own - 1) * min(:points, count(*) OVER every) / count(*) OVER every"
    numbered = (
        f"SELECT *, {place} AS place FROM steps WHERE run = :run "
        "WINDOW own AS (PARTITION BY law ORDER BY step), every AS (PARTITION BY law)"
    )
    sql = f"SELECT max(step) AS step, law, {largest} FROM ({numbered}) GROUP BY law, place ORDER BY law, place"
    return tuple(StepRecord(*row) for row in _rows(path, sql, {"run": run, "points": points}))


def findings(path: str | Path, run: int) -> tuple[Finding, ...]:
    """What was found in one run, as it came."""
    return _read(path, "findings", Finding, run, "rowid")


def open_for_reading(path: str | Path) -> sqlite3.Connection:
    """A connection that cannot write; rows are tuples.

    Raises:
        InputError: there is no such file, or it is of another kind or version.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no store {path}: gl.track(..., store={str(path)!r}) writes one")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)
        try:
            _refuse_others(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise InputError(_cannot("read", path, error)) from error
    return connection


def columns(table: str) -> list[str]:
    """Names of the columns, run first where it is not the table of runs."""
    own = [field.name for field in fields(TABLES[table])]
    return own if table == "runs" else ["run", *own]


def _read(
    path: str | Path, table: str, record: type[Record], run: int | None, order: str, only: str = "1"
) -> tuple[Record, ...]:
    names = ", ".join(field.name for field in fields(record))
    where = "" if run is None else f" WHERE run = ?1 AND {only}"
    rows = _rows(path, f"SELECT {names} FROM {table}{where} ORDER BY {order}", () if run is None else (run,))
    return tuple(record(*row) for row in rows)


def _rows(path: str | Path, sql: str, values: Any) -> list[tuple[Any, ...]]:
    connection = open_for_reading(path)
    try:
        return connection.execute(sql, values).fetchall()
    except sqlite3.Error as error:
        raise InputError(_cannot("read", Path(path), error)) from error
    finally:
        connection.close()


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Tables, if the file is new; a refusal, if it is not ours."""
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            connection.execute(_definition(table))
        connection.execute("CREATE INDEX IF NOT EXISTS steps_of_runs ON steps (run, step, law)")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    _refuse_others(connection, path)
    # a killed process loses nothing; a power cut may lose the last steps, and an fsync for each is not worth it
    connection.execute("PRAGMA synchronous = NORMAL")


def _refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    kind = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if kind != APPLICATION:
        raise InputError(f"{path} is a database of another program: choose another file as the store")
    if version != VERSION:
        raise InputError(
            f"{path} is a store of version {version}, and this gradlaws reads and writes version {VERSION}: choose "
            "another file, or the gradlaws that wrote it"
        )


def _definition(table: str) -> str:
    parts = [] if table == "runs" else ["run INTEGER NOT NULL REFERENCES runs (number)"]
    for field in fields(TABLES[table]):
        name = str(field.type)
        sort = _TYPES.get(name) or _TYPES[name.removesuffix(" | None")].removesuffix(" NOT NULL")
        parts.append(f"{field.name} {sort}{' PRIMARY KEY' if field.name == 'number' else ''}")
    return f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(parts)})"


def _next(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(number), 0) + 1 FROM runs").fetchone()[0])


def _insert(connection: sqlite3.Connection, table: str, records: Iterable[Any], run: int | None = None) -> int:
    """Rows of one table; the number of the last one."""
    names = columns(table)
    prefix = () if run is None else (run,)
    sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    connection.executemany(sql, [(*prefix, *_finite(astuple(record))) for record in records])
    return int(connection.execute("SELECT last_insert_rowid()").fetchone()[0])


def _finite(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """SQLite takes NaN for NULL, which these columns refuse: a diverged run is infinitely far off instead."""
    return tuple(float("inf") if isinstance(x, float) and x != x else x for x in row)  # noqa: PLR0124 - NaN differs


def _cannot(verb: str, path: Path, error: sqlite3.Error) -> str:
    reason = str(error)
    if "full" in reason:
        return f"cannot {verb} the store {path}, the disk is full: free some space, or choose a file on another disk"
    if "readonly" in reason or "unable to open" in reason:
        return f"cannot {verb} the store {path} ({reason}): choose a file in a folder that you may write to"
    if "not a database" in reason:
        return f"{path} is not a store of runs: choose another file"
    return f"cannot {verb} the store {path} ({reason}): choose another file"
