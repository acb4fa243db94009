"""Errors about a part of a text file, with the line where it is written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradlaws.errors import InputError


def read_toml(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The document and its lines.

    Raises:
        InputError: the file is not there, or is not TOML; the message of the reader names the line.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}") from None
    try:
        return tomllib.loads(source), source.splitlines()
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}") from None


def located(path: Path, lines: Sequence[str], part: str, words: str) -> InputError:
    """An error about a key, or about a text in quotes, with the line where it is first written."""
    key = re.compile(rf"\s*{re.escape(part)}\s*=")
    found = next((n for n, line in enumerate(lines, 1) if key.match(line)), None)
    found = next((n for n, line in enumerate(lines, 1) if f'"{part}"' in line or f"'{part}'" in line), found)
    return InputError(f"{path}, line {found}: {words}" if found else f"{path}: {words}")
