"""The float64 engine is independent of the exact one: it imports none of its arithmetic, programs or fields."""

import ast
from pathlib import Path

import pytest

from gradlaws.laws.numeric import count

FILES = sorted(Path(count.__file__).parent.glob("*.py"))
SHARED = {"gradlaws.errors", "gradlaws.progress", "gradlaws.laws.count", "gradlaws.laws.law"}
"""Sentences of errors, the type of a listener, the record of a count, and how a signed sum is written."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_only_words_are_shared(path):
    modules = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    ours = {module for module in modules if module.startswith("gradlaws")}
    assert {module for module in ours if not module.startswith("gradlaws.laws.numeric")} <= SHARED


def test_of_laws_only_the_writing_of_sums_is_used():
    text = "".join(path.read_text() for path in FILES)
    assert "from gradlaws.laws.law import signed_sum\n" in text
    assert text.count("gradlaws.laws.law ") == 1
