"""One investigation: ranks by formula where they are too large."""

import gradlaws as gl
from gradlaws.laws import run
from tests.asserts import assert_count_is


def test_ranks_too_large_to_eliminate_come_from_the_closed_form(monkeypatch):
    by_elimination = gl.count("linear 2-7-3")
    monkeypatch.setattr(run, "_RANK_WORK", 0)
    by_formula = gl.count("linear 2-7-3")
    assert_count_is(by_formula, by_elimination.lower, by_elimination.upper)
    assert any("is the closed form" in note for note in by_formula.evidence.notes)
    assert "of 28 entries 25 are independent" in by_elimination.evidence.notes
