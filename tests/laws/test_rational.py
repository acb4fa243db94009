"""Rational laws: quotients of minors, value against derivative, planted faults, what is too large."""

from dataclasses import replace

import pytest
import torch

import gradlaws as gl
from gradlaws.errors import UnsupportedError
from gradlaws.exact.ring import Reals
from gradlaws.flows.fields import vector_fields
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws import of_flow, run
from gradlaws.laws.law import unflatten
from gradlaws.laws.polynomial import PolynomialLaw
from gradlaws.laws.rational import RationalLaw, rational_laws
from gradlaws.models.network import Network
from gradlaws.models.zoo import gram
from tests.asserts import assert_annihilates_brackets, assert_count_is
from tests.oracles.along import along
from tests.samplers import FIELD, generator

XY = (("x", ()), ("y", ()))
LAW = RationalLaw(PolynomialLaw(((0, 0), (1,)), (1, -2), XY), PolynomialLaw(((), (0, 1)), (3, 1), XY))


def test_value_derivative_and_text():
    point, direction = torch.tensor([0.7, -1.3]).double(), torch.tensor([0.2, 0.9]).double()
    shapes = dict(XY)
    value, slope = along(lambda flat: LAW.value(unflatten(flat, shapes)), point, direction)
    assert value.item() == pytest.approx((0.49 + 2.6) / (3 - 0.91))
    given = LAW.derivative(unflatten(point, shapes), unflatten(direction, shapes), Reals())
    assert torch.allclose(slope, given)
    assert LAW.text == "(x^2 - 2 y) / (3 + x y)"
    assert LAW.latex == r"\frac{x^{2} - 2\,y}{3 + x\,y}"
    assert {term["of"] for term in LAW.terms} == {"numerator", "denominator"}
    with pytest.raises(UnsupportedError, match="is not a polynomial"):
        LAW.polynomials(shapes)


def test_quotients_of_minors_of_a_gram_matrix():
    """Row 63 of the sheet: gradient flow of U U^T keeps the row space of U, that is the quotients of its minors."""
    answer = gl.laws(gram(2, 3))
    assert [law.text for law in answer.laws] == [
        "(u01 u12 - u02 u11) / (u00 u11 - u01 u10)",
        "(-u00 u12 + u02 u10) / (u00 u11 - u01 u10)",
    ]
    for length in (1, 2, 3):
        for law in answer.laws:
            assert_annihilates_brackets(law, GradientFlow(gram(2, 3)), length)


def test_a_real_trajectory_keeps_them():
    answer, theta = gl.laws(gram(2, 3)), torch.randn(2, 3, generator=torch.Generator().manual_seed(1)).double()
    names = [f"u{i}{a}" for i in range(2) for a in range(3)]

    def values(u):
        point = dict(zip(names, u.flatten(), strict=True))
        return torch.cat([law.value(point) for law in answer.laws])

    def field(u):
        return -4 * (u @ u.T - torch.tensor([[2.0, 0.5], [0.5, 1.0]]).double()) @ u

    start, h, first = values(theta), 2e-3, theta
    for _ in range(100):
        a = field(theta)
        b = field(theta + h / 2 * a)
        c = field(theta + h / 2 * b)
        theta = theta + h / 6 * (a + 2 * b + 2 * c + field(theta + h * c))
    assert torch.allclose(values(theta), start, rtol=1e-7)
    assert (theta - first).norm() > 0.1


def test_explicit_fields_have_them_too():
    fields = vector_fields(["x", "y", "z"], [["y", "y**2 + 1", "0"], ["0", "0", "1"], ["x", "y", "z"]])
    assert gl.count(fields).upper == 0
    pencil = vector_fields(["x", "y", "u", "v"], [["x", "y", "0", "0"], ["0", "0", "u", "v"], ["u", "v", "x", "y"]])
    answer = gl.laws(pencil)
    assert_count_is(answer.count, 0, 0)
    plane = vector_fields(["x", "y", "z"], [["x + y", "y + x", "2*z"]])
    assert_count_is(gl.count(plane), 2, 2)


def test_planted_wrong_quotients_are_dropped(monkeypatch):
    def wrong(*arguments):
        for law in rational_laws(*arguments):
            yield replace(law, below=replace(law.below, coefficients=tuple(c + 1 for c in law.below.coefficients)))

    for module in (run, of_flow):
        monkeypatch.setattr(module, "rational_laws", wrong)
    assert_count_is(gl.count(gram(2, 3)), 0, 2)


def test_large_systems_are_left_alone():
    family = Network("linear", (3, 3, 3))
    components = GradientFlow(family).components()
    assert list(rational_laws(components, family.parameters, FIELD, generator(1))) == []
