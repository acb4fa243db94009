"""Dependent laws are counted once."""

from dataclasses import replace

import pytest

from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws import independence
from gradlaws.laws.independence import independent
from gradlaws.laws.structured import find_gram_laws
from gradlaws.models.network import Network
from tests.asserts import assert_laws_independent
from tests.samplers import FIELD, generator


def setting(*widths):
    flow = GradientFlow(Network("linear", widths))
    return flow, find_gram_laws(flow, FIELD, generator(1))


def test_no_laws_have_rank_zero():
    flow, _ = setting(2, 2, 2)
    assert independent([], flow, FIELD, generator(1)).rank == 0


@pytest.mark.parametrize(("widths", "rank"), [((2, 3, 2), 6), ((2, 5, 2), 14), ((1, 7, 2), 18), ((1, 2, 2, 1), 6)])
def test_the_rank_counts_independent_entries(widths, rank):
    flow, laws = setting(*widths)
    assert_laws_independent(laws, flow, rank)


def test_a_law_twice_is_one_law():
    flow, laws = setting(2, 3, 2)
    found = independent([*laws, *laws], flow, FIELD, generator(1))
    assert (found.laws, found.rank) == (tuple(laws), 6)


def test_a_diagonal_of_a_known_matrix_adds_nothing():
    flow, (law,) = setting(2, 3, 2)
    diagonal = replace(law, selection="diagonal")
    assert independent([law, diagonal], flow, FIELD, generator(1)).laws == (law,)
    # the other way round too: the matrix says all that the diagonal says
    assert independent([diagonal, law], flow, FIELD, generator(1)).laws == (law,)


def test_the_right_ones_are_kept():
    flow, laws = setting(2, 3, 3, 2)
    first, second = (replace(law, selection="trace", width=1) for law in laws)
    found = independent([first, first, second], flow, FIELD, generator(1))
    assert (found.laws, found.rank) == ((first, second), 2)


def test_chunks_do_not_change_the_rank(monkeypatch):
    flow, laws = setting(2, 3, 3, 2)
    monkeypatch.setattr(independence, "_CHUNK_BYTES", 1)
    assert_laws_independent(laws, flow, 12)


def test_a_planted_dependence_is_seen():
    flow, laws = setting(2, 3, 2)
    with pytest.raises(AssertionError):
        assert_laws_independent([*laws, *laws], flow, 6)
