"""The journal of a survey: one line of JSON for each finished row, on the disk before the next one counts.

A survey that is killed loses the rows that were being computed and no other. A line that was torn by the kill is cut
off when the survey goes on. Two surveys cannot write one journal at once.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from gradlaws.errors import InputError

_HEADER = b'{"journal": "gradlaws survey", "format": 1}'


def journal_of(table: Path) -> Path:
    """The file beside a table."""
    return table.with_name(table.name + ".journal")


class Journal:
    """Finished rows by key; a context manager that holds the file for itself.

    Args:
        path: made if it is not there.

    Raises:
        InputError: it is not a journal, is damaged in the middle, is in use, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("a+b")
        except OSError as error:
            raise InputError(f"cannot write the journal {str(path)!r}: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.rows = self._read()
        except OSError:
            self._file.close()
            raise InputError(f"another survey is writing {str(path)!r}: wait for it, or choose another table") from None
        except InputError:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Write one finished row, once."""
        if key in self.rows:
            return
        self._append(json.dumps({"key": key, "row": row}).encode())
        self.rows[key] = row

    def _append(self, line: bytes) -> None:
        self._file.write(line + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self) -> dict[str, dict[str, Any]]:
        self._file.seek(0)
        header, *lines = self._file.read().split(b"\n")
        if not lines and _HEADER.startswith(header):  # new, or killed at once
            self._file.truncate(0)
            self._append(_HEADER)
            return {}
        if header != _HEADER:
            raise InputError(f"{str(self._path)!r} is not the journal of a survey: choose another table")
        torn = lines.pop()
        self._file.truncate(self._file.tell() - len(torn))
        rows: dict[str, dict[str, Any]] = {}
        for number, line in enumerate(lines, 2):
            entry = _parsed(line)
            if not (isinstance(entry, dict) and isinstance(entry.get("row"), dict) and "key" in entry):
                raise InputError(f"{self._path}, line {number}: not a row of a survey: restore or remove that line")
            rows[entry["key"]] = entry["row"]
        return rows


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
