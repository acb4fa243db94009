"""Prime fields: which moduli are taken, and that products are exact at any length."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sympy import isprime

from gradlaws.errors import ExactnessError, InputError
from gradlaws.exact.field import DEFAULT_PRIMES, LIMIT, PrimeField, is_prime
from tests.asserts import assert_residues
from tests.samplers import FIELD, GUARDED, generator, residues

SMALL, LARGE = PrimeField(1031), PrimeField(67108859)
FIELDS = [SMALL, FIELD, LARGE]


@given(st.integers(-5, 2**63))
def test_primality_agrees_with_sympy(n):
    assert is_prime(n) == isprime(n)


# Carmichael numbers, and composites that pass Miller-Rabin to several small bases
@pytest.mark.parametrize("n", [561, 29341, 2047, 3215031751, 3474749660383, 341550071728321, 1048573 * 1048571])
def test_composites_that_fool_weaker_tests(n):
    assert not is_prime(n)


@pytest.mark.parametrize("prime", DEFAULT_PRIMES)
def test_default_primes_are_the_largest_below_2_to_20(prime):
    above = [n for n in range(prime + 1, 2**20) if isprime(n)]
    assert above == list(DEFAULT_PRIMES[: DEFAULT_PRIMES.index(prime)])[::-1]


@pytest.mark.parametrize("modulus", [1048575, 2**20, 1031**2])
def test_a_composite_modulus_is_refused(modulus):
    with pytest.raises(InputError, match=f"modulus {modulus} is composite: expected a prime, for example"):
        PrimeField(modulus)


@pytest.mark.parametrize("device", ["meta", "nowhere"])
def test_a_device_that_holds_no_numbers_is_refused(device):
    with pytest.raises(InputError, match=f"device '{device}' cannot hold float64 numbers here: expected cpu, or cuda"):
        PrimeField(DEFAULT_PRIMES[0], device)


@pytest.mark.parametrize("prime", [-7, 0, 2, 1021, 2**31 - 1])
def test_a_prime_out_of_range_is_refused(prime):
    with pytest.raises(
        InputError, match=rf"prime {prime} is out of range: expected a prime between 2\*\*10 and 2\*\*26"
    ):
        PrimeField(prime)


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_the_longest_sum_is_exact_and_one_more_is_not(field):
    square = (field.prime - 1) ** 2
    assert field.longest_sum * square < LIMIT <= (field.longest_sum + 1) * square


def test_default_primes_need_no_split_up_to_8192_products():
    assert FIELD.longest_sum >= 8192


@pytest.mark.parametrize("field", FIELDS, ids=str)
@pytest.mark.parametrize("extra", [-1, 0, 1, 5])
def test_products_of_the_largest_residues_are_exact_around_the_split(field, extra):
    inner = min(field.longest_sum, 20000) + extra
    a = torch.full((1, inner), field.prime - 1.0, dtype=torch.float64)
    # (p - 1)^2 = 1 mod p, so the sum is the number of terms
    assert field.matmul(a, a.T).item() == inner % field.prime


@pytest.mark.parametrize("inner", [1, 2, 3, 50])
def test_split_products_agree_with_python_integers(inner):
    a, b = residues((3, inner), 1, LARGE), residues((inner, 2), 2, LARGE)
    exact = [[sum(int(x) * int(y) for x, y in zip(r, c, strict=True)) % LARGE.prime for c in b.T] for r in a]
    assert LARGE.matmul(a, b).tolist() == exact


def test_products_broadcast_over_batches():
    a, b = residues((4, 1, 2, 5), 1, LARGE), residues((3, 5, 2), 2, LARGE)
    product = LARGE.matmul(a, b)
    assert product.shape == (4, 3, 2, 2)
    assert torch.equal(product[2, 1], LARGE.matmul(a[2, 0], b[1]))


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_reduction_is_the_remainder(n):
    reduced = GUARDED.reduce(torch.tensor([n], dtype=torch.float64))
    assert_residues(reduced, GUARDED)
    assert int(reduced) == n % GUARDED.prime


@pytest.mark.parametrize("value", [2.0**53, -(2.0**53), 1e300, float("inf"), float("nan")])
def test_the_guard_sees_a_magnitude_that_float64_cannot_hold(value):
    with pytest.raises(ExactnessError, match=r"a magnitude reached 2\*\*53 modulo 1048573"):
        GUARDED.reduce(torch.tensor([1.0, value], dtype=torch.float64))


@pytest.mark.parametrize("value", [0.5, 2.0**0.5, 2**40 + 0.25])
def test_the_guard_sees_a_float_constant(value):
    with pytest.raises(ExactnessError, match="is not an integer: a float constant entered the field"):
        GUARDED.reduce(torch.tensor([1.0, value], dtype=torch.float64))


def test_the_guard_sees_a_product_that_was_not_split():
    unsplit = torch.full((1, GUARDED.longest_sum + 1), GUARDED.prime - 1.0, dtype=torch.float64)
    with pytest.raises(ExactnessError, match="the sum was not split"):
        GUARDED.reduce(unsplit @ unsplit.T)


def test_random_residues_are_residues_and_repeat_with_the_seed():
    first, again = FIELD.random((50, 3), generator(1)), FIELD.random((50, 3), generator(1))
    assert_residues(first, FIELD)
    assert torch.equal(first, again)
    assert not torch.equal(first, FIELD.random((50, 3), generator(2)))


@given(st.fractions(max_denominator=1000))
def test_the_residue_of_a_fraction_times_its_denominator_is_the_numerator(value):
    assert FIELD.residue(value) * value.denominator % FIELD.prime == value.numerator % FIELD.prime


def test_a_fraction_whose_denominator_the_prime_divides_has_no_residue():
    with pytest.raises(InputError, match="1/1048573 has no residue modulo 1048573: choose another prime"):
        FIELD.residue(Fraction(1, 1048573))
