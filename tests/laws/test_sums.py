"""Linear laws of tensors: value, derivative, polynomials and formula say the same thing."""

import pytest
import torch

from gradlaws.laws.contraction import Contraction
from gradlaws.laws.law import gradients, unflatten
from gradlaws.laws.sums import FrozenLaw, SumLaw
from tests.samplers import FIELD, residues

SHAPES = {"W": (3, 4), "b": (4,), "T": (2, 4, 2)}
DIMENSION = 12 + 4 + 16
LAWS = [
    FrozenLaw(Contraction("b", 0, 1), 4),
    FrozenLaw(Contraction("W", 1, 2, 1, 3), 6),
    SumLaw(((Contraction("W", 1, 2), 1), (Contraction("b", 0, 1), -2), (Contraction("T", 1, 3), 3)), 4),
    SumLaw(((Contraction("W", 0, 2, fold=(1, 3, 1)), 1), (Contraction("b", 0, 1, fold=(1, 4, 1)), -1)), 1),
    SumLaw(((Contraction("T", 1, 3, fold=(2, 2, 1)), 1),), 2),
]
every = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.text)


@every
def test_values_are_those_of_the_polynomials(law):
    flat = residues((DIMENSION,), 1)
    exact = [sum(c * int(flat[m[0]]) for m, c in f.terms.items()) % FIELD.prime for f in law.polynomials(SHAPES)]
    assert law.value(unflatten(flat, SHAPES), FIELD).tolist() == exact
    assert len(exact) == law.count


@every
def test_the_derivative_is_the_value_of_the_direction(law):
    x, v = (unflatten(residues((5, DIMENSION), seed), SHAPES) for seed in (1, 2))
    assert torch.equal(law.derivative(x, v, FIELD), law.value(v, FIELD))
    assert law.derivative(x, v, FIELD).shape == (5, law.count)


@every
def test_gradients_are_independent(law):
    theta = unflatten(torch.zeros(DIMENSION, dtype=torch.float64), SHAPES)
    assert torch.linalg.matrix_rank(gradients(law, theta)) == law.count


def test_formulas_are_what_a_person_writes():
    assert [law.text for law in LAWS] == [
        "b never moves",
        "W[:,1:3] never moves",
        "sum W[:,k] - 2 b[k] + 3 sum T[:,k,:]",
        "sum W - sum b",
        "sum T[:,2*k + 0..1,:]",
    ]
    assert all(law.latex.count("{") == law.latex.count("}") for law in LAWS)
    assert LAWS[2].terms[1] == {"tensor": "b", "axis": 0, "coefficient": "-2"}
