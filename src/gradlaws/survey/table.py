"""The table of a survey as Parquet: written beside its place, then moved there, so that no half of it is ever seen."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from gradlaws.errors import InputError

COLUMNS = {
    "model": "string",
    "flow": "string",
    "seed": "int64",
    "degree": "int64",
    "lower_only": "bool_",
    "variables": "int64",
    "laws_at_least": "int64",
    "laws_at_most": "int64",
    "lie_dimension": "int64",
    "status": "string",
    "formulas": "list",
    "notes": "list",
    "assumptions": "list",
    "failure_probability": "float64",
    "error": "string",
    "seconds": "float64",
    "version": "string",
}
"""Names and Arrow types; what does not apply to a row is null there."""


def writable(path: Path) -> None:
    """Raise InputError where a table could not be written, before any work is done."""
    _arrow()
    if not path.parent.is_dir():
        raise InputError(f"cannot write {str(path)!r}: there is no folder {str(path.parent)!r}")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write {str(path)!r}: expected the name of a file in a folder that is writable")


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write all rows, or none."""
    arrow, parquet = _arrow()
    types = {name: getattr(arrow, kind)() for name, kind in COLUMNS.items() if kind != "list"}
    types |= {name: arrow.list_(arrow.string()) for name, kind in COLUMNS.items() if kind == "list"}
    table = arrow.table({name: arrow.array([row.get(name) for row in rows], types[name]) for name in COLUMNS})
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    try:
        parquet.write_table(table, temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _arrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise InputError("a survey writes Parquet and needs pyarrow: pip install 'gradlaws[survey]'") from None
