"""Fibres and hidden symmetries of networks where they are known."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from gradlaws.errors import InputError
from gradlaws.geometry.fibre import fibre
from gradlaws.laws.polynomial import PolynomialLaw
from tests.geometry.test_dimension import DENSE, Idle, relu_network, shallow

X = torch.randn(300, 3, generator=torch.Generator().manual_seed(0)).double()


def linear_network(*widths):
    torch.manual_seed(0)
    pairs = pairwise(widths)
    return nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in pairs)).double()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_linear_networks_have_rotations_besides_their_laws(rank):
    found = fibre(linear_network(4, rank, 4), torch.randn(50, 4).double())
    assert found.size == rank**2
    assert (found.laws, found.rotations, found.hidden) == (rank * (rank + 1) // 2, rank * (rank - 1) // 2, 0)


@pytest.mark.parametrize("engine", ["exact", "float64"])
def test_a_generic_relu_network_has_no_hidden_symmetry(engine):
    found = fibre(relu_network(3, 5, 2), X, engine=engine)
    assert (found.size, found.laws, found.rotations, found.hidden) == (5, 5, 0, 0)


@pytest.mark.parametrize(
    ("model", "hidden"),
    [
        (shallow([1.0, 1.0], [0.0, -1.0], [1.0, 1.0]), 0),
        (shallow([1.0, -1.0], [0.0, 0.0], [1.0, 1.0]), 1),
        (shallow([1.0, 1.0], [0.0, 0.0], [1.0, 1.0]), 2),
        (shallow([1.0, 1.0], [0.0, -1.0], [1.0, 0.0]), 1),
    ],
)
def test_coincident_duplicate_and_idle_units_are_hidden_symmetries(model, hidden):
    assert fibre(model, DENSE).hidden == hidden


def test_a_given_symmetry_is_taken_off():
    """Of a duplicate unit: move one copy's outgoing weight to the other."""
    model = shallow([1.0, 1.0], [0.0, 0.0], [1.0, 1.0])
    tangent = torch.tensor([[0, 0, 0, 0, 1, -1, 0]]).double()
    found = fibre(model, DENSE, symmetries=tangent)
    assert (found.given, found.hidden) == (1, 1)
    assert "1 by given symmetries, 1 hidden" in str(found)


def test_parameters_that_nothing_depends_on_are_laws():
    found = fibre(Idle(), torch.randn(9, 2, generator=torch.Generator().manual_seed(0)))
    assert (found.size, found.laws, found.hidden) == (13, 13, 0)


BAD = {
    "a shape": (torch.ones(2, 3), r"symmetries are \[2, 3\]: expected a tensor \[m, 4\] of tangents"),
    "a list": ([1], r"symmetries are list: expected a tensor \[m, 4\]"),
    "NaN": (torch.full((1, 4), torch.nan), "tensor symmetries has entries that are NaN"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_symmetries_are_a_sentence(fault):
    given, words = BAD[fault]
    with pytest.raises(InputError, match=words):
        fibre(shallow([1.0], [0.0], [1.0]), DENSE, symmetries=given)


def test_what_is_no_law_is_refused():
    """The planted fault: a squared weight that is no law."""
    broken = PolynomialLaw(((0, 0),), (1,), (("0.weight", (1, 1)),))
    with pytest.raises(InputError, match="a given law is none of this module"):
        fibre(shallow([1.0], [0.0], [1.0]), DENSE, laws=[broken])


def test_what_is_no_symmetry_is_refused():
    with pytest.raises(InputError, match="a given symmetry changes the outputs"):
        fibre(shallow([1.0], [0.0], [1.0]), DENSE, symmetries=torch.eye(4).double()[:1])
