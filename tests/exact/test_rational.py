"""From residues back to rational numbers."""

from fractions import Fraction
from math import gcd, isqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradlaws.exact.field import DEFAULT_PRIMES
from gradlaws.exact.rational import chinese_remainder, primitive, reconstruct, reconstruct_vectors

P, Q = DEFAULT_PRIMES[:2]


def residue(value: Fraction, modulus: int) -> int:
    return value.numerator * pow(value.denominator, -1, modulus) % modulus


def small_fractions(modulus):
    """Every |n|, d <= sqrt(modulus / 2), which is what reconstruction promises to find."""
    bound = isqrt((modulus - 1) // 2)
    return st.builds(Fraction, st.integers(-bound, bound), st.integers(1, bound))


@given(st.integers(0, P * Q - 1))
def test_chinese_remainder_undoes_reduction(n):
    assert chinese_remainder([n % P, n % Q], [P, Q]) == n


@given(small_fractions(P))
def test_every_small_fraction_is_found_from_one_prime(value):
    assert reconstruct(residue(value, P), P) == value


@given(small_fractions(P * Q))
def test_every_small_fraction_is_found_from_two_primes(value):
    assert reconstruct(residue(value, P * Q), P * Q) == value


@given(st.integers(0, 1030))
def test_nothing_is_found_exactly_when_nothing_is_there(n):
    modulus, bound = 1031, isqrt(1030 // 2)
    there = {
        Fraction(a, d)
        for d in range(1, bound + 1)
        for a in range(-bound, bound + 1)
        if gcd(a, d) == 1 and (a - n * d) % modulus == 0
    }
    assert len(there) <= 1
    assert reconstruct(n, modulus) == next(iter(there), None)


def test_some_residues_have_no_small_fraction():
    assert None in [reconstruct(n, 1031) for n in range(1031)]


def test_a_vector_needs_all_its_entries():
    values = [Fraction(2, 3), Fraction(-7), Fraction(0)]
    residues = [[residue(value, p) for value in values] for p in (P, Q)]
    assert reconstruct_vectors(residues, [P, Q]) == values
    hopeless = next(n for n in range(P) if reconstruct(n, P) is None)
    assert reconstruct_vectors([[1, hopeless]], [P]) is None


@given(st.lists(small_fractions(1031), min_size=1, max_size=6))
def test_primitive_vectors_are_coprime_and_start_positive(vector):
    integers = primitive(vector)
    if not any(vector):
        assert not any(integers)
        return
    assert gcd(*integers) == 1
    assert next(entry for entry in integers if entry) > 0
    at = next(i for i, entry in enumerate(vector) if entry)
    assert [integers[at] * entry for entry in vector] == [vector[at] * entry for entry in integers]


@pytest.mark.parametrize(
    ("vector", "integers"), [([Fraction(-1, 2), Fraction(1, 3)], (3, -2)), ([Fraction(0), Fraction(4)], (0, 1))]
)
def test_primitive_by_hand(vector, integers):
    assert primitive(vector) == integers
