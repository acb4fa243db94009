"""exp(-t A) x against dense exponentials, scipy, published values and its own invariants."""

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator, expm_multiply

import gradlaws as gl
from gradlaws.errors import InputError, TooLargeError
from gradlaws.geometry import diffusion
from gradlaws.geometry.chebyshev import orders

PATH = nx.path_graph(5)
GRAPH = nx.gnp_random_graph(80, 0.08, seed=4)  # some nodes are alone
LAPLACIAN = nx.laplacian_matrix(GRAPH).astype(float).tocsr()
RNG = np.random.default_rng(0)
X = RNG.standard_normal((80, 3))
TIMES = (3.0, 0.0, 0.2, 40.0, 0.2)


def dense(matrix, x, times):
    """The slow twin: one dense exponential for each time."""
    return np.stack([expm(-t * np.asarray(matrix)) @ x for t in times])


def test_published_values_on_a_path():
    start = np.eye(5)[0]
    half, two = gl.diffuse(PATH, start, [0.5, 2.0])
    np.testing.assert_allclose(half, [0.67367003, 0.25784923, 0.05809471, 0.0091711, 0.00121493], atol=5e-9)
    np.testing.assert_allclose(two, [0.38580714, 0.29659682, 0.17968774, 0.09065048, 0.04725782], atol=5e-9)


@pytest.mark.parametrize(("k", "expected"), [(5, 3.3653e-3), (8, 4.4744e-5), (12, 1.7853e-8)])
def test_published_errors_on_a_path(k, expected):
    top = 3.618033988749895
    tolerance = next(t for t in np.logspace(0, -15, 400) if orders(np.array([top]), t)[0] == k)
    start = np.eye(5)[0]
    found = gl.diffuse(PATH, start, 2.0, tolerance=tolerance, spectrum=(0, top))[0]
    exact = dense(nx.laplacian_matrix(PATH).toarray(), start, [2.0])[0]
    assert np.linalg.norm(found - exact) == pytest.approx(expected, rel=1e-3)


def test_the_published_error_of_twenty_orders_is_rounding():
    top, start = 3.618033988749895, np.eye(5)[0]
    assert np.linalg.eigvalsh(nx.laplacian_matrix(PATH).toarray())[-1] == pytest.approx(top, abs=1e-14)
    tolerance = next(t for t in np.logspace(-10, -22, 800) if orders(np.array([top]), t)[0] == 20)
    found = gl.diffuse(PATH, start, 2.0, tolerance=tolerance, spectrum=(0, top))[0]
    assert np.linalg.norm(found - dense(nx.laplacian_matrix(PATH).toarray(), start, [2.0])[0]) < 1e-15


@pytest.mark.parametrize("x", [X, X[:, 0], X - X.mean(0)], ids=["columns", "one", "centred"])
def test_many_times_at_once_are_dense_exponentials(x):
    found = gl.diffuse(LAPLACIAN, x, TIMES)
    assert found.shape == (len(TIMES), *x.shape)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, dense(LAPLACIAN.toarray(), x, TIMES), atol=1e-11)


def test_the_same_as_scipy():
    ours = gl.diffuse(LAPLACIAN, X, np.linspace(0.5, 8, 10))
    np.testing.assert_allclose(ours, expm_multiply(-LAPLACIAN, X, 0.5, 8, 10, endpoint=True), atol=1e-11)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-5, 1e-9, 1e-13])
def test_the_error_is_within_the_tolerance(tolerance):
    exact = dense(LAPLACIAN.toarray(), X, TIMES)
    error = np.linalg.norm(gl.diffuse(LAPLACIAN, X, TIMES, tolerance=tolerance) - exact, axis=(1, 2))
    assert error.max() <= tolerance * np.linalg.norm(X) + 1e-14 * np.linalg.norm(X)


def test_mass_semigroup_and_positivity():
    x = np.abs(X)
    a, b, ab = gl.diffuse(GRAPH, x, [1.0, 2.5, 3.5])
    np.testing.assert_allclose(a.sum(0), x.sum(0), rtol=1e-12)
    np.testing.assert_allclose(gl.diffuse(GRAPH, a, 2.5)[0], ab, atol=1e-11)
    assert (gl.diffuse(GRAPH, x, [0.1, 10.0]) > -1e-11).all()
    assert not np.allclose(a, b)


def test_pieces_of_a_disconnected_graph_do_not_mix():
    graph = nx.disjoint_union(nx.cycle_graph(4), nx.complete_graph(3))
    found = gl.diffuse(graph, np.eye(7)[0], [1e3])[0]
    np.testing.assert_allclose(found, [0.25] * 4 + [0] * 3, atol=1e-11)


def test_long_times_need_few_orders_and_do_not_overflow():
    n = 200
    found = gl.diffuse(nx.cycle_graph(n), np.eye(n)[0], [1e6])[0]
    np.testing.assert_allclose(found, 1 / n, atol=1e-10)


SQUARE, WIDE = RNG.standard_normal((40, 40)), RNG.standard_normal((40, 60))
SYMMETRIC, KERNEL = SQUARE + SQUARE.T, WIDE @ WIDE.T


@pytest.mark.parametrize("matrix", [SYMMETRIC, KERNEL, -KERNEL / 100, np.zeros((40, 40)), np.eye(40)])
@pytest.mark.parametrize("form", [np.asarray, aslinearoperator, torch.from_numpy])
def test_operators_that_are_no_laplacians(matrix, form):
    x, times = X[:40], [0.0, 0.05, 0.3]
    exact = dense(matrix, x, times)
    found = gl.diffuse(form(matrix), x, times)
    assert np.abs(found - exact).max() <= 1e-10 * np.abs(exact).max()


def test_tensors_in_tensors_out():
    x = torch.from_numpy(X)
    found = gl.diffuse(torch.from_numpy(LAPLACIAN.toarray()).to_sparse(), x.float(), torch.tensor([0.3, 1.0]))
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, dense(LAPLACIAN.toarray(), x.float().double().numpy(), [0.3, 1.0]), atol=1e-6)


def test_no_times_and_one_time():
    assert gl.diffuse(PATH, np.ones(5), []).shape == (0, 5)
    np.testing.assert_allclose(gl.diffuse(PATH, np.ones((5, 1)), 7), np.ones((1, 5, 1)))


def test_the_graph_and_the_signal_are_left_alone():
    x, matrix = X.copy(), LAPLACIAN.copy()
    gl.diffuse(matrix, x, TIMES)
    np.testing.assert_array_equal(x, X)
    assert (matrix != LAPLACIAN).nnz == 0


def test_progress_is_heard():
    heard = []
    gl.diffuse(LAPLACIAN, X, TIMES, on_progress=lambda stage, done: heard.append((stage, done)))
    assert [done for _, done in heard] == sorted(done for _, done in heard)
    assert heard[-1] == ("diffusion", 1.0)


@pytest.mark.parametrize("time", [0.01, 1.0, 30.0])
@pytest.mark.parametrize(("low", "high"), [(0.0, 0.85), (0.1, 1.01), (0.1, 0.7)])
@pytest.mark.parametrize("shift", [0.0, -0.3])
def test_an_interval_found_too_narrow_is_widened(monkeypatch, time, low, high, shift):
    matrix = LAPLACIAN.toarray() + shift * np.eye(80)
    top = np.linalg.eigvalsh(matrix)[-1]
    monkeypatch.setattr(diffusion, "likely_interval", lambda read, start, longest: (low * top, high * top))
    found, exact = gl.diffuse(aslinearoperator(matrix), X, [time]), dense(matrix, X, [time])
    np.testing.assert_allclose(found, exact, atol=1e-10 * np.exp(-shift * time))


@pytest.mark.parametrize("time", [1.0, 1e3, 1e5])
def test_a_laplacian_known_by_its_products_only(time):
    laplacian = nx.laplacian_matrix(nx.cycle_graph(500)).astype(float)
    x = np.random.default_rng(7).standard_normal(500)
    found = gl.diffuse(aslinearoperator(laplacian), x, [time])
    np.testing.assert_allclose(found, gl.diffuse(laplacian, x, [time]), atol=1e-10)


def test_what_only_x_sees_is_seen():
    """One eigenvalue whose vector is orthogonal to the random vector that Lanczos would start from alone."""
    blind = np.random.default_rng(1).standard_normal(200)
    outside = np.linalg.qr(np.stack([blind, np.arange(200.0)], 1))[0][:, 1]
    matrix = np.eye(200) + 0.3 * np.outer(outside, outside)
    found = gl.diffuse(aslinearoperator(matrix), outside, [5.0])
    np.testing.assert_allclose(found[0], np.exp(-6.5) * outside, atol=1e-12)


BAD = {
    "asymmetric": (lambda: gl.diffuse(np.triu(SYMMETRIC), X[:40], 1.0), "not symmetric"),
    "negative time": (lambda: gl.diffuse(PATH, np.ones(5), [1, -0.5]), "time -0.5 is negative.*pass -A"),
    "nan time": (lambda: gl.diffuse(PATH, np.ones(5), [np.nan]), "a time is NaN"),
    "times of text": (lambda: gl.diffuse(PATH, np.ones(5), ["a"]), "times are not a list of real numbers"),
    "nan signal": (lambda: gl.diffuse(PATH, np.full(5, np.nan), 1), "x has entries that are NaN"),
    "complex signal": (lambda: gl.diffuse(PATH, 1j * np.ones(5), 1), "expected real numbers"),
    "another size": (lambda: gl.diffuse(PATH, np.ones(4), 1), r"x has shape \[4\]: expected \[5\] or \[5, k\]"),
    "tolerance": (lambda: gl.diffuse(PATH, np.ones(5), 1, tolerance=0), "tolerance of 0 makes no sense"),
    "a tolerance of text": (lambda: gl.diffuse(PATH, np.ones(5), 1, tolerance="x"), "tolerance of 'x' makes no sense"),
    "ragged rows": (lambda: gl.diffuse(PATH, [[1], [2, 3], [4], [5], [6]], 1), "rows of x have different lengths"),
    "spectrum": (lambda: gl.diffuse(PATH, np.ones(5), 1, spectrum=(2, 1)), "is no interval"),
    "spectrum of text": (lambda: gl.diffuse(PATH, np.ones(5), 1, spectrum="ab"), "cannot read spectrum"),
    "a false spectrum": (lambda: gl.diffuse(LAPLACIAN, X, 9, spectrum=(0, 2)), "has eigenvalues outside"),
    "overflow": (lambda: gl.diffuse(-np.eye(3), np.ones(3), 1e3), "exp.-t A. overflows"),
    "too long": (lambda: gl.diffuse(np.diag(np.arange(5.0)), np.ones(5), 1e12), "shorter times"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_requests_are_refused_in_a_sentence(fault):
    request, words = BAD[fault]
    with pytest.raises((InputError, TooLargeError), match=words):
        request()


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("value", [0.3, 0.7, 1.4, 1.7, 2.8, 5.6])
def test_multiples_of_the_identity(size, value):
    """Their spectrum is one point: rounding is no eigenvalue outside it."""
    found = gl.diffuse(value * np.eye(size), np.ones(size), [0.5, 1.0])
    np.testing.assert_allclose(found[:, 0], np.exp(-value * np.array([0.5, 1.0])), rtol=1e-11)


def test_no_time_at_all_of_a_negative_operator():
    operator = csr_array(-2.9 * np.eye(5))
    np.testing.assert_array_equal(gl.diffuse(operator, np.ones(5), [0.0]), np.ones((1, 5)))
