"""The samplers keep their promises, and reach what they should reach."""

import pytest
from hypothesis import find, given, settings

from gradlaws.exact import linalg
from gradlaws.models.network import ACTIVATIONS
from tests.asserts import assert_residues
from tests.samplers import FIELD, low_rank, networks, residues

ONCE = settings(max_examples=3000)


@given(networks(largest=20))
def test_networks_are_as_small_as_promised(network):
    assert network.dimension <= 20
    assert 2 <= network.depth <= 4
    assert min(network.widths) >= 1


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_every_kind_is_reached(kind):
    assert find(networks(), lambda network: network.activation == kind, settings=ONCE).activation == kind


def test_deep_networks_with_all_biases_are_reached():
    deep = find(networks(), lambda n: n.depth == 4 and n.bias and n.output_bias and min(n.widths) > 1, settings=ONCE)
    assert deep.depth == 4


def test_networks_with_more_hidden_units_than_neighbours_are_reached():
    wide = find(networks(), lambda n: n.widths[1] > n.widths[0] + n.widths[2], settings=ONCE)
    assert wide.widths[1] >= 3


def test_low_rank_has_the_rank_it_says():
    assert_residues(low_rank(20, 30, 7), FIELD)
    assert linalg.rank(low_rank(20, 30, 7), FIELD) == 7
    assert not residues((2, 2), 1).equal(residues((2, 2), 2))
