"""Large steps: exact identities on random matrices, published limits, the region of convergence by simulation."""

import numpy as np
import pytest
import torch
from torch import nn

from gradlaws.errors import InputError, UnclearError
from gradlaws.geometry.balancing import (
    balanced_sharpness,
    converges,
    descend_chain,
    descend_factors,
    gap_change,
    gap_factors,
    largest_step,
)

RNG = np.random.default_rng(0)


def scalars(mu, x, y, step, steps):
    return descend_factors([[mu]], [[x]], [[y]], step, steps)


def slow(mu, x, y, step, steps):
    """Plain numbers or vectors, without matrices."""
    for _ in range(steps):
        e = mu - np.dot(x, y)
        x, y = x + step * e * y, y + step * e * x
        if not np.isfinite(e) or abs(e) > 1e12:
            return None
    return x, y


def test_one_step_of_the_sheet():
    found = scalars(2.0, 3.0, 0.5, 0.1, 1)
    x, y = (float(f[0, 0]) for f in found.factors)
    assert x**2 - y**2 == pytest.approx(8.728125, abs=1e-14)
    assert found.gaps == pytest.approx([8.75, 8.728125], abs=1e-14)
    assert gap_change([[2.0]], [[3.0]], [[0.5]], 0.1).item() == pytest.approx(-(0.1**2) * 0.5**2 * 8.75, abs=1e-15)


@pytest.mark.parametrize("shape", [(1, 1, 4), (3, 2, 2), (4, 5, 3)])
def test_the_matrix_identity_is_exact(shape):
    m, n, r = shape
    a, x, y = RNG.standard_normal((m, n)), RNG.standard_normal((m, r)), RNG.standard_normal((n, r))
    new_x, new_y = descend_factors(a, x, y, 0.3, 1).factors
    moved = (new_x.T @ new_x - new_y.T @ new_y) - (x.T @ x - y.T @ y)
    np.testing.assert_allclose(moved, gap_change(a, x, y, 0.3), atol=1e-12)
    if m == n == 1:
        e = (a - x @ y.T).item()
        np.testing.assert_allclose(gap_change(a, x, y, 0.3), -(0.3**2) * e**2 * (x.T @ x - y.T @ y), atol=1e-12)


def test_a_real_module_trained_by_sgd_takes_the_same_steps():
    a, x, y = (torch.tensor(RNG.standard_normal(s)) for s in ((3, 2), (3, 2), (2, 2)))
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 3, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(y.T)
        model[1].weight.copy_(x)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        ((model(torch.eye(2).double()).T - a).square().sum() / 2).backward()
        optimizer.step()
    last = descend_factors(a, x, y, 0.1, 20).factors
    np.testing.assert_allclose(last[0], model[1].weight.detach(), atol=1e-12)
    np.testing.assert_allclose(last[1], model[0].weight.detach().T, atol=1e-12)


# step from (4, 0.1) with mu = 1, q = 16.01: limits of |x|^2 + |y|^2 and of |x|^2 - |y|^2
LIMITS = {1.9 / 16.01: (15.72778, 15.60010), 2.5 / 16.01: (7.931189, 7.674875), 3.9 / 20.01: (2.002455, None)}


@pytest.mark.parametrize("step", LIMITS)
def test_large_steps_balance_as_published(step):
    found = scalars(1.0, 4.0, 0.1, step, 20_000)
    x, y = (float(f[0, 0]) for f in found.factors)
    total, gap = LIMITS[step]
    assert x**2 + y**2 == pytest.approx(total, abs=5e-6)
    assert found.losses[-1] < 1e-20
    assert x**2 + y**2 <= 2 / step
    if gap is not None:
        assert abs(x**2 - y**2) == pytest.approx(gap, abs=5e-6)
        assert found.gaps[-1] == pytest.approx(gap, abs=5e-6)


def test_the_steps_and_the_bound_of_the_sheet():
    assert list(LIMITS) == pytest.approx([0.11867583, 0.1561524, 0.19490255], abs=5e-9)
    assert 2 / list(LIMITS)[2] == pytest.approx(10.2615, abs=5e-5)
    inside, outside = 4.05 / 104.25, 4.2 / 104.25
    assert (inside, outside) == pytest.approx((0.0388489, 0.0402878), abs=5e-8)


def test_the_threshold_of_the_sheet():
    assert largest_step(1.0, [10.0], [0.5]) == pytest.approx(0.0399639748, abs=1e-10)
    assert converges(1.0, 10.0, 0.5, 0.0388489)
    assert not converges(1.0, 10.0, 0.5, 0.0402878)
    assert scalars(1.0, 10.0, 0.5, 0.0388489, 20_000).losses[-1] < 1e-20
    assert slow(1.0, 10.0, 0.5, 0.0402878, 20_000) is None


def test_the_region_of_convergence_is_that_of_simulations():
    inside = outside = 0
    for _ in range(60):
        n = int(RNG.integers(1, 4))
        x, y, mu = 3 * RNG.standard_normal(n), 3 * RNG.standard_normal(n), float(RNG.uniform(0.1, 3))
        q = x @ x + y @ y
        step = 4 / (q + np.sqrt(max(0.0, q * q - 16 * mu * (x @ y - mu)))) * 2 * RNG.uniform(0.5, 1.6)
        if step * mu >= 0.95 or abs(step * (q - step * mu * (x @ y)) / (4 - (step * mu) ** 2) - 1) < 0.02:
            continue
        last = slow(mu, x, y, step, 3_000)
        settled = last is not None and abs(mu - last[0] @ last[1]) < 1e-3
        assert settled == converges(mu, x, y, step), (x, y, mu, step)
        assert settled == (step < largest_step(mu, x, y))
        inside, outside = inside + settled, outside + (not settled)
    assert min(inside, outside) > 10


def test_one_step_of_a_chain_of_the_sheet():
    found = descend_chain(2.0, [1.5, 0.7, 0.4], 0.05, 1).factors[0]
    assert found[0] ** 2 - found[1] ** 2 == pytest.approx(1.7582425344, abs=1e-12)
    factors = gap_factors(2.0, [1.5, 0.7, 0.4], 0.05)
    assert 1.76 * factors[0, 1] == pytest.approx(1.7582425344, abs=1e-12)


def test_every_gap_of_a_chain_shrinks_by_its_factor():
    s = RNG.uniform(0.3, 1.5, 5)
    after = descend_chain(1.7, s, 0.2, 1).factors[0]
    gaps = [np.subtract.outer(v**2, v**2) for v in (s, after)]
    np.testing.assert_allclose(gaps[1], gaps[0] * gap_factors(1.7, s, 0.2), atol=1e-14)


def test_the_chain_stays_at_the_edge_or_balances_beyond_it():
    sharpness = balanced_sharpness(3, 2.0)
    assert sharpness == pytest.approx(7.5595262994, abs=1e-10)
    start = [1.5, 1.2, 1.0]
    below = descend_chain(2.0, start, 1.9 / sharpness, 3_000)
    assert below.gaps[[0, 1, -1]] == pytest.approx([1.25, 1.245452, 1.172241], abs=1e-6)
    assert np.prod(below.factors[0]) == pytest.approx(2)
    for scaled, products in ((2.05, (2.22343743, 1.73653911)), (2.3, (2.4417303, 1.34148629))):
        runs = [descend_chain(2.0, start, scaled / sharpness, steps) for steps in (3_000, 3_001)]
        assert sorted(np.prod(run.factors[0]) for run in runs) == pytest.approx(sorted(products), abs=1e-7)
        assert runs[0].gaps[-1] < 1e-8


def test_the_balanced_sharpness_is_an_eigenvalue():
    s = torch.full((4,), 1.7 ** (1 / 4), dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(lambda v: (v.prod() - 1.7) ** 2 / 2, s)
    assert torch.linalg.eigvalsh(hessian)[-1].item() == pytest.approx(balanced_sharpness(4, 1.7), rel=1e-12)


def test_what_it_says():
    words = str(scalars(2.0, 3.0, 0.5, 0.1, 1))
    assert words.startswith("1 steps: loss 0.125 -> ")
    assert words.endswith("gap 8.75 -> 8.72813")


NAN = float("nan")
BAD = {
    "NaN": (lambda: scalars(2.0, NAN, 1.0, 0.1, 1), "x has entries that are no finite real numbers"),
    "shapes": (lambda: descend_factors([[1.0]], [[1.0, 2.0]], [[1.0]], 0.1, 1), r"shapes .* do not fit: expected A"),
    "no step": (lambda: scalars(2.0, 1.0, 1.0, 0.0, 1), "a step of 0.0 makes no sense"),
    "half a step": (lambda: scalars(2.0, 1.0, 1.0, 0.1, 1.5), "1.5 steps make no sense"),
    "negative steps": (lambda: scalars(2.0, 1.0, 1.0, 0.1, -1), "-1 steps make no sense"),
    "negative mu": (lambda: largest_step(-1.0, [1.0], [1.0]), "mu = -1.0 is not covered"),
    "lengths": (lambda: converges(1.0, [1.0, 2.0], [1.0], 0.1), "expected two vectors of equal length"),
    "a step that is not covered": (lambda: converges(2.0, 1.0, 1.0, 0.6), r"expected mu > 0 and step \* mu < 1"),
    "a threshold that is not covered": (lambda: largest_step(1.0, [0.1], [0.1]), "is not below 1 / mu"),
    "a chain of one": (lambda: descend_chain(2.0, [1.0], 0.1, 1), "expected a list of at least two numbers"),
    "one layer": (lambda: balanced_sharpness(1, 2.0), "1 layers with sigma = 2.0: expected at least 2"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_a_sentence(fault):
    call, words = BAD[fault]
    with pytest.raises(InputError, match=words):
        call()


def test_divergence_is_a_sentence():
    with pytest.raises(UnclearError, match=r"descent diverges: the loss is .* expected a smaller step"):
        scalars(1.0, 10.0, 0.5, 0.1, 1000)
