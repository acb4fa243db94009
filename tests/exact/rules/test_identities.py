"""Rules that are not polynomial: what must be zero is, as a jet and as a gradient, and what must not be is not."""

import pytest
import torch

from gradlaws.exact import jet
from gradlaws.exact.jet import Jet, constant
from tests.exact.rules.identities import ATTENTION, DIFFERENT, NORMS, SMOOTH
from tests.exact.rules.program import BATCH, at_squares, run
from tests.samplers import GUARDED, residues

ZERO = (*SMOOTH, *NORMS, *ATTENTION)
OTHERS = tuple(DIFFERENT)


def slope(cases, case, w, context):
    """Gradient of a random combination of the outputs, at jets."""
    c = constant(residues((BATCH, *run(cases, case, w, context).shape), 7, GUARDED), GUARDED)

    def potential(theta):
        (piece,) = jet.split(theta, [case.shape])
        return (c * run(cases, case, piece, context)).sum()

    return jet.gradient(potential, w.coefficients.flatten(2), GUARDED)


def assert_vanishes(cases, case, eps="generic"):
    """All mixed derivatives of order two are zero, and so is the gradient with its own."""
    w, context = at_squares(cases, case, 2, eps)
    assert not bool(run(cases, case, w, context).coefficients.any())
    assert not bool(slope(cases, case, w, context).any())


@pytest.mark.parametrize("case", ZERO, ids=str)
def test_what_is_zero_is_zero(case):
    assert_vanishes(ZERO, case)


@pytest.mark.parametrize("case", NORMS, ids=str)
def test_norms_without_epsilon_agree_too(case):
    assert_vanishes(ZERO, case, eps="zero")


@pytest.mark.parametrize("case", OTHERS, ids=str)
def test_what_is_not_zero_is_not(case):
    with pytest.raises(AssertionError):
        assert_vanishes(OTHERS, case)


def test_without_epsilon_there_is_only_one():
    assert_vanishes(OTHERS, next(case for case in OTHERS if case.name == "two epsilons"), eps="zero")


def test_a_nonsquare_radicand_is_reported():
    case = next(case for case in ZERO if case.name == "root")
    w, context = at_squares(ZERO, case, 0)
    context.squares.clear()
    run(ZERO, case, Jet(torch.zeros_like(w.coefficients), GUARDED), context)
    assert not bool(torch.cat(context.squares).any())
