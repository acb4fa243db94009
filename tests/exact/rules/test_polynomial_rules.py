"""Rules of polynomial operations against torch itself: values, mixed derivatives and gradients, integer by integer."""

import pytest
import torch

from gradlaws.exact.execute import RULES
from gradlaws.exact.jet import Jet
from tests.asserts import assert_residues
from tests.exact.rules.cases import ARITHMETIC, PRODUCTS, STRUCTURE, Case
from tests.exact.rules.program import gradients, in_torch, integers, over_the_field
from tests.samplers import GUARDED

CASES = (*PRODUCTS, *STRUCTURE, *ARITHMETIC)
PLANTED = {
    "aten.mul": "mul",
    "aten.sum": "sum over axes",
    "aten.conv1d": "conv1d",
    "aten.slice_scatter": "written slice",
    "aten.avg_pool1d": "average pool 1d",
}
FORGETFUL = {"aten.mul": "mul", "aten.matmul": "matmul", "aten.einsum": "einsum with itself"}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_mixed_derivatives_are_those_of_torch(case):
    w, found = over_the_field(CASES, case, order=2)
    assert_residues(found, GUARDED)
    expected = in_torch(case, w)
    assert torch.equal(found, GUARDED.reduce(expected))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_and_their_derivatives_are_those_of_torch(case):
    found, expected = gradients(CASES, case)
    assert_residues(found, GUARDED)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", ["aten.mul", "aten.sum", "aten.conv1d", "aten.slice_scatter", "aten.avg_pool1d"])
def test_a_planted_wrong_rule_is_seen(monkeypatch, name):
    case = next(case for case in CASES if case.name == PLANTED[name])
    rule = RULES[name]

    def wrong(site, *args, **kwargs):
        out = rule(site, *args, **kwargs)
        return out + out.sum()

    monkeypatch.setitem(RULES, name, wrong)
    w, found = over_the_field(CASES, case, order=1)
    assert not torch.equal(found, GUARDED.reduce(in_torch(case, w)))
    found, expected = gradients(CASES, case)
    assert not torch.equal(found, expected)


@pytest.mark.parametrize("name", ["aten.mul", "aten.matmul", "aten.einsum"])
def test_a_rule_that_forgets_the_last_coefficient_is_seen(monkeypatch, name):
    case = next(case for case in CASES if case.name == FORGETFUL[name])
    rule = RULES[name]

    def forgetful(site, *args, **kwargs):
        out = rule(site, *args, **kwargs)
        return Jet(torch.cat([out.coefficients[:-1], 0 * out.coefficients[-1:]]), out.field)

    monkeypatch.setitem(RULES, name, forgetful)
    w, found = over_the_field(CASES, case, order=2)
    assert not torch.equal(found, GUARDED.reduce(in_torch(case, w)))


def test_a_case_that_is_not_whole_is_no_case():
    with pytest.raises(AssertionError, match="not whole"):
        in_torch(Case("third", lambda w: w / 3, (3,)), integers((2, 2, 3), 1))
