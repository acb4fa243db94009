"""Exponential laws: what the drift multiplies by a number, value against derivative, planted faults."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

import gradlaws as gl
from gradlaws.errors import UnsupportedError
from gradlaws.exact.ring import Reals
from gradlaws.flows.fields import vector_fields
from gradlaws.laws import of_flow
from gradlaws.laws.exponential import ExponentialLaw, exponential_laws
from gradlaws.laws.law import unflatten
from gradlaws.laws.polynomial import PolynomialLaw
from tests.oracles.along import along
from tests.samplers import FIELD

TX = (("t", ()), ("x", ()))
LAW = ExponentialLaw(PolynomialLaw(((1, 1), (0,)), (1, -2), TX), "t", Fraction(-3, 2))

SYSTEMS = {
    "a spring with friction": (["t", "x", "v"], [["1", "v", "-3*v - 2*x"]], ["exp(2 t) (x + v)", "exp(t) (2 x + v)"]),
    "a Jordan block": (["t", "x", "y"], [["1", "x + y", "y"]], ["t - log y", "exp(-t) (x - t y)"]),
    "a clock of its own": (["x", "y"], [["1", "x + y"]], ["exp(-x) (1 + x + y)"]),
    "another pace": (["t", "x"], [["2", "3*x + 1"]], ["exp(-3/2 t) (1 + 3 x)"]),
    "a tank with an inflow": (["t", "a", "b"], [["1", "-a", "-b"], ["0", "1", "2"]], ["exp(t) (2 a - b)"]),
    "a top with friction": (
        ["t", "x", "y", "z"],
        [["1", "y*z - x", "-x*z - y", "-z"]],
        ["t + log z", "exp(2 t) (x^2 + y^2)"],
    ),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_systems(system):
    variables, fields, laws = SYSTEMS[system]
    answer = gl.laws(vector_fields(variables, fields))
    assert [law.text for law in answer.laws] == laws
    assert (answer.status is gl.Status.PROVED) == (answer.count.lower == answer.count.upper)


def test_value_and_derivative():
    point, direction, shapes = torch.tensor([0.7, -1.3]).double(), torch.tensor([0.2, 0.9]).double(), dict(TX)
    value, slope = along(lambda flat: LAW.value(unflatten(flat, shapes)), point, direction)
    assert value.item() == pytest.approx(float(torch.exp(torch.tensor(-1.05))) * (1.69 - 1.4), rel=1e-6)
    assert torch.allclose(slope, LAW.derivative(unflatten(point, shapes), unflatten(direction, shapes), Reals()))
    assert LAW.text == "exp(-3/2 t) (x^2 - 2 t)"
    assert LAW.latex == r"e^{-3/2t} \left(x^{2} - 2\,t\right)"
    assert LAW.terms[0]["weight"] == "exp(-3/2 t)"
    with pytest.raises(UnsupportedError, match="is proved by the identity"):
        LAW.polynomials(shapes)


def test_an_exact_solution_keeps_them():
    """x = exp(-t), v = -exp(-t) and x = exp(-2 t), v = -2 exp(-2 t) solve x'' + 3 x' + 2 x = 0."""
    variables, fields, _ = SYSTEMS["a spring with friction"]
    t = torch.linspace(0, 3, 7).double()
    x = 2 * torch.exp(-t) - 5 * torch.exp(-2 * t)
    v = -2 * torch.exp(-t) + 10 * torch.exp(-2 * t)
    for law in gl.laws(vector_fields(variables, fields)).laws:
        values = law.value({"t": t, "x": x, "v": v})
        assert torch.allclose(values, values[:1].expand_as(values), rtol=1e-12)


@pytest.mark.parametrize("fault", [{"rate": Fraction(7, 5)}, {"clock": "x"}])
def test_planted_wrong_laws_are_dropped(monkeypatch, fault):
    wrong = lambda flow, field: [replace(law, **fault) for law in exponential_laws(flow, field)]  # noqa: E731
    monkeypatch.setattr(of_flow, "exponential_laws", wrong)
    variables, fields, _ = SYSTEMS["a spring with friction"]
    answer = gl.laws(vector_fields(variables, fields))
    assert answer.count.upper == 2
    assert "exponential" not in {law.kind for law in answer.laws}


def test_where_nothing_tells_the_time_there_are_none():
    assert list(exponential_laws(vector_fields(["x", "y"], [["y", "-x"]]), FIELD)) == []
    assert list(exponential_laws(vector_fields(["t", "x"], [["0", "x"]]), FIELD)) == []
