"""Gram laws: value, derivative, polynomials and formula say the same thing."""

import pytest
import torch

from gradlaws.laws.contraction import Contraction
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import gradients, unflatten
from tests.samplers import FIELD, residues

SHAPES = {"W1": (3, 2), "b1": (3,), "W2": (2, 3), "T": (2, 3, 2)}
DIMENSION = 6 + 3 + 6 + 12
PARTS = (
    (Contraction("W1", 0, 2), 1),
    (Contraction("b1", 0, 1), 3),
    (Contraction("W2", 1, 2), -2),
    (Contraction("T", 1, 3), 1),
)
LAWS = [GramLaw(PARTS, 1 if kind == "trace" else 3, kind) for kind in ("matrix", "diagonal", "trace")]
kinds = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.kind)


def reals(seed):
    return torch.randn(DIMENSION, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def total(theta):
    """The matrix of PARTS by einsum."""
    w1, b1, w2, t = (theta[name] for name in SHAPES)
    gram = torch.einsum("ia,ja->ij", w1, w1) + 3 * torch.outer(b1, b1)
    return gram - 2 * torch.einsum("ai,aj->ij", w2, w2) + torch.einsum("aib,ajb->ij", t, t)


def entries(matrix, kind):
    if kind == "trace":
        return matrix.diagonal().sum().reshape(1)
    return matrix.diagonal() if kind == "diagonal" else matrix[tuple(torch.triu_indices(3, 3))]


@kinds
def test_value_agrees_with_einsum(law):
    theta = unflatten(reals(1), SHAPES)
    torch.testing.assert_close(law.value(theta), entries(total(theta), law.kind), rtol=1e-14, atol=1e-13)
    assert law.value(theta).shape == (law.count,)


@kinds
def test_value_over_the_field_agrees_with_polynomials(law):
    flat = residues((DIMENSION,), 1)
    exact = [
        sum(c * int(flat[m[0]]) * int(flat[m[1]]) for m, c in f.terms.items()) % FIELD.prime
        for f in law.polynomials(SHAPES)
    ]
    assert law.value(unflatten(flat, SHAPES), FIELD).tolist() == exact


@kinds
def test_the_derivative_is_that_of_the_value(law):
    """h(x + v) - h(x - v) = 2 dh(x) v holds exactly for a quadratic h."""
    x, v = residues((DIMENSION,), 1), residues((DIMENSION,), 2)
    ahead, behind = (law.value(unflatten(FIELD.reduce(x + sign * v), SHAPES), FIELD) for sign in (1, -1))
    derivative = law.derivative(unflatten(x, SHAPES), unflatten(v, SHAPES), FIELD)
    assert torch.equal(FIELD.reduce(2 * derivative), FIELD.reduce(ahead - behind))


@kinds
def test_batches_of_directions_broadcast(law):
    x, v = residues((DIMENSION,), 1), residues((5, DIMENSION), 2)
    together = law.derivative(unflatten(x, SHAPES), unflatten(v, SHAPES), FIELD)
    singly = [law.derivative(unflatten(x, SHAPES), unflatten(one, SHAPES), FIELD) for one in v]
    assert torch.equal(together, torch.stack(singly))


@kinds
def test_gradients_agree_with_autograd(law):
    flat = reals(3).requires_grad_()
    value = law.value(unflatten(flat, SHAPES))
    rows = torch.stack([torch.autograd.grad(entry, flat, retain_graph=True)[0] for entry in value])
    torch.testing.assert_close(gradients(law, unflatten(flat.detach(), SHAPES)), rows, rtol=1e-14, atol=1e-13)


def test_formulas_are_what_a_person_writes():
    matrix, diagonal, trace = LAWS
    assert matrix.text == "W1 W1^T + 3 b1 b1^T - 2 W2^T W2 + <T[:,i,:], T[:,j,:]>"
    assert diagonal.text == "|W1[k,:]|^2 + 3 b1[k]^2 - 2 |W2[:,k]|^2 + |T[:,k,:]|^2"
    assert trace.text == "|W1|^2 + 3 |b1|^2 - 2 |W2|^2 + |T|^2"
    assert matrix.latex.startswith(r"W_{1} W_{1}^\top + 3\,b_{1} b_{1}^\top - 2\,W_{2}^\top W_{2}")
    assert diagonal.latex.startswith(r"\|W_{1}[k,:]\|^2 + 3\,b_{1}[k]^2")
    assert trace.latex == r"\|W_{1}\|^2 + 3\,\|b_{1}\|^2 - 2\,\|W_{2}\|^2 + \|T\|^2"


def test_counts_and_terms():
    assert [law.count for law in LAWS] == [6, 3, 1]
    assert {law.degree for law in LAWS} == {2}
    assert LAWS[0].terms[2] == {"tensor": "W2", "axis": 1, "coefficient": "-2"}


def test_renaming_keeps_the_formula():
    law = GramLaw(PARTS[:1], 3, "diagonal").renamed({"W1": "V"}, width=2)
    assert (law.text, law.count) == ("|V[k,:]|^2", 2)


def test_names_that_are_not_a_letter_and_digits_are_set_upright():
    law = GramLaw(((Contraction("in_proj", 0, 2), 1),), 3, "trace")
    assert law.latex == r"\|\mathrm{in\_proj}\|^2"
