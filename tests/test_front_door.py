"""What a user imports: few names, quickly, and nothing that was not asked for."""

import importlib
import subprocess
import sys

import gradlaws
from gradlaws.laws.closure import close

OPTIONAL = (
    "sympy",
    "pyarrow",
    "dask",
    "distributed",
    "flint",
    "lightning",
    "pytorch_lightning",
    "transformers",
    "matplotlib",
    "sklearn",
)


def modules_after(statement):
    code = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def assert_no_optional_library(statement):
    """What torch brings along by itself is not ours."""
    extra = modules_after(statement) - modules_after("import torch")
    assert not extra & set(OPTIONAL)


def test_at_most_twenty_names_and_all_are_there():
    assert len(gradlaws.__all__) <= 20
    assert all(hasattr(gradlaws, name) for name in gradlaws.__all__)


def test_the_rooms_open_although_laws_is_a_function():
    assert callable(gradlaws.laws)
    assert callable(close)
    assert importlib.import_module("gradlaws.laws.closure").close is close


def test_importing_gradlaws_loads_no_optional_library():
    assert_no_optional_library("import gradlaws")


def test_a_planted_import_is_seen():
    extra = modules_after("import gradlaws, flint") - modules_after("import torch")
    assert "flint" in extra & set(OPTIONAL)


def test_a_size_and_a_status_are_one_line_each():
    answer = gradlaws.laws("relu 2-5-3")
    assert (answer.count.lower, answer.count.upper, str(answer.status)) == (5, 5, "Status.PROVED")
