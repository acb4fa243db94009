"""A grid of questions in a TOML file: models x flows x options.

    models = ["linear 2-2-2", "relu 2-3-2 bias"]
    flows = ["gradient", "momentum:tau=1/2"]

    [options]                                         # each a list; all combinations are asked
    seed = [0, 1]

Further grids may follow as ``[[grid]]`` tables with the same keys. A row that several grids ask for is asked once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from gradlaws.errors import InputError
from gradlaws.flows.read import read_flow
from gradlaws.flows.toml import is_fields_file, read_fields_file
from gradlaws.models.load import is_factory
from gradlaws.models.located import located, read_toml
from gradlaws.models.spec import read_spec

OPTIONS: dict[str, type] = {"seed": int, "degree": int, "lower_only": bool}
_KEYS = ("models", "flows", "options")
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Task:
    """One question: the row of the table that it fills.

    Args:
        model: a spec, ``FILE.py:FACTORY`` or ``FILE.toml``; files by their full path.
        flow: how it is trained, as text.
        options: names and values of options of `gradlaws.laws`.
        content: a hash of the file that the model is in: another content is another question.
    """

    model: str
    flow: str = "gradient"
    options: tuple[tuple[str, Any], ...] = ()
    content: str = ""

    @property
    def key(self) -> str:
        """The same for the same question, in every process."""
        return json.dumps([self.model, self.flow, sorted(self.options), self.content])


def read_grid(path: Path) -> list[Task]:
    """All rows of a grid, in the order of the file.

    Raises:
        InputError: the file is not there or not understood, or it asks for nothing; the message names the line.
    """
    document, lines = read_toml(path)
    return _Grid(path, lines).read(document)


def _content(model: str) -> str:
    """A hash of the file that a model is in; empty for a spec."""
    file = model.rpartition(":")[0] if is_factory(model) else model
    return sha256(Path(file).read_bytes()).hexdigest()[:16] if is_factory(model) or is_fields_file(model) else ""


class _Grid:
    """A file that knows where its parts are written."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self._path = path
        self._lines = lines

    def read(self, document: dict[str, Any]) -> list[Task]:
        """The rows of the grid at the top, then those of the others."""
        others = document.pop("grid", [])
        if not (isinstance(others, list) and all(isinstance(other, dict) for other in others)):
            raise self._error("grid", "grid must be a list of tables: write [[grid]]")
        grids = ([document] if document else []) + others
        if not grids:
            raise InputError(f"{self._path} asks for nothing: expected models = [...] and perhaps flows = [...]")
        return list(dict.fromkeys(task for grid in grids for task in self._tasks(grid)))

    def _tasks(self, grid: dict[str, Any]) -> Iterator[Task]:
        for key in grid:
            if key not in _KEYS:
                raise self._error(key, f"unknown key {key!r}: expected {', '.join(_KEYS)} or [[grid]]")
        models = [self._model(text) for text in self._texts(grid, "models", None)]
        flows = self._texts(grid, "flows", ["gradient"])
        for flow in flows:
            self._try(flow, read_flow)
        options = grid.get("options", {})
        if not isinstance(options, dict):
            raise self._error("options", "options must be a table: write [options]")
        named = [[(name, value) for value in self._values(name, values)] for name, values in options.items()]
        count = len(models) * len(flows) * prod(len(values) for values in named)
        if count > _MOST:
            raise InputError(f"{self._path} asks for {count} rows at once: expected at most {_MOST}")
        contents = {model: _content(model) for model in models}
        for model, flow, chosen in product(models, flows, product(*named)):
            yield Task(model, flow, tuple(sorted(chosen)), contents[model])

    def _model(self, text: str) -> str:
        """Checked as far as it can be without running anybody's code; files by their full path."""
        if is_factory(text):
            path, _, name = text.rpartition(":")
            if not (self._path.parent / path).is_file():
                raise self._error(text, f"no file {path!r} beside the grid")
            return f"{(self._path.parent / path).resolve()}:{name}"
        if is_fields_file(text):
            file = (self._path.parent / text).resolve()
            self._try(text, lambda _: read_fields_file(file))
            return str(file)
        self._try(text, read_spec)
        return text

    def _values(self, name: str, values: Any) -> list[Any]:
        if name not in OPTIONS:
            raise self._error(name, f"unknown option {name!r}: expected {', '.join(OPTIONS)}")
        kind = OPTIONS[name]
        found = values if isinstance(values, list) else [values]
        if not found or any(type(value) is not kind for value in found):
            raise self._error(name, f"option {name} must be a list of {kind.__name__} values, got {values!r}")
        return found

    def _texts(self, grid: dict[str, Any], key: str, default: list[str] | None) -> list[str]:
        values = grid.get(key, default)
        if not (isinstance(values, list) and values and all(isinstance(value, str) for value in values)):
            raise self._error(key, f"{key} must be a list of texts in quotes, at least one, in every grid")
        return values

    def _try(self, text: str, read: Callable[[str], Any]) -> None:
        try:
            read(text)
        except InputError as error:
            raise self._error(text, str(error)) from None

    def _error(self, part: str, words: str) -> InputError:
        return located(self._path, self._lines, part, words)
