"""Balancing by large steps: identities against steps taken, published limits, the region of convergence by trial."""

import numpy as np
import pytest
import torch

from gradlaws.errors import InputError
from gradlaws.geometry.balance_steps import (
    balanced_sharpness,
    chain_gap_after_step,
    converges,
    largest_step,
    law_after_step,
    vector_law_after_step,
)


def one(value):
    return torch.tensor([value]).double()


def descend(x, y, mu, h, steps=20_000):
    """Scalar descent; the last x^2 + y^2 and x^2 - y^2."""
    for _ in range(steps):
        e = mu - x * y
        x, y = x + h * e * y, y + h * e * x
        if x * x + y * y > 1e12:
            return float("inf"), float("inf")
    return x * x + y * y, x * x - y * y


def test_one_published_step():
    assert vector_law_after_step(one(3.0), one(0.5), 2, 0.1) == pytest.approx(8.728125, rel=1e-14)


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 3, 2), (3, 5, 3)])
@pytest.mark.parametrize("step", [0.01, 0.7])
def test_the_matrix_identity_is_the_step(shape, step):
    m, n, r = shape
    torch.manual_seed(0)
    x, y, target = (torch.randn(*s).double() for s in ((m, r), (n, r), (m, n)))
    error = target - x @ y.T
    after_x, after_y = x + step * error @ y, y + step * error.T @ x
    torch.testing.assert_close(law_after_step(x, y, target, step), after_x.T @ after_x - after_y.T @ after_y)


def test_the_vector_identity_is_the_step():
    torch.manual_seed(1)
    x, y = torch.randn(2, 5).double()
    e = 1.3 - float(x @ y)
    after = (x + 0.4 * e * y).square().sum() - (y + 0.4 * e * x).square().sum()
    assert vector_law_after_step(x, y, 1.3, 0.4) == pytest.approx(float(after), rel=1e-12)


@pytest.mark.parametrize(("step", "total", "law"), [(0.11867583, 15.72778, 15.60010), (0.1561524, 7.931189, 7.674875)])
def test_published_limits(step, total, law):
    found = descend(4.0, 0.1, 1.0, step)
    assert found == pytest.approx((total, law), abs=2e-4)
    assert found[0] <= 2 / step


def test_the_longest_published_step():
    found = descend(4.0, 0.1, 1.0, 0.19490255)
    assert found[0] <= 2 / 0.19490255
    assert np.isfinite(found[0])


def test_the_published_threshold():
    x, y = one(10.0), one(0.5)
    assert largest_step(x, y, 1.0) == pytest.approx(0.0399639748, abs=1e-10)
    assert converges(x, y, 1.0, 0.0388489)
    assert not converges(x, y, 1.0, 0.0402878)
    assert np.isfinite(descend(10.0, 0.5, 1.0, 0.0388489)[0])
    assert descend(10.0, 0.5, 1.0, 0.0402878)[0] == np.inf


def test_the_region_of_convergence_by_trial():
    random = np.random.default_rng(0)
    for _ in range(60):
        x, y, mu = random.normal(0, 2), random.normal(0, 2), random.uniform(0.2, 2)
        threshold = largest_step(one(x), one(y), mu)
        if threshold >= 0.99 / mu:
            continue
        assert np.isfinite(descend(x, y, mu, 0.97 * threshold, 3000)[0])
        assert descend(x, y, mu, 1.03 * threshold, 3000)[0] == np.inf


def chain_step(s, sigma, eta):
    s = np.array(s)
    error = s.prod() - sigma
    return s - eta * error * s.prod() / s


def test_the_gap_of_a_chain():
    factors = (1.5, 0.7, 0.4)
    found = chain_gap_after_step(factors, 2.0, 0.05, (0, 1))
    assert found == pytest.approx(1.7582425344, abs=1e-10)
    after = chain_step(factors, 2.0, 0.05)
    assert found == pytest.approx(after[0] ** 2 - after[1] ** 2, rel=1e-13)


def test_the_sharpness_at_the_balanced_minimum():
    assert balanced_sharpness(3, 2.0) == pytest.approx(7.5595262994, abs=1e-10)
    s = np.full(3, 2 ** (1 / 3))
    gradient = s.prod() / s
    hessian = np.outer(gradient, gradient)  # the error is zero there
    assert np.linalg.eigvalsh(hessian)[-1] == pytest.approx(balanced_sharpness(3, 2.0))


def run_chain(ratio, steps=3000):
    eta, s, seen = ratio / balanced_sharpness(3, 2.0), np.array([1.5, 1.2, 1.0]), []
    for _ in range(steps):
        s = chain_step(s, 2.0, eta)
        seen.append((s.prod(), (s**2).max() - (s**2).min()))
    return seen


def test_below_the_edge_of_stability_the_gap_freezes():
    seen = run_chain(1.9)
    assert seen[0][1] == pytest.approx(1.245452, abs=1e-6)
    assert seen[-1] == pytest.approx((2.0, 1.172241), abs=1e-6)


@pytest.mark.parametrize(("ratio", "products"), [(2.05, (1.73653911, 2.22343743)), (2.3, (1.34148629, 2.4417303))])
def test_above_it_the_product_oscillates_and_the_gap_dies(ratio, products):
    seen = run_chain(ratio)
    assert sorted(p for p, _ in seen[-2:]) == pytest.approx(products, abs=1e-6)
    assert seen[-1][1] < 1e-8


BAD = {
    "shapes": (lambda: law_after_step(torch.ones(2, 2), torch.ones(3, 1), torch.ones(2, 3), 1.0), "do not fit"),
    "target": (lambda: largest_step(one(1.0), one(1.0), -1.0), "expected mu > 0"),
    "pair": (lambda: chain_gap_after_step([1, 2], 1, 0.1, (0, 2)), "expected two different ones"),
    "depth": (lambda: balanced_sharpness(0, 1.0), "expected at least one"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_requests_are_refused_in_a_sentence(fault):
    request, words = BAD[fault]
    with pytest.raises(InputError, match=words):
        request()
