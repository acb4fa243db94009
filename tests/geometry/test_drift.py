"""The drift that large steps cause, against descent itself and the published limit."""

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.geometry.drift import predicted_drift
from gradlaws.geometry.fields import GradientField
from gradlaws.geometry.integrate import integrate


def toy():
    """``L = (u v - 2)^2 / 2`` from (3, 1/2), whose law is u^2 - v^2."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.fill_(3.0)
        model[1].weight.fill_(0.5)
    return model


ONE = torch.ones(1, 1).double()


def loss(model):
    return (model(ONE) - 2).square().sum() / 2


def descend(eta, time):
    u, v = 3.0, 0.5
    for _ in range(round(time / eta)):
        e = u * v - 2
        u, v = u - eta * e * v, v - eta * e * u
    return u * u - v * v - 8.75


PUBLISHED = dict(
    zip(
        (0.02, 0.01, 0.005, 0.0025, 0.00125),
        (0.128991515, 0.122593457, 0.119622041, 0.118188623, 0.117484459),
        strict=True,
    )
)


def foretold(points):
    model = toy()
    (law,) = gl.laws(model, ONE, lower_only=True).laws
    field = GradientField(model, loss)
    run = integrate(field, torch.linspace(0, 5, points, dtype=torch.float64), rtol=1e-10, atol=1e-12)
    return predicted_drift(field, [law], 1.0, run)[:, 0]


def test_the_limit_of_small_steps_at_fixed_time():
    assert float(foretold(801)[-1].abs()) == pytest.approx(0.1167884678, abs=1e-6)


@pytest.mark.parametrize(("eta", "expected"), PUBLISHED.items())
def test_descent_drifts_at_first_order_towards_it(eta, expected):
    drift = descend(eta, 5) / eta
    assert drift == pytest.approx(-expected, abs=1e-8)
    assert abs(abs(drift) - 0.1167884678) < 0.62 * eta


def test_one_step_is_exact():
    field = GradientField(toy(), loss)
    (law,) = gl.laws(toy(), ONE, lower_only=True).laws
    g = field.gradient(field.start)
    assert g.tolist() == [-0.25, -1.5]
    rate = float(law.value(field.named(g)) * law.value(field.named(field.start)).sign())
    assert rate == pytest.approx(0.0625 - 2.25)
    assert descend(0.01, 0.01) == pytest.approx(1e-4 * rate, rel=1e-9)


def test_uneven_times_and_laws_of_higher_degree():
    model = toy()
    (law,) = gl.laws(model, ONE, lower_only=True).laws
    field = GradientField(model, loss)
    run = integrate(field, [0, *torch.logspace(-2, 0.69897, 300).tolist()], rtol=1e-10, atol=1e-12)
    assert float(predicted_drift(field, [law], 1.0, run)[-1].abs()) == pytest.approx(0.11679, abs=2e-4)
    cubic = type("Cubic", (), {"degree": 3})()
    with pytest.raises(InputError, match="degree 3 and more"):
        predicted_drift(field, [cubic], 1.0, run)
