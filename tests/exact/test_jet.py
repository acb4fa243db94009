"""Truncated Taylor arithmetic against dictionaries, and its gradients against expanded polynomials."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradlaws.exact import jet
from gradlaws.exact.jet import Jet
from tests.asserts import assert_residues
from tests.oracles.slow_jet import SlowJet
from tests.samplers import GUARDED, SMALL_NETWORKS, residues, spec_of

P = GUARDED.prime
ORDERS = [0, 1, 2, 3]


def scalars(order):
    """Jets of shape [] with a batch of one, as coefficient lists."""
    return st.lists(st.integers(0, P - 1), min_size=2**order, max_size=2**order)


def fast(coefficients):
    return Jet(torch.tensor(coefficients, dtype=torch.float64).unsqueeze(-1), GUARDED)


def slow(coefficients):
    return SlowJet(dict(enumerate(coefficients)), P)


def same(a: Jet, b: Jet):
    assert_residues(a.coefficients, GUARDED)
    return torch.equal(a.coefficients, b.coefficients)


def agrees(a: Jet, b: SlowJet):
    return a.coefficients.squeeze(-1).tolist() == [b[subset] for subset in range(len(a.coefficients))]


@given(st.data(), st.sampled_from(ORDERS))
def test_ring_axioms(data, order):
    a, b, c = (fast(data.draw(scalars(order))) for _ in range(3))
    assert same(a + b, b + a)
    assert same(a * b, b * a)
    assert same((a + b) + c, a + (b + c))
    assert same((a * b) * c, a * (b * c))
    assert same(a * (b + c), a * b + a * c)
    assert same(a - b, a + (-b))
    assert not (a - a).coefficients.any()


@given(st.data(), st.sampled_from(ORDERS))
def test_sum_and_product_agree_with_dictionaries(data, order):
    a, b = data.draw(scalars(order)), data.draw(scalars(order))
    assert agrees(fast(a) * fast(b), slow(a) * slow(b))
    assert agrees(fast(a) + fast(b), slow(a) + slow(b))


@given(st.data(), st.sampled_from(ORDERS))
def test_constants_are_jets_of_order_zero(data, order):
    a, n = data.draw(scalars(order)), data.draw(st.integers(0, P - 1))
    number = jet.constant(torch.tensor([n], dtype=torch.float64), GUARDED)
    assert agrees(fast(a) * number, slow(a) * n)
    assert agrees(number + fast(a), slow(a) + n)
    assert agrees(fast(a) + number, slow(a) + n)


@pytest.mark.parametrize("order", ORDERS)
def test_matrix_times_vector_is_a_sum_of_products(order):
    matrix, vector = residues((2**order, 3, 2, 4), 1), residues((2**order, 3, 4), 2)
    fast_product = Jet(matrix, GUARDED) @ Jet(vector, GUARDED)
    rows = [(Jet(matrix[:, :, i], GUARDED) * Jet(vector, GUARDED)).sum() for i in range(2)]
    assert torch.equal(fast_product.coefficients, torch.stack([row.coefficients for row in rows], dim=-1))


@pytest.mark.parametrize("order", ORDERS)
def test_matrix_times_matrix_is_column_by_column(order):
    a, b = Jet(residues((2**order, 3, 2, 4), 1), GUARDED), Jet(residues((2**order, 3, 4, 5), 2), GUARDED)
    columns = [(a @ Jet(b.coefficients[..., j], GUARDED)).coefficients for j in range(5)]
    assert torch.equal((a @ b).coefficients, torch.stack(columns, dim=-1))


def test_split_cuts_in_order():
    x = Jet(residues((2, 3, 7), 1), GUARDED)
    matrix, number, vector = jet.split(x, [(2, 2), (), (2,)])
    assert torch.equal(matrix.coefficients.flatten(2), x.coefficients[..., :4])
    assert torch.equal(number.coefficients, x.coefficients[..., 4])
    assert torch.equal(vector.coefficients, x.coefficients[..., 5:])


def test_the_gradient_of_a_constant_is_zero():
    point = residues((2, 3, 4), 1)
    still = jet.constant(residues((3,), 2), GUARDED)
    assert not jet.gradient(lambda _: still, point, GUARDED).any()


@pytest.mark.parametrize("order", ORDERS)
def test_the_gradient_of_a_sum_of_squares_is_twice_the_argument(order):
    point = residues((2**order, 2, 5), 1)
    twice = jet.gradient(lambda x: (x * x).sum(), point, GUARDED)
    assert torch.equal(twice, GUARDED.reduce(2 * point))


@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_the_value_part_of_a_run_over_jets_is_the_plain_run(network):
    theta = residues((8, 2, network.dimension), 1)
    s = {n: jet.constant(residues((2, *shape), i), GUARDED) for i, (n, shape) in enumerate(network.instance.items())}

    def run(coefficients):
        pieces = jet.split(Jet(coefficients, GUARDED), list(network.parameters.values()))
        return network.potential(dict(zip(network.parameters, pieces, strict=True)), s).coefficients

    assert torch.equal(run(theta)[:1], run(theta[:1]))
