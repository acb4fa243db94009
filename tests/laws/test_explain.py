"""A sentence for every law, and the transformation that it names is a symmetry."""

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.flows.fields import vector_fields
from gradlaws.laws.explain import explain
from gradlaws.laws.gather import GatherLaw
from gradlaws.models.zoo import gram
from tests.models.zoo import Attention, mlp


def test_scaling_by_a_number_is_undone():
    (law,) = gl.laws("relu 2-3-2 bias").laws
    assert explain(law).symmetry == "scaling W1, b1 by s > 0 is undone by 1/s on W2"
    assert str(explain(law)).endswith("(Marcotte, Gribonval, Peyre 2023, arXiv 2307.00144)")


def test_a_matrix_law_comes_from_a_group_of_matrices():
    (law,) = gl.laws("linear 2-3-2").laws
    assert explain(law).symmetry == "an invertible matrix on the shared index of W1 is undone by its inverse on W2"


def test_unequal_powers_are_not_called_inverse():
    (law,) = gl.laws("square 2-2-2").laws
    assert explain(law).symmetry == "scaling W1 by s > 0 is undone by another power of s on W2"


def test_shifts_and_frozen_numbers():
    texts = [explain(law).symmetry for law in gl.laws(Attention(2, 2, bias=True), torch.zeros(2, 2)).laws]
    assert "changing these numbers changes nothing that a loss could see" in texts
    (law,) = gl.laws(nn.Linear(2, 3, bias=False), torch.zeros(2), loss="cross_entropy").laws
    assert explain(law).symmetry == "adding one number to all summed entries of weight changes nothing"


def test_opposite_shifts_cancel():
    shapes = (("a", (2,)), ("b", (2,)))
    assert explain(GatherLaw(((0, 2),), (1, -1), "linear", shapes)).symmetry == (
        "adding a number to a and taking it from b cancels"
    )


def test_what_a_normalisation_divides_out():
    class Unit(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return x * self.w * torch.rsqrt(self.w.pow(2).sum() + 1e-8)

    (law,) = gl.laws(Unit(), torch.zeros(3), eps="zero").laws
    assert explain(law).symmetry == "the scale of w is divided out again by a normalisation"


def test_polynomials_have_no_story():
    law = gl.laws("linear 1-2-1", degree=2).laws[0]
    assert "polynomial" in explain(law).symmetry
    assert str(explain(law)) == explain(law).symmetry


@pytest.mark.parametrize("bias", [False, True])
def test_every_law_of_a_network_is_explained(bias):
    for law in gl.laws(mlp((2, 3, 2), nn.ReLU, bias=bias), torch.zeros(2)).laws:
        assert explain(law).symmetry


@pytest.mark.parametrize(
    ("spec", "flow", "words"),
    [
        ("linear 2-2-2", "mirror:entropy", "the metric of the mirror map turns it into this: scaling W1 by s > 0"),
        ("relu 2-2-2", "decay", "decay shrinks it at a rate that does not depend on the data: scaling W1 by s > 0"),
        ("relu 2-2-2", "momentum:mirror:burg", "a rescaling changes the kinetic energy by a constant only: scaling"),
        ("linear 2-2-1", "sign", "the gradients of these two are proportional for every data set"),
        ("linear 2-2-2", "natural", "an invertible matrix on the shared index"),
    ],
)
def test_laws_of_other_flows(spec, flow, words):
    assert explain(gl.laws(spec, flow=flow).laws[0]).symmetry.startswith(words)


def test_laws_of_formulas():
    first = gl.laws(gram(2, 3)).laws[0]
    assert explain(first).symmetry == "numerator and denominator change by the same factor"
    spring = vector_fields(["t", "x", "v"], [["1", "v", "-3*v - 2*x"]])
    assert explain(gl.laws(spring).laws[0]).symmetry.startswith("the drift multiplies the polynomial by a number")
