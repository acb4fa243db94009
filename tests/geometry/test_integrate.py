"""Flows against closed forms and scipy, their orders, and laws that stay."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError, UnclearError
from gradlaws.geometry.fields import GradientField, ModifiedField, MomentumField
from gradlaws.geometry.integrate import integrate

X = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double()
Y = torch.randn(20, 2, generator=torch.Generator().manual_seed(1)).double()


def linear_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 2, bias=False)).double()


def mse(model):
    return (model(X) - Y).square().mean()


class Point(nn.Module):
    """Two numbers."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = (nn.Parameter(torch.tensor(v).double()) for v in (x, y))


def bowl(point):
    return point.x.square() / 2 + 2 * point.y.square()


def test_a_quadratic_bowl_in_closed_form():
    times = torch.linspace(0, 3, 7).double()
    run = integrate(GradientField(Point(1.0, 2.0), bowl), times, rtol=1e-10, atol=1e-12)
    exact = torch.stack([torch.exp(-times), 2 * torch.exp(-4 * times)], 1)
    torch.testing.assert_close(run.theta, exact, atol=1e-9, rtol=0)
    torch.testing.assert_close(run.losses, exact[:, 0] ** 2 / 2 + 2 * exact[:, 1] ** 2, atol=1e-9, rtol=0)


@pytest.mark.parametrize("tau", [0.0, 0.5, lambda t: 0.5])
def test_momentum_in_closed_form(tau):
    """x'' + tau x' + x = 0 from rest."""
    friction = tau(0.0) if callable(tau) else tau
    times = torch.linspace(0, 5, 11).double()
    run = integrate(MomentumField(Point(1.0, 0.0), bowl, tau), times, rtol=1e-10, atol=1e-12)
    w = (1 - friction**2 / 4) ** 0.5
    exact = torch.exp(-friction / 2 * times) * (torch.cos(w * times) + friction / 2 / w * torch.sin(w * times))
    torch.testing.assert_close(run.theta[:, 0], exact, atol=1e-8, rtol=0)


def test_scipy_takes_the_same_field():
    field = GradientField(linear_network(), mse)
    theirs = solve_ivp(field, (0, 2), field.start.numpy(), rtol=1e-10, atol=1e-12).y[:, -1]
    ours = integrate(GradientField(linear_network(), mse), [0, 2.0], rtol=1e-10, atol=1e-12).theta[-1]
    np.testing.assert_allclose(ours, theirs, atol=1e-8)


def test_tensors_in_tensors_out():
    field = GradientField(linear_network(), mse)
    found = field(torch.tensor(0.0), field.start.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), torch.from_numpy(field(0, field.start.numpy())), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2), ("rk4", 4), ("dopri5", 5)])
@pytest.mark.parametrize("project", [False, True])
def test_orders_of_convergence(method, order, project):
    model = linear_network()
    laws = gl.laws(model, X[:1], lower_only=True).laws
    exact = integrate(GradientField(model, mse), [0, 2.0], rtol=1e-13, atol=1e-14).theta[-1]
    errors = []
    for step in (0.0625, 0.03125) if order == 5 else (0.5, 0.25):
        run = integrate(GradientField(model, mse), [0, 2.0], method=method, step=step, laws=laws, project=project)
        errors.append(float((run.theta[-1] - exact).norm()))
        assert run.steps == 2 / step
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.45)


def test_projection_keeps_the_laws_to_rounding_where_large_steps_do_not():
    model = linear_network()
    laws = gl.laws(model, X[:1], lower_only=True).laws
    options = {"method": "euler", "step": 0.25, "laws": laws}
    plain = integrate(GradientField(model, mse), [0, 1, 2, 5.0], **options)
    kept = integrate(GradientField(model, mse), [0, 1, 2, 5.0], project=True, **options)
    assert plain.drift > 1e-3
    assert kept.drift < 1e-13
    assert kept.losses[-1] < kept.losses[0]


def test_adaptive_steps_obey_the_tolerance():
    exact = integrate(GradientField(linear_network(), mse), [0, 3.0], rtol=1e-13, atol=1e-14).theta[-1]
    runs = [integrate(GradientField(linear_network(), mse), [0, 3.0], rtol=r, atol=r / 10) for r in (1e-4, 1e-8)]
    errors = [float((run.theta[-1] - exact).norm()) for run in runs]
    assert errors[0] < 1e-3
    assert errors[1] < 1e-7
    assert runs[0].steps < runs[1].steps
    assert runs[1].evaluations > 6 * runs[1].steps


def test_a_relu_network_keeps_its_laws_along_the_flow():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)).double()
    laws = gl.laws(model, X[:1], lower_only=True).laws
    for project, drift in ((False, 1e-3), (True, 1e-13)):
        options = {"rtol": 1e-6, "atol": 1e-8, "smallest": 1e-3, "laws": laws, "project": project}
        run = integrate(GradientField(model, mse), [0, 0.5, 1.0], **options)
        assert run.laws.shape == (3, 8)
        assert run.drift < drift
        assert run.losses[2] < run.losses[1] < run.losses[0]


def test_the_module_is_left_as_it_is():
    model = linear_network()
    before = [p.clone() for p in model.parameters()]
    integrate(GradientField(model, mse), [0, 1.0])
    assert all(torch.equal(a, b) and a.grad is None for a, b in zip(model.parameters(), before, strict=True))


def cubic(point):
    return (point.x * point.y - 2).square() / 2 + 0.1 * point.x**3


PLAIN = (9.467e-3, 2.358e-3, 5.889e-4, 1.4715e-4)
MODIFIED = (8.611e-4, 1.1453e-4, 1.4812e-5, 1.8836e-6)


@pytest.mark.parametrize(("eta", "plain", "modified"), [*zip((0.1, 0.05, 0.025, 0.0125), PLAIN, MODIFIED, strict=True)])
def test_the_modified_flow_follows_a_step_to_one_order_more(eta, plain, modified):
    start = Point(1.2, 0.7)
    field = GradientField(start, cubic)
    stepped = field.start - eta * field.gradient(field.start)
    flows = (GradientField(start, cubic), ModifiedField(start, cubic, eta))
    ends = [integrate(flow, [0, eta], rtol=1e-12, atol=1e-14).theta[-1] for flow in flows]
    errors = [float((stepped - end).norm()) for end in ends]
    assert errors == pytest.approx([plain, modified], rel=1e-3)


def test_the_hessian_product_is_that_of_the_gradient():
    field = GradientField(Point(1.2, 0.7), cubic)
    g, bend = field.gradient_and_bend(field.start)
    shifted = [field.gradient(torch.tensor([1.2, 0.7]).double() + s * 1e-5 * g) for s in (1, -1)]
    torch.testing.assert_close(bend, (shifted[0] - shifted[1]) / 2e-5, atol=1e-7, rtol=1e-6)


def explosion(point):
    return -(point.x**4)


BAD = {
    "times": (lambda: integrate(GradientField(Point(1.0, 1.0), bowl), [0, 0]), "do not increase"),
    "one time": (lambda: integrate(GradientField(Point(1.0, 1.0), bowl), [0]), "expected at least two"),
    "method": (lambda: integrate(GradientField(Point(1.0, 1.0), bowl), [0, 1], method="rk5"), "unknown method 'rk5'"),
    "no step": (lambda: integrate(GradientField(Point(1.0, 1.0), bowl), [0, 1], method="rk4"), "pass step="),
    "step": (lambda: integrate(GradientField(Point(1.0, 1.0), bowl), [0, 1], step=0.0), "a step of 0.0"),
    "rtol": (lambda: integrate(GradientField(Point(1.0, 1.0), bowl), [0, 1], rtol=0), "tolerances"),
    "nan": (lambda: GradientField(Point(float("nan"), 1.0), bowl), "parameter x has entries that are NaN"),
    "no scalar": (lambda: GradientField(linear_network(), lambda m: m(X)), "not one finite number"),
    "another loss": (lambda: GradientField(linear_network(), lambda m: X.sum()), "does not depend on the parameters"),
    "friction": (lambda: MomentumField(Point(1.0, 1.0), bowl, -1.0), "a friction of -1.0"),
    "eta": (lambda: ModifiedField(Point(1.0, 1.0), bowl, 0.0), "a step of 0.0 makes no sense"),
    "projected momentum": (
        lambda: integrate(MomentumField(Point(1.0, 1.0), bowl, 1.0), [0, 1], project=True),
        "do not hold under momentum",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_requests_are_refused_in_a_sentence(fault):
    request, words = BAD[fault]
    with pytest.raises(InputError, match=words):
        request()


def test_a_flow_that_leaves_all_bounds_is_said_to():
    with pytest.raises(UnclearError, match=r"the step became too small at t = 0\.12"):
        integrate(GradientField(Point(1.0, 1.0), explosion), [0, 1.0])
