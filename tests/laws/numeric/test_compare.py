"""The two engines confronted, with planted faults in one of them."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import ContradictionError, InputError
from gradlaws.laws.numeric import bracket, span
from gradlaws.laws.numeric.compare import compare
from gradlaws.laws.numeric.count import numeric_count
from tests.modules import mlp

VECTOR = torch.zeros(1, 2)


@pytest.fixture(scope="module")
def pair():
    module = mlp(nn.Identity, 2, 2, 2, bias=False)
    return gl.count(module, VECTOR), numeric_count(module, VECTOR, seed=6)


def test_engines_that_agree_pass(pair):
    compare(*pair)


@pytest.mark.parametrize("wrong", [2, 4])
def test_engines_that_disagree_name_seeds_and_numbers(pair, wrong):
    exact, numeric = pair
    numbers = rf"{wrong} laws in floating point \(seed 6, gap .*\), but 3 .* exactly \(seed 0, primes"
    with pytest.raises(ContradictionError, match=f"the engines disagree about Sequential: {numbers}"):
        compare(exact, replace(numeric, count=wrong))


@pytest.mark.parametrize("other", [{"at": "weights"}, {"narrowed": True}, {"pieces": ("topk",)}])
def test_more_laws_are_no_contradiction_where_the_question_was_narrower(pair, other):
    exact, numeric = pair
    compare(exact, replace(numeric, count=4, **other))
    with pytest.raises(ContradictionError, match="2 laws in floating point"):
        compare(exact, replace(numeric, count=2, **other))


def test_counts_of_different_parameters_are_not_compared(pair):
    with pytest.raises(InputError, match="counts of 8 and of 9 parameters cannot be compared"):
        compare(pair[0], replace(pair[1], parameters=9))


def test_a_bracket_with_a_wrong_sign_is_noticed(monkeypatch):
    """Planted: ``DY X + DX Y`` is no bracket, and leaves fewer laws."""
    module = mlp(nn.Identity, 2, 2, 2, bias=False)
    plus = bracket.bracket_terms
    monkeypatch.setattr(span, "bracket_terms", lambda x, y, theta: (plus(x, y, theta)[0], -plus(x, y, theta)[1]))
    with pytest.raises(ContradictionError, match=r"the engines disagree about Sequential: [0-2] laws"):
        compare(gl.count(module, VECTOR), numeric_count(module, VECTOR))
