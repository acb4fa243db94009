"""Stores as CSV or Parquet, one file for each table."""

from __future__ import annotations

import csv
from importlib import import_module
from pathlib import Path
from typing import Any

from gradlaws.errors import InputError
from gradlaws.training.store import TABLES, columns, open_for_reading


def export_csv(store: str | Path, folder: str | Path) -> list[Path]:
    """Write runs.csv, laws.csv, steps.csv and findings.csv.

    Args:
        store: the SQLite file; it may still be written to.
        folder: made if it is not there.

    Returns:
        The files.

    Raises:
        InputError: there is no such store, or it is of another kind or version.
    """
    written = []
    for table, rows in _contents(store).items():
        path = _folder(folder) / f"{table}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns(table))
            writer.writerows(rows)
        written.append(path)
    return written


def export_parquet(store: str | Path, folder: str | Path) -> list[Path]:
    """Write runs.parquet, laws.parquet, steps.parquet and findings.parquet with pyarrow.

    Raises:
        InputError: pyarrow is not installed; or as `export_csv`.
    """
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise InputError(
            "Parquet needs pyarrow, which is not installed: pip install pyarrow, or use export_csv"
        ) from None
    written = []
    for table, rows in _contents(store).items():
        path = _folder(folder) / f"{table}.parquet"
        named = {name: [row[i] for row in rows] for i, name in enumerate(columns(table))}
        parquet.write_table(arrow.table(named), str(path))
        written.append(path)
    return written


def _contents(store: str | Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, as one reader sees them at one moment."""
    connection = open_for_reading(store)
    try:
        connection.execute("BEGIN")
        return {
            table: connection.execute(f"SELECT {', '.join(columns(table))} FROM {table} ORDER BY rowid").fetchall()
            for table in TABLES
        }
    finally:
        connection.close()


def _folder(folder: str | Path) -> Path:
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path
