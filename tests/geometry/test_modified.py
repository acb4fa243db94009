"""Modified flows: their order, and the drift of laws that they predict for real gradient descent."""

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError, UnclearError
from gradlaws.geometry.integrate import integrate
from gradlaws.geometry.modified import bend, descent_drift, modified_flow
from gradlaws.laws.polynomial import PolynomialLaw
from tests.geometry.flows import ONE, Product, Ray, data, deep, product_loss, squares

LAWS = gl.laws(Product(), ONE).laws


def published_loss(f):
    """(x y - 2)^2 / 2 + x^3 / 10, of the sheet."""
    return product_loss(f) + 0.1 * f.u.pow(3).sum()


PUBLISHED = {  # one step h from (1.2, 0.7): distance of gradient descent from the flow, and from the modified flow
    0.1: (9.467e-3, 8.611e-4),
    0.05: (2.358e-3, 1.1453e-4),
    0.025: (5.889e-4, 1.4812e-5),
    0.0125: (1.4715e-4, 1.8836e-6),
}


@pytest.mark.parametrize("h", PUBLISHED)
def test_one_step_is_as_far_from_both_flows_as_published(h):
    model = Product(1.2, 0.7)
    step = integrate(model, published_loss, h, method="euler", step=h).states[-1]
    plain = integrate(model, published_loss, h, rtol=1e-12, atol=1e-14).states[-1]
    modified = modified_flow(model, published_loss, h, eta=h).states[-1]
    assert np.linalg.norm(step - plain) == pytest.approx(PUBLISHED[h][0], rel=1e-3)
    assert np.linalg.norm(step - modified) == pytest.approx(PUBLISHED[h][1], rel=1e-3)


def test_the_length_of_weights_that_the_loss_does_not_see_is_as_published():
    end = modified_flow(Ray(), lambda f: f() + 0.025 * f.w.square().sum(), 5.0, eta=0.1).states[-1]
    assert (end**2).sum() == pytest.approx(0.8136913, abs=5e-8)


def test_the_mean_epoch_of_batches_follows_the_flow_with_their_squares():
    def batch(a, b):
        return lambda f: (f(ONE) - a).square().sum() / 2 + b * f.u.pow(3).sum()

    batches = [batch(2.0, 0.1), batch(1.0, -0.2), batch(3.0, 0.3)]
    model = Product(1.2, 0.7)

    def epoch(order, h):
        theta = np.array([1.2, 0.7])
        for k in order:
            here = Product(*theta.tolist())
            theta = integrate(here, batches[k], h, method="euler", step=h).states[-1]
        return theta

    missed = []
    for h in (0.02, 0.01, 0.005):
        mean = np.mean([epoch(order, h) for order in permutations(range(3))], axis=0)
        missed.append(np.linalg.norm(mean - modified_flow(model, batches, 3 * h, eta=h).states[-1]))
    assert missed[0] / missed[1] == pytest.approx(8, rel=0.12)
    assert missed[1] / missed[2] == pytest.approx(8, rel=0.08)


DRIFT = {0.02: -0.128991515, 0.01: -0.122593457, 0.005: -0.119622041}  # / eta, until T = 5


@pytest.mark.parametrize("eta", DRIFT)
def test_the_drift_of_gradient_descent_is_as_published(eta):
    (found,) = descent_drift(Product(), product_loss, LAWS, eta=eta, steps=round(5 / eta))
    assert found.measured.item() / eta == pytest.approx(DRIFT[eta], abs=1e-9)
    assert found.identity.item() == pytest.approx(found.measured.item(), abs=1e-12)
    assert found.leading.item() / eta == pytest.approx(-0.1167884678, abs=1e-9)


def test_the_drift_of_three_steps_of_heavy_ball_is_as_published():
    for beta, published in ((0.5, 8.748107091058408), (0.9, 8.745807435446471)):
        (found,) = descent_drift(Product(), product_loss, LAWS, eta=0.01, beta=beta, steps=3)
        assert 8.75 + found.measured.item() == pytest.approx(published, abs=1e-13)
        assert 8.75 + found.identity.item() == pytest.approx(published, abs=1e-13)


def test_the_drift_of_heavy_ball_tends_to_the_published_limit():
    ends = []
    for eta in (0.008, 0.004):
        (found,) = descent_drift(Product(), product_loss, LAWS, eta=eta, beta=0.5, steps=round(2 / eta))
        assert found.leading.item() / eta == pytest.approx(-0.70073, abs=1e-5)
        assert found.identity.item() == pytest.approx(found.measured.item(), abs=1e-12)
        ends.append((found.measured.item() / eta, found.modified.item() / eta))
    extrapolated = 2 * np.array(ends[1]) - np.array(ends[0])
    assert extrapolated[0] == pytest.approx(-0.70073, abs=2e-4)
    assert extrapolated[1] == pytest.approx(-0.70073, abs=2e-2)


ERRORS = {"leading": 2, "modified": 2, "predicted": 3}


def test_predictions_of_every_law_have_their_order_in_the_step():
    x, y = data(2, 2)
    model = deep(2, 3, 3, 2)
    laws = gl.laws(model, x, lower_only=True).laws
    missed = {name: [] for name in ERRORS}
    for eta in (0.2, 0.1, 0.05):
        (found,) = descent_drift(model, squares(x, y), laws, eta=eta, steps=round(2 / eta))
        torch.testing.assert_close(found.identity, found.measured, atol=1e-14, rtol=0)
        for name in ERRORS:
            missed[name].append(float((getattr(found, name) - found.measured).norm()))
    for name, order in ERRORS.items():
        assert np.log2(missed[name][1] / missed[name][2]) == pytest.approx(order, abs=0.3), (name, missed)


def test_gradient_descent_of_a_relu_network_drifts_as_the_identity_says():
    x, y = data(3, 1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).double()
    before = [p.clone() for p in model.parameters()]
    laws = gl.laws(model, x, lower_only=True).laws
    (found,) = descent_drift(model, squares(x, y), laws, eta=0.002, steps=20)  # before the flow meets a kink
    torch.testing.assert_close(found.identity, found.measured, atol=1e-14, rtol=0)
    torch.testing.assert_close(found.predicted, found.measured, rtol=1e-3, atol=0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_half_the_second_derivative_of_any_law():
    shapes = (("a", (2,)), ("b", ()))
    law = PolynomialLaw(((0, 0, 1), (1, 2), (2,)), (1, 3, -2), shapes)  # a0^2 a1 + 3 a1 b - 2 b
    theta = {"a": torch.tensor([0.3, -1.2], dtype=torch.float64), "b": torch.tensor(0.7, dtype=torch.float64)}
    v = {"a": torch.tensor([1.5, 0.4], dtype=torch.float64), "b": torch.tensor(-0.6, dtype=torch.float64)}
    by_hand = -1.2 * 1.5**2 + 2 * 0.3 * 1.5 * 0.4 + 3 * 0.4 * -0.6
    assert bend(law, theta, v).item() == pytest.approx(by_hand, abs=1e-14)


def test_linear_laws_do_not_drift():
    model = nn.Linear(2, 3).double()
    x, _ = data(2, 3)
    y = torch.arange(12) % 3

    def loss(f):
        return nn.functional.cross_entropy(f(x), y)

    laws = gl.laws(model, x, loss="cross_entropy", lower_only=True).laws
    found = descent_drift(model, loss, laws, eta=0.5, beta=0.9, steps=20)
    assert found
    for one in found:
        for values in (one.measured, one.identity, one.predicted, one.leading):
            assert float(values.abs().max()) < 1e-12


def test_what_it_says():
    (found,) = descent_drift(Product(), product_loss, LAWS, eta=0.01, steps=10)
    assert str(found).startswith("|u|^2 - |v|^2: largest drift measured 0.00")


BAD = {
    "laws of another flow": (
        {"laws": gl.laws(deep(2, 3, 3, 2), torch.ones(1, 2).double(), flow="momentum", lower_only=True).laws},
        "a law is about",
    ),
    "what is no law": (
        {"laws": [PolynomialLaw(((0, 0),), (1,), (("u", (1, 1)), ("v", (1, 1))))]},
        "is not a law of this",
    ),
    "no step": ({"eta": 0.0}, "a step size of 0.0 makes no sense"),
    "too much momentum": ({"beta": 1.0}, "a momentum of 1.0 makes no sense"),
    "steps that are no number": ({"steps": 2.5}, "2.5 steps make no sense"),
    "NaN weights": ({"model": Product(float("nan"))}, "parameter u has entries that are NaN"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_a_sentence(fault):
    options, words = BAD[fault]
    asked = {"model": Product(), "loss": product_loss, "laws": LAWS, "eta": 0.01, "steps": 3, **options}
    with pytest.raises(InputError, match=words):
        descent_drift(**asked)


def test_without_laws_there_is_nothing_to_say():
    assert descent_drift(Product(), product_loss, (), eta=0.1, steps=1) == ()


def test_descent_that_diverges_is_a_sentence():
    with pytest.raises(UnclearError, match=r"gradient descent diverges, infinite after .* pass a smaller eta"):
        descent_drift(Product(), product_loss, LAWS, eta=1.0, steps=50)


def test_batches_with_momentum_are_refused():
    with pytest.raises(InputError, match="the modified flow of batches is known without momentum"):
        modified_flow(Product(), [product_loss, product_loss], 1.0, eta=0.1, beta=0.5)
