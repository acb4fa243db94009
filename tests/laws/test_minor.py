"""Minors of small integers: the rank they show is there, and where it is not there they say None."""

import pytest
import torch

import gradlaws as gl
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.closure import bracket
from gradlaws.laws.minor import find_minor
from gradlaws.models.network import Network
from tests.oracles import slow_linalg
from tests.samplers import FIELD, SMALL_NETWORKS, generator, spec_of


def shown(network, minor):
    """The minor, evaluated anew: its residues."""
    rows = []
    for word in minor.words:
        letters = [{name: FIELD.reduce(v[i : i + 1].double()) for name, v in minor.instances.items()} for i in word]
        point = FIELD.reduce(minor.point.double()).view(1, 1, -1)
        rows.append(bracket(GradientFlow(network), letters, point, FIELD)[0, 0, list(minor.columns)])
    return torch.stack(rows)


@pytest.mark.parametrize("magnitude", [3, 99])
@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_a_minor_is_square_regular_and_small(network, magnitude):
    rank = gl.count(network).lie_dimension
    minor = find_minor(network, FIELD, rank, magnitude, generator(3))
    assert len(minor.words) == len(minor.columns) == rank
    assert list(minor.columns) == sorted(set(minor.columns))
    assert minor.point.abs().max() <= magnitude
    assert minor.point.ne(0).all()
    assert max(int(values.abs().max()) for values in minor.instances.values()) <= magnitude
    assert {letter for word in minor.words for letter in word} == set(range(len(minor.instances["x"])))
    assert slow_linalg.rank(shown(network, minor).long().tolist(), FIELD.prime) == rank


@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_a_rank_that_no_brackets_reach_gives_none(network):
    rank = gl.count(network).lie_dimension
    assert find_minor(network, FIELD, rank + 1, 3, generator(3)) is None


def test_no_rank_needs_no_words():
    minor = find_minor(Network("linear", (2, 2)), FIELD, 0, 3, generator(1))
    assert (minor.words, minor.columns) == ((), ())


def test_words_are_as_short_as_possible():
    """A linear network 2-2-2 has four independent fields at a point; the fifth direction is a bracket."""
    minor = find_minor(Network("linear", (2, 2, 2)), FIELD, 5, 3, generator(3))
    assert sorted(map(len, minor.words)) == [1, 1, 1, 1, 2]


def test_the_same_generator_gives_the_same_minor():
    first, second = (find_minor(Network("relu", (2, 3, 2)), FIELD, 9, 3, generator(4)) for _ in range(2))
    assert torch.equal(first.point, second.point)
    assert (first.words, first.columns) == (second.words, second.columns)
