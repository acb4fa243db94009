"""Chebyshev weights and orders against scipy's Bessel functions, Poisson probabilities and the published values."""

import numpy as np
import pytest
from scipy.special import ive
from scipy.stats import skellam

from gradlaws.geometry.chebyshev import orders, reach, tails, weights
from tests.oracles.diffusion_bound import bound, least_order, released_order


def error(z):
    return tails(np.array([float(z)]))[0]


def order(z, tolerance):
    return int(orders(np.array([float(z)]), tolerance)[0])


ARGUMENTS = (0.0, 1e-8, 0.3, 1.0, 7.5, 40.0, 333.0, 1e4, 1e6)


@pytest.mark.parametrize("z", ARGUMENTS)
def test_weights_are_scaled_bessel_functions(z):
    (found,) = weights(np.array([z]), 50)
    np.testing.assert_allclose(found, ive(np.arange(51), z), rtol=1e-11, atol=1e-300)


def test_many_arguments_at_once_do_not_disturb_each_other():
    together = weights(np.array(ARGUMENTS), 30)
    alone = np.concatenate([weights(np.array([z]), 30) for z in ARGUMENTS])
    np.testing.assert_allclose(together, alone, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("z", [0.5, 5.0, 60.0])
def test_the_error_is_the_chance_that_two_poisson_numbers_differ_by_more(z):
    found = error(z)
    beyond = [2 * skellam.sf(k, z / 2, z / 2) for k in range(15)]
    np.testing.assert_allclose(found[:15], beyond, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("z", [0.0, 1e-6, 2.0, 30.0, 500.0, 1e5])
@pytest.mark.parametrize("depth", [1.0, 20.0, 300.0])
def test_chernoff_bounds_what_is_beyond_reach(z, depth):
    found = error(z)
    k = reach(z, depth)
    assert k >= len(found) or found[k] <= 2 * np.exp(-depth)


@pytest.mark.parametrize(
    ("k", "c", "published", "exact"),
    [
        (5, 1, 5.203934843865705e-4, 5.0233409902740e-4),
        (10, 1, 8.107168617337765e-9, 8.02855822877e-9),
        (10, 2.5, 1.7535201694154e-5, 1.6710703833822e-5),
        (20, 10, 1.4510717339979e-5, 8.532358556677e-6),
    ],
)
def test_published_bound_and_exact_error(k, c, published, exact):
    assert bound(k, c) == pytest.approx(published, rel=1e-11)
    assert error(2 * c)[k] == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize(
    ("c", "by_bound", "by_tail"),
    [
        (1, (5, 7), (4, 7)),
        (10, (15, 21), (13, 20)),
        (40, (45, 51), (26, 40)),
        (100, (105, 110), (42, 63)),
        (200, (205, 210), (59, 88)),
        (500, (505, 511), (93, 140)),
    ],
)
def test_least_orders(c, by_bound, by_tail):
    errors = (1e-5, 1e-10)
    assert tuple(least_order(c, e) for e in errors) == by_bound
    assert tuple(order(2 * c, e**0.5) for e in errors) == by_tail


@pytest.mark.parametrize(("c", "expected"), [(1, 7), (10, 47), (40, 180), (100, 448)])
def test_least_orders_relative_to_the_output(c, expected):
    assert least_order(c, 1e-5, extra=8 * c) == expected


@pytest.mark.parametrize(
    ("time", "squared_error", "expected"), [(0.5, 1e-5, 4), (0.5, 1e-32, 14), (2, 1e-5, 6), (2, 1e-32, 21)]
)
def test_least_orders_relative_to_the_output_of_a_signal_on_a_path(time, squared_error, expected):
    c = time * 3.618033988749895 / 4
    assert least_order(c, squared_error, extra=np.log(5)) == expected


@pytest.mark.parametrize(("squared_error", "by_bound", "by_tail"), [(1e-5, 204, 79), (1e-12, 212, 111)])
def test_no_overflow_where_factorials_have_one(squared_error, by_bound, by_tail):
    """The Stanford bunny, 2503 nodes, time 10, relative to the output of a Dirac."""
    assert least_order(195, squared_error, extra=np.log(2503)) == by_bound
    assert order(390, (squared_error / 2503) ** 0.5) == by_tail


@pytest.mark.parametrize(
    ("c", "expected"),
    [(1, (5, 7)), (10, (15, 21)), (40, (45, 51)), (100, (105, 110)), (200, (400, 400)), (500, (1000, 1000))],
)
def test_orders_of_the_released_program(c, expected):
    """A published defect: where its bound overflows it says any power of two times C."""
    assert tuple(released_order(c, e) for e in (1e-5, 1e-10)) == expected


@pytest.mark.parametrize(("c", "expected"), [(1, 7), (10, 47), (40, 320), (100, 200)])
def test_orders_of_the_released_program_relative_to_the_output(c, expected):
    assert released_order(c, 1e-5, extra=8 * c) == expected


def test_the_bunny_in_the_released_program():
    assert {released_order(195, e, extra=np.log(2503)) for e in (1e-5, 1e-12)} == {390}


def test_coefficient_sign_convention():
    assert ive(1, -0.5) == pytest.approx(-0.15642080318487167, rel=1e-14)
    assert weights(np.array([0.5]), 1)[0, 1] == pytest.approx(0.15642080318487167, rel=1e-14)


@pytest.mark.parametrize("z", [0.2, 9.0, 400.0])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-12])
def test_the_cut_series_errs_by_the_tail_and_not_more(z, tolerance):
    s, k = np.linspace(-1, 1, 2001), order(z, tolerance)
    (w,) = weights(np.array([z]), k)
    signs = 2 * (-1.0) ** np.arange(k + 1)
    signs[0] = 1
    series = np.polynomial.chebyshev.chebval(s, signs * w)
    worst = np.abs(series - np.exp(-z * (1 + s))).max()
    assert worst == pytest.approx(error(z)[k], rel=1e-3, abs=1e-14)
    assert k == 0 or error(z)[k - 1] > tolerance
