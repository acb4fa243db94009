"""Structured laws: found at any size, as a person writes them."""

import pytest
import torch
from hypothesis import given

from gradlaws.exact import linalg
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.closed_form import closed_rank
from gradlaws.laws.law import gradients, unflatten
from gradlaws.laws.structured import find_gram_laws
from gradlaws.models.spec import read_spec
from tests.asserts import assert_annihilates_brackets
from tests.samplers import FIELD, generator, networks, residues

TEXTS = {
    "linear 2-3-2": ["W1 W1^T - W2^T W2"],
    "linear 2-3-4-2 bias": ["W1 W1^T + b1 b1^T - W2^T W2", "W2 W2^T + b2 b2^T - W3^T W3"],
    "relu 2-5-3": ["|W1[k,:]|^2 - |W2[:,k]|^2"],
    "relu 4-6-2 bias": ["|W1[k,:]|^2 + b1[k]^2 - |W2[:,k]|^2"],
    "leaky 3-3-3": ["|W1[k,:]|^2 - |W2[:,k]|^2"],
    "square 3-2-2": ["|W1[k,:]|^2 - 2 |W2[:,k]|^2"],
    "square 3-2-4 bias": ["|W1[k,:]|^2 + b1[k]^2 - 2 |W2[:,k]|^2"],
    "relu 3-1-2": ["|W1|^2 - |W2|^2"],
    "square 3-1-2 bias": ["|W1|^2 + |b1|^2 - 2 |W2|^2"],
    "relu 2-3-2 bias output-bias": ["|W1[k,:]|^2 + b1[k]^2 - |W2[:,k]|^2"],
}


def found(network, seed=0):
    return find_gram_laws(GradientFlow(network), FIELD, generator(seed))


@pytest.mark.parametrize("spec", TEXTS)
def test_the_laws_are_those_of_a_textbook(spec):
    assert [law.text for law in found(read_spec(spec))] == TEXTS[spec]


@given(networks(largest=40))
def test_every_law_found_is_one_and_their_rank_is_the_closed_form(network):
    laws, flow = found(network), GradientFlow(network)
    for law in laws:
        assert_annihilates_brackets(law, flow, 2)
    theta = unflatten(residues((network.dimension,), 8), network.parameters)
    rows = torch.cat([gradients(law, theta, FIELD) for law in laws])
    assert linalg.rank(rows, FIELD) == closed_rank(network)


def test_equal_widths_do_not_mix_layers():
    assert [law.text for law in found(read_spec("linear 4-4-4-4"))] == ["W1 W1^T - W2^T W2", "W2 W2^T - W3^T W3"]


def test_a_network_without_hidden_layer_has_no_law():
    assert found(read_spec("linear 3-3")) == []
    assert found(read_spec("relu 3-2 output-bias")) == []


def test_another_seed_finds_the_same():
    network = read_spec("square 3-4-4-2 bias")
    assert found(network, 1) == found(network, 2)
