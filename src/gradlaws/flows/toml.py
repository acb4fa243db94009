"""Vector fields and parametrisations from a small TOML file, with the line of whatever is wrong in it.

    variables = ["x", "y"]
    fields = [["x*(2/3 - 4/3*y)", "y*(x - 1)"]]     # one list for each field, one entry for each variable

or, instead of fields, ``potentials = ["x*y"]``: the functions whose gradients are followed; perhaps in the metric of
``hessian = [["1/x", "0"], ["0", "1"]]``, the second derivatives of a mirror map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gradlaws.errors import InputError
from gradlaws.exact.expression import Quotient, read_expression
from gradlaws.flows.fields import Fields, gradients, vector_fields
from gradlaws.flows.flow import Flow
from gradlaws.flows.hessian import HessianMap
from gradlaws.models.family import Family
from gradlaws.models.located import located, read_toml
from gradlaws.models.symbolic import numbered, parametrised

_KEYS = ("variables", "fields", "potentials", "hessian")


def is_fields_file(text: str) -> bool:
    """Whether a request names such a file."""
    return text.endswith(".toml")


def read_fields_file(path: Path) -> Family | Flow:
    """The family of polynomial potentials, or the flow of anything else.

    Raises:
        InputError: the file is not there or not understood; the message names the line.
    """
    document, lines = read_toml(path)
    return _File(path, lines).read(document)


class _File:
    """A file that knows where its parts are written."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self._path = path
        self._lines = lines

    def read(self, document: dict[str, Any]) -> Family | Flow:
        """What the document describes."""
        for key in document:
            if key not in _KEYS:
                raise self._error(key, f"unknown key {key!r}: expected {', '.join(_KEYS)}")
        if "variables" not in document or ("fields" in document) == ("potentials" in document):
            raise InputError(f"{self._path}: expected variables, and either fields or potentials")
        variables = self._texts(document["variables"], "variables")
        with self._at("variables"):
            numbers = numbered(variables)
        if "fields" in document:
            if "hessian" in document:
                raise self._error("hessian", "a hessian goes with potentials: fields are followed as they are")
            return self._fields(document["fields"], variables, numbers)
        texts = self._texts(document["potentials"], "potentials")
        if "hessian" in document:
            return self._bent(texts, document["hessian"], variables, numbers)
        return self._potentials(texts, variables, numbers)

    def _fields(self, fields: Any, variables: list[str], numbers: dict[str, int]) -> Fields:
        if not isinstance(fields, list):
            raise self._error("fields", "fields is not a list of lists of texts")
        rows = [self._texts(row, "fields") for row in fields]
        for row in rows:
            if len(row) != len(variables):
                raise self._error(
                    row[0] if row else "fields",
                    f"a field has {len(row)} entries, but there are {len(variables)} variables",
                )
            self._try(row, numbers)
        with self._at("fields"):
            return vector_fields(variables, rows)

    def _potentials(self, texts: list[str], variables: list[str], numbers: dict[str, int]) -> Family | Flow:
        read = self._try(texts, numbers)
        build: Callable[..., Family | Flow] = gradients if any(q.below.degree for q in read) else parametrised
        with self._at("potentials"):
            return build(variables, texts)

    def _bent(self, texts: list[str], hessian: Any, variables: list[str], numbers: dict[str, int]) -> Flow:
        if not isinstance(hessian, list):
            raise self._error("hessian", "hessian is not a list of lists of texts")
        rows = [self._texts(row, "hessian") for row in hessian]
        for row in rows:
            self._try(row, numbers)
        self._try(texts, numbers)
        with self._at("potentials"):
            family = parametrised(variables, texts)
        with self._at("hessian"):
            return HessianMap(rows)(family)

    def _try(self, texts: list[str], numbers: dict[str, int]) -> list[Quotient]:
        read = []
        for text in texts:
            with self._at(text):
                read.append(read_expression(text, numbers))
        return read

    def _texts(self, value: Any, key: str) -> list[str]:
        if not (isinstance(value, list) and all(isinstance(entry, str) for entry in value)):
            raise self._error(key, f"{key} must hold lists of texts in quotes")
        return value

    @contextmanager
    def _at(self, part: str) -> Iterator[None]:
        """Errors inside are about this part of the file."""
        try:
            yield
        except InputError as error:
            raise self._error(part, str(error)) from None

    def _error(self, part: str, words: str) -> InputError:
        return located(self._path, self._lines, part, words)
