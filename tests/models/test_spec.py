"""The one-line description of a network, and one sentence for everything that is not one."""

import pytest
from hypothesis import given

from gradlaws.errors import InputError
from gradlaws.models.network import Network
from gradlaws.models.spec import read_spec
from tests.samplers import networks

BAD = {
    "": "cannot read the network '': expected a kind and widths",
    "relu": "cannot read the network 'relu': expected a kind and widths",
    "2-5-3": "cannot read the network '2-5-3': expected a kind and widths",
    "tanh 2-5-3": "unknown kind 'tanh': expected one of linear, relu, leaky, square",
    "RELU 2-5-3": "unknown kind 'RELU'",
    "relu 2-0-3": "width 0 in '2-0-3' is not positive: every layer needs at least one unit",
    "relu 2--5-3": "width -5 in '2--5-3' is not positive",
    "relu -2-5-3": "width -2 in '-2-5-3' is not positive",
    "relu 5": "'5' has one width only: expected at least an input and an output width",
    "relu 2-x-3": "width 'x' in '2-x-3' is not a whole number",
    "relu 2-2.5-3": "width '2.5' in '2-2.5-3' is not a whole number",
    "relu 2-1e3-3": "width '1e3' in '2-1e3-3' is not a whole number",
    "relu 2-5-": "is not a whole number",
    "relu 2,5,3": "width '2,5,3' in '2,5,3' is not a whole number",
    "relu 2-5-99999999999999999999": "is not a whole number",
    "relu 2-5-3 biased": "unknown option 'biased' in 'relu 2-5-3 biased': expected bias or output-bias",
}


@given(networks())
def test_a_name_reads_back_as_its_network(network):
    assert read_spec(network.name) == network


def test_words_may_be_spread_out():
    expected = Network("leaky", (2, 5, 3), bias=True, output_bias=True)
    assert read_spec("  leaky   2-5-3  output-bias bias ") == expected


@pytest.mark.parametrize("text", BAD)
def test_bad_specs_are_refused_with_a_sentence(text):
    with pytest.raises(InputError, match=r"^[^\n]+$") as refusal:
        read_spec(text)
    assert BAD[text] in str(refusal.value)
