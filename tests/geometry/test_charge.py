"""Courses of charges: published values, torch's own SGD, and the equations of motion integrated."""

import numpy as np
import pytest
import torch
from torch import nn

from gradlaws.errors import InputError
from gradlaws.geometry.charge import Oscillator, normalised_length, recursion, settled_length
from tests.geometry.flows import Ray
from tests.oracles.published_scale import published_scale
from tests.oracles.slow_flow import solved


def test_a_sum_without_momentum_is_as_published():
    found = recursion(1.0, 200, degree=1, eta=0.1, decay=0.01)
    assert found[200] == pytest.approx(0.8186488294786356, rel=1e-13)
    assert found == pytest.approx(0.999 ** np.arange(201), rel=1e-13)
    assert np.exp(-0.01 * 0.1 * 200) == pytest.approx(0.8187307531, abs=5e-11)


def test_a_sum_with_momentum_is_as_published():
    found = recursion(1.0, 200, degree=1, eta=0.1, decay=0.01, beta=0.9)
    published = [0.999, 0.997101, 0.9589790578, 0.3686285999, 0.1204100312]
    assert found[[1, 2, 10, 100, 200]] == pytest.approx(published, abs=5e-11)


def test_the_oscillator_of_a_sum_is_as_published():
    found = Oscillator(1, 0.1, 0.01, 0.9)
    assert (found.gamma, found.omega) == pytest.approx((0.52631579, 0.32444284), abs=5e-9)
    assert found.course(1.0, 200)[[10, 100, 200]] == pytest.approx([0.9621519, 0.37070825, 0.12108612], abs=5e-8)
    assert not found.underdamped


def test_an_underdamped_sum_is_as_published():
    found = Oscillator(1, 0.1, 0.5, 0.9)
    assert found.underdamped
    assert (found.gamma, found.omega) == pytest.approx((0.5263, 2.2942), abs=5e-5)
    assert found.course(1.0, 10)[10] == pytest.approx(-0.2534, abs=5e-5)
    assert recursion(1.0, 10, degree=1, eta=0.1, decay=0.5, beta=0.9)[10] == pytest.approx(-0.3109, abs=5e-5)


def descended(eta, decay, beta, steps):
    """Squared length under SGD on a loss that does not see it, and the squares of updates and gradients."""
    model, lengths, updates, gradients = Ray(), [], [], []
    optimizer = torch.optim.SGD(model.parameters(), lr=eta, weight_decay=decay, momentum=beta)
    lengths.append(float(model.w.detach().square().sum()))
    for _ in range(steps):
        optimizer.zero_grad()
        model().backward()
        before = model.w.detach().clone()
        gradients.append(float((model.w.grad + decay * before).square().sum()))
        optimizer.step()
        updates.append(float((model.w.detach() - before).square().sum()))
        lengths.append(float(model.w.detach().square().sum()))
    return np.array(lengths), updates, gradients


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_the_recursion_of_a_squared_length_is_exact(beta, decay):
    lengths, updates, _ = descended(0.1, decay, beta, 60)
    found = recursion(lengths[0], updates, degree=2, eta=0.1, decay=decay, beta=beta)
    np.testing.assert_allclose(found, lengths, rtol=1e-13)
    broken = recursion(lengths[0], updates, degree=2, eta=0.1, decay=decay, beta=beta + 1e-3)
    assert np.abs(broken - lengths).max() > 1e-6


def test_squared_lengths_are_as_published():
    lengths, updates, directions = descended(0.1, 0.05, 0.0, 50)
    published = [1.3125, 1.3148877822656841, 1.3096667215162976, 1.3010916933313097, 1.221588102218359]
    found = recursion(lengths[0], torch.tensor(updates, dtype=torch.float64), degree=2, eta=0.1, decay=0.05)
    assert found[[0, 1, 2, 3, 10]] == pytest.approx(published, rel=1e-13)
    assert found[50] == pytest.approx(0.8186794562395311, rel=1e-13)
    assert published_scale(1.3125, directions, 0.1, 0.05) == pytest.approx(0.8204922098783, rel=1e-12)
    assert 1.3125 * np.exp(-2 * 0.05 * 5) == pytest.approx(0.7960715, abs=5e-8)


def rescaled(eta, decay, beta, steps, seed=0):
    """The same for ``|w_in|^2 + b^2 - |w_out|^2`` of each unit of a ReLU network, on batches."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=eta, weight_decay=decay, momentum=beta)

    def charge(w, b, v):
        return (w.square().sum(1) + b.square() - v.square().sum(0)).numpy()

    def parts():
        return [p.detach().clone() for p in list(model.parameters())[:3]]

    charges, squares = [charge(*parts())], []
    for _ in range(steps):
        x = torch.randn(8, 3).double()
        optimizer.zero_grad()
        (model(x) - x[:, :2].sin()).square().mean().backward()
        before = parts()
        optimizer.step()
        squares.append(charge(*(b - a for a, b in zip(before, parts(), strict=True))))
        charges.append(charge(*parts()))
    return np.array(charges), np.array(squares)


def test_the_recursion_of_a_rescaling_is_exact_on_batches():
    charges, squares = rescaled(0.05, 0.02, 0.8, 80)
    for unit in range(4):
        found = recursion(charges[0, unit], squares[:, unit], degree=2, eta=0.05, decay=0.02, beta=0.8)
        np.testing.assert_allclose(found, charges[:, unit], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("decay", "beta"), [(0.01, 0.9), (0.5, 0.9), (0.3, 0.0), (0.0, 0.5), (0.05 / 1.9 * 2, 0.9)])
@pytest.mark.parametrize("degree", [1, 2])
def test_the_oscillator_solves_its_equation(degree, decay, beta):
    found, times = Oscillator(degree, 0.1, decay, beta), np.linspace(0, 4, 9)
    moved = [lambda t, s: [s[1], -2 * found.gamma * s[1] - found.omega**2 * s[0]], times]
    np.testing.assert_allclose(found.free(times), solved(*moved, [1.0, 0.0])[:, 0], atol=1e-8)
    np.testing.assert_allclose(found.kick(times), solved(*moved, [0.0, 1.0])[:, 0], atol=1e-8)


def test_a_critical_oscillator_is_the_limit_of_others():
    eta, beta = 0.1, 0.9
    decay = (1 - beta) ** 2 / (2 * eta * (1 + beta))  # gamma = omega up to rounding
    middle = Oscillator(1, eta, decay, beta).free([1.0, 5.0])
    gamma = Oscillator(1, eta, decay, beta).gamma
    expected = np.exp(-gamma * np.array([1.0, 5.0])) * (1 + gamma * np.array([1.0, 5.0]))
    assert middle == pytest.approx(expected, abs=1e-7)


def test_the_oscillator_tends_to_the_recursion_with_the_step():
    missed = []
    for eta in (0.04, 0.02, 0.01):
        lengths, updates, _ = descended(eta, 0.05, 0.5, round(4 / eta))
        course = Oscillator(2, eta, 0.05, 0.5).course(lengths[0], updates)
        missed.append(abs(course[-1] - lengths[-1]))
    assert missed[0] < 0.05
    assert np.log2(missed[0] / missed[1]) == pytest.approx(1, abs=0.25)
    assert np.log2(missed[1] / missed[2]) == pytest.approx(1, abs=0.25)


def test_no_steps_leave_the_charge_as_it_is():
    assert recursion(3.0, 0, degree=1, eta=0.1).tolist() == [3.0]
    assert recursion(3.0, np.int64(0), degree=2, eta=0.1).tolist() == [3.0]
    assert Oscillator(2, 0.1, 0.1).course(3.0, []).tolist() == [3.0]


NOETHER = {"mass": 0.05, "damping": 1.0, "decay": 0.1}


def test_noethers_length_is_as_published():
    found = normalised_length(2.0, [1, 5, 20], **NOETHER, force=1.0)
    assert found == pytest.approx([1.6870448, 0.98674895, 0.70793652], abs=5e-8)
    assert settled_length(**NOETHER, force=1.0) == pytest.approx(0.70710678, abs=5e-9)
    late = normalised_length(2.0, 200.0, **NOETHER, force=lambda t: 1.0)
    assert late == pytest.approx([settled_length(**NOETHER, force=1.0)], rel=1e-9)


def test_noethers_length_under_a_force_that_changes():
    times = [0.0, 0.5, 3.0]
    found = normalised_length(2.0, times, **NOETHER, force=lambda t: 1 + np.sin(t))
    by_hand = solved(lambda t, z: [4 * (0.05 * (1 + np.sin(t)) - 0.1 * z[0])], times, [4.0])[:, 0]
    np.testing.assert_allclose(found, np.sqrt(by_hand), atol=1e-9)


def test_lengths_of_real_steps_settle_where_noether_says():
    """SGD without momentum on ``c . q / |q|`` with a fresh random c at each step."""
    eta, decay, rng = 0.05, 0.05, np.random.default_rng(0)
    q, seen = np.array([1.0, 0.5, -0.5, 0.2]), []
    for _ in range(40_000):
        unit = q / np.linalg.norm(q)
        c = rng.standard_normal(4)
        q = q - eta * ((c - (c @ unit) * unit) / np.linalg.norm(q) + decay * q)
        seen.append(q @ q)
    settled = settled_length(mass=eta / 2, damping=1.0, decay=decay, force=3.0)
    assert np.mean(seen[10_000:]) == pytest.approx(settled, rel=0.02)


BAD = {
    "a degree": (lambda: recursion(1.0, 3, degree=3, eta=0.1), "a charge of degree 3 is not covered: expected 1"),
    "no step": (lambda: recursion(1.0, 3, degree=1, eta=0.0), "a step size of 0.0 makes no sense"),
    "growth": (lambda: Oscillator(1, 0.1, -0.1), "a weight decay of -0.1 makes no sense"),
    "too much momentum": (lambda: Oscillator(1, 0.1, 0.1, 1.0), "a momentum of 1.0 makes no sense"),
    "negative steps": (lambda: recursion(1.0, -3, degree=1, eta=0.1), "-3 steps make no sense"),
    "a yes": (lambda: recursion(1.0, True, degree=1, eta=0.1), "steps are not understood"),
    "text": (lambda: recursion(1.0, "ten", degree=2, eta=0.1), "expected how many, or the square of the update"),
    "NaN squares": (lambda: recursion(1.0, [1.0, np.nan], degree=2, eta=0.1), "steps are not understood"),
    "squares of a sum": (lambda: recursion(1.0, [1.0], degree=1, eta=0.1), "is not driven by squares of updates"),
    "a NaN charge": (lambda: recursion(np.nan, 3, degree=1, eta=0.1), "start = nan: expected a finite number"),
    "negative times": (lambda: Oscillator(1, 0.1, 0.1).free([-1.0]), "a time is negative, NaN or infinite"),
    "no mass": (lambda: normalised_length(1.0, 1.0, mass=0.0, damping=1.0, decay=1.0, force=1.0), "mass = 0.0"),
    "a negative time": (lambda: normalised_length(1.0, -1.0, **NOETHER, force=1.0), "time -1 is negative"),
    "negative decay": (
        lambda: normalised_length(1.0, 1.0, mass=1.0, damping=1.0, decay=-1.0, force=1.0),
        "a weight decay of -1.0 makes no sense",
    ),
    "a negative square": (lambda: normalised_length(1.0, 1.0, **NOETHER, force=-1.0), "expected a squared length"),
    "nothing to settle": (lambda: settled_length(mass=1.0, damping=1.0, decay=0.0, force=1.0), "settles nowhere"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_a_sentence(fault):
    request, words = BAD[fault]
    with pytest.raises(InputError, match=words):
        request()
