"""docs/flows.md is what its script writes: tables are computed again, and a wrong number stops the script."""

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def script():
    spec = importlib.util.spec_from_file_location("make_flows", DOCS / "make_flows.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_flows"] = module
    spec.loader.exec_module(module)
    return module


make_flows = script()
WRITTEN = (DOCS / "flows.md").read_text()


@pytest.mark.parametrize("name", make_flows.QUICK)
def test_the_committed_table_is_the_computed_one(name):
    assert make_flows.table(name) in WRITTEN


def test_the_text_around_the_tables_is_committed_too():
    for piece in re.split(r"<!-- \w+ -->", make_flows.TEXT.read_text()):
        assert piece in WRITTEN
    assert "<!--" not in WRITTEN


def test_the_modules_are_the_rows_of_the_sheet():
    """They are computed in tests/models; here only that each has its line with the number of laws."""
    for entry in make_flows.modules():
        lines = [line for line in WRITTEN.splitlines() if line.startswith(f"| {entry.name} | `{entry.flow}` |")]
        assert any(line.split(" | ")[3] == str(entry.expected) and "PROVED" in line for line in lines), entry.name


def test_a_wrong_number_stops_the_script():
    wrong = replace(make_flows.networks()[0], expected=2)
    with pytest.raises(SystemExit, match="1 PROVED laws, expected 2"):
        wrong.line()
