"""The closed rank against ranked gradients, and against the formula of the reference sheet."""

from itertools import product

import pytest
from hypothesis import given, settings

from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.closed_form import closed_rank
from gradlaws.laws.independence import independent
from gradlaws.laws.structured import find_gram_laws
from gradlaws.models.network import Network
from tests.oracles.sheet import balance_laws
from tests.samplers import FIELD, generator, networks


def ranked(network):
    flow = GradientFlow(network)
    laws = find_gram_laws(flow, FIELD, generator(1))
    return independent(laws, flow, FIELD, generator(2)).rank


@settings(max_examples=150)
@given(networks(largest=60))
def test_closed_rank_is_the_rank_of_the_gradients(network):
    assert closed_rank(network) == ranked(network)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("width", range(1, 8))
def test_hidden_widths_beyond_the_sum_of_the_neighbours(width, bias):
    for before, after in product([1, 2], [1, 2]):
        network = Network("linear", (before, width, after), bias=bias)
        assert closed_rank(network) == ranked(network)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_without_biases_it_is_the_formula_of_the_sheet(depth):
    for widths in product(range(1, 4), repeat=depth + 1):
        assert closed_rank(Network("linear", widths)) == balance_laws(widths)
