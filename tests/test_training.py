"""Laws against real training runs in float64, by a network and a loop that know nothing of the library."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy, leaky_relu, mse_loss

import gradlaws as gl
from gradlaws.laws.law import gradients
from gradlaws.models.network import Network
from tests.samplers import generator

ACTIVATIONS = {
    "linear": lambda z: z,
    "relu": torch.relu,
    "leaky": lambda z: leaky_relu(z, 0.1),
    "square": torch.square,
}
LOSSES = {
    "squares": lambda y: mse_loss(y, torch.sin(y.detach() + 1)),
    "classes": lambda y: cross_entropy(y, torch.arange(len(y)) % y.shape[1]),
}
ROUNDING = 1e-12
ETA = 0.02

runs = pytest.mark.parametrize(
    ("kind", "bias", "loss"),
    [(kind, bias, loss) for kind in ACTIVATIONS for bias in (False, True) for loss in LOSSES],
)


class Run:
    """Gradient descent from a random start."""

    def __init__(self, network: Network, loss):
        random = generator(3)
        self.network, self.loss = network, loss
        self.x = torch.randn(20, network.widths[0], generator=random, dtype=torch.float64)
        self.theta = {
            name: 0.5 * torch.randn(shape, generator=random, dtype=torch.float64)
            for name, shape in network.parameters.items()
        }

    def gradient(self):
        leaves = {name: value.clone().requires_grad_() for name, value in self.theta.items()}
        outputs = self.loss(self.outputs(leaves))
        return dict(zip(leaves, torch.autograd.grad(outputs, leaves.values()), strict=True))

    def outputs(self, theta):
        hidden = self.x
        for layer in range(1, self.network.depth + 1):
            hidden = hidden @ theta[f"W{layer}"].T + theta.get(f"b{layer}", 0)
            if layer < self.network.depth:
                hidden = ACTIVATIONS[self.network.activation](hidden)
        return hidden

    def step(self):
        slope = self.gradient()
        self.theta = {name: value - ETA * slope[name] for name, value in self.theta.items()}
        return slope


def scale(point):
    return sum(float(value.square().sum()) for value in point.values())


def worst_slope(run, law):
    """Largest |<grad h, grad L>| of a bundle, relative to the norms of the two."""
    slope = run.gradient()
    sizes = gradients(law, run.theta).norm(dim=1) * scale(slope) ** 0.5
    return float((law.derivative(run.theta, slope).abs() / sizes).max())


def worst_step_error(run, law, steps=30):
    """Largest error of h(theta - eta g) = h(theta) + eta^2 h(g) over a few steps, relative to the squares in it."""
    worst = 0.0
    for _ in range(steps):
        before, size = law.value(run.theta), scale(run.theta)
        slope = run.step()
        error = (law.value(run.theta) - before - ETA**2 * law.value(slope)).abs().max()
        assert error.isfinite()
        worst = max(worst, float(error) / (size + ETA**2 * scale(slope)))
    return worst


def start(kind, bias, loss):
    network = Network(kind, (3, 4, 3, 2), bias=bias)
    return Run(network, LOSSES[loss]), gl.laws(network).laws


@runs
def test_laws_are_orthogonal_to_real_gradients(kind, bias, loss):
    run, laws = start(kind, bias, loss)
    assert len(laws) == 2
    for law in laws:
        assert worst_slope(run, law) < ROUNDING


@runs
def test_one_step_changes_a_law_by_eta_squared_times_its_value_at_the_gradient(kind, bias, loss):
    run, laws = start(kind, bias, loss)
    for law in laws:
        assert worst_step_error(run, law) < ROUNDING


@runs
def test_a_quantity_that_is_not_a_law_fails_both(kind, bias, loss):
    run, laws = start(kind, bias, loss)
    for law in laws:
        wrong = replace(law, parts=tuple((part, abs(c)) for part, c in law.parts))
        assert worst_slope(run, wrong) > 1e-3
        assert worst_step_error(run, wrong) > 1e-6


def test_training_moves_while_the_laws_stand_still():
    run, laws = start("relu", True, "classes")
    before, start_loss = [law.value(run.theta) for law in laws], run.loss(run.outputs(run.theta))
    predicted = [torch.zeros_like(value) for value in before]
    for _ in range(500):
        slope = run.step()
        predicted = [p + ETA**2 * law.value(slope) for p, law in zip(predicted, laws, strict=True)]
    assert run.loss(run.outputs(run.theta)) < 0.9 * start_loss
    for law, value, drift in zip(laws, before, predicted, strict=True):
        torch.testing.assert_close(law.value(run.theta) - value, drift, rtol=0, atol=1e-11)
