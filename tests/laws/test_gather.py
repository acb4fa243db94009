"""Laws of chosen entries: value, derivative and polynomials say the same thing, and a wrong coefficient is noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws import proof
from gradlaws.laws.gather import GatherLaw, slots
from gradlaws.laws.law import unflatten
from gradlaws.models.module import from_module
from tests.models.operations import between
from tests.models.zoo import Attention
from tests.samplers import FIELD, OTHER_FIELD, generator, residues

SHAPES = {"a": (3, 2), "b": (2, 3), "c": (3,)}
DIMENSION = 15
ROWS = ((0, 1, 6, 9, 12), (2, 3, 7, 10, 13), (4, 5, 8, 11, 14))
COEFFICIENTS = (1, 1, -2, -2, 3)
LAWS = [GatherLaw(ROWS, COEFFICIENTS, kind, tuple(SHAPES.items())) for kind in ("linear", "diagonal", "matrix")]
kinds = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.kind)


def expected(theta, kind):
    """By einsum over the named tensors."""
    a, b, c = (theta[name] for name in SHAPES)
    if kind == "linear":
        return a.sum(1) - 2 * b.sum(0) + 3 * c
    gram = a @ a.T - 2 * b.T @ b + 3 * torch.outer(c, c)
    return gram.diagonal() if kind == "diagonal" else gram[tuple(torch.triu_indices(3, 3))]


def reals(seed):
    return unflatten(torch.randn(DIMENSION, generator=generator(seed)).double(), SHAPES)


@kinds
def test_value_agrees_with_einsum(law):
    torch.testing.assert_close(law.value(reals(1)), expected(reals(1), law.kind))
    assert law.value(reals(1)).shape == (law.count,)


@kinds
def test_value_over_the_field_agrees_with_polynomials(law):
    flat = residues((DIMENSION,), 1)
    exact = []
    for polynomial in law.polynomials(SHAPES):
        total = 0
        for monomial, c in polynomial.terms.items():
            term = int(c)
            for variable in monomial:
                term *= int(flat[variable])
            total += term
        exact.append(total % FIELD.prime)
    assert law.value(unflatten(flat, SHAPES), FIELD).tolist() == exact


@kinds
def test_the_derivative_is_that_of_the_value(law):
    """h(x + v) - h(x - v) = 2 dh(x) v, exactly, up to degree two."""
    x, v = residues((DIMENSION,), 1), residues((DIMENSION,), 2)
    ahead, behind = (law.value(unflatten(FIELD.reduce(x + sign * v), SHAPES), FIELD) for sign in (1, -1))
    slope = law.derivative(unflatten(x, SHAPES), unflatten(v, SHAPES), FIELD)
    assert torch.equal(FIELD.reduce(ahead - behind), FIELD.reduce(2 * slope))


@kinds
def test_another_coefficient_gives_other_values_and_derivatives(law):
    other = replace(law, coefficients=(1, 1, -2, -2, 4))
    theta, along = reals(1), reals(2)
    assert not torch.equal(law.value(theta), other.value(theta))
    assert not torch.equal(law.derivative(theta, along), other.derivative(theta, along))
    assert law.polynomials(SHAPES) != other.polynomials(SHAPES)


def test_batches_are_their_members():
    flat = torch.randn(4, DIMENSION, generator=generator(1)).double()
    for law in LAWS:
        together = law.value(unflatten(flat, SHAPES))
        for i in range(4):
            torch.testing.assert_close(together[i], law.value(unflatten(flat[i], SHAPES)))


def test_formulas():
    linear, diagonal, matrix = LAWS
    assert linear.text == "sum a[k,:] - 2 sum b[:,k] + 3 c[k]"
    assert diagonal.text == "|a[k,:]|^2 - 2 |b[:,k]|^2 + 3 |c[k]|^2"
    assert matrix.text == "<a[i,:], a[j,:]> - 2 <b[:,i], b[:,j]> + 3 <c[i], c[j]>"
    assert [law.degree for law in LAWS] == [1, 2, 2]
    assert [law.count for law in LAWS] == [3, 3, 6]
    assert r"\langle \mathrm{a}[i,:], \mathrm{a}[j,:]\rangle" in matrix.latex
    assert linear.terms[1] == {"tensor": "b", "slots": ":,#", "coefficient": "-2"}


@pytest.mark.parametrize(
    ("table", "shape", "text"),
    [
        ([[0, 1], [2, 3]], (2, 2), "#,:"),
        ([[4, 5], [6, 7]], (4, 2), "2+#,:"),
        ([[0, 1], [4, 5]], (4, 2), "2#,:"),
        ([[0, 1, 2, 3], [4, 5, 6, 7]], (8,), "4#:4+4#"),
        ([[0], [3]], (2, 2), "#,#"),
    ],
)
def test_slots_read_like_slices(table, shape, text):
    assert slots(torch.tensor(table).numpy(), shape) == text


def planted(module, inputs, law):
    """Whether a law of a module holds as it is, and with each coefficient altered."""
    flow = GradientFlow(from_module(module, inputs))
    fields = [FIELD, OTHER_FIELD]
    altered = [
        replace(law, coefficients=(*law.coefficients[:i], law.coefficients[i] + 1, *law.coefficients[i + 1 :]))
        for i in range(len(law.coefficients))
    ]
    return proof.tested(flow, law, fields, generator(1)).held, [
        proof.tested(flow, wrong, fields, generator(1)).held for wrong in altered
    ]


@pytest.mark.parametrize(
    ("module", "shape", "rows"),
    [
        (between(nn.ReLU()), (2,), ((0, 1, 4, 6), (2, 3, 5, 7))),
        (Attention(2, 1), (2, 2), ((0, 1, 2, 3),)),
    ],
    ids=["relu", "attention"],
)
def test_planted_wrong_coefficients_are_rejected(module, shape, rows):
    shapes = tuple((name, tuple(p.shape)) for name, p in module.named_parameters())
    held, altered = planted(module, torch.ones(shape), GatherLaw(rows, (1, 1, -1, -1), "diagonal", shapes))
    assert held
    assert not any(altered)
