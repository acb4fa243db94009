"""The generic ansatz finds every polynomial law up to a degree, with rational coefficients."""

import pytest

from gradlaws import laws
from gradlaws.errors import InputError, TooLargeError
from gradlaws.exact.field import PrimeField
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws import search
from gradlaws.laws.independence import independent
from gradlaws.laws.proof import expanded_potential, holds_by_expansion
from gradlaws.laws.search import polynomial_laws, unknowns
from gradlaws.models.spec import read_spec
from tests.asserts import assert_count_is
from tests.cases import published_polynomial
from tests.samplers import FIELD, generator


def search_all(spec, degree, field=FIELD, seed=1):
    flow = GradientFlow(read_spec(spec))
    basis = polynomial_laws(flow, degree, field, generator(seed))
    return len(basis), independent(basis, flow, FIELD, generator(2)).rank


@pytest.mark.parametrize("case", published_polynomial(), ids=str)
def test_degree_2_laws_of_the_published_architectures(case):
    answer = laws(case.spec, degree=2)
    assert_count_is(answer.count, case.lower, case.upper)
    assert len(answer.laws) == case.lower


# dimension of the space of laws and rank of their gradients; products of laws are laws
@pytest.mark.parametrize(
    ("spec", "degree", "space", "rank"),
    [
        ("linear 2-2-2", 1, 0, 0),
        ("linear 2-2-2", 2, 3, 3),
        ("linear 2-2-2", 3, 3, 3),
        ("linear 2-2-2", 4, 9, 3),
        ("linear 1-2-2-1", 2, 6, 6),
        ("linear 1-2-2-1", 3, 6, 6),
        ("linear 1-2-2-1", 4, 6 + 21, 6),
        ("linear 1-1-1", 6, 3, 1),
        ("square 1-1-1", 4, 2, 1),
        ("relu 2-2-2 bias", 4, 2 + 3, 2),
    ],
)
def test_spaces_of_known_dimension(spec, degree, space, rank):
    assert search_all(spec, degree) == (space, rank)


@pytest.mark.parametrize("prime", [1031, 1048571, 67108859])
def test_the_prime_does_not_matter(prime):
    assert search_all("square 2-2-2 bias", 4, PrimeField(prime)) == search_all("square 2-2-2 bias", 4, seed=7)


@pytest.mark.parametrize("spec", ["linear 2-2-2", "square 1-2-1 bias", "leaky 2-1-2 bias output-bias"])
def test_every_law_found_holds_by_expansion(spec):
    network = read_spec(spec)
    psi = expanded_potential(network)
    for law in polynomial_laws(GradientFlow(network), 4, FIELD, generator(1)):
        assert all(holds_by_expansion(psi, scalar) for scalar in law.polynomials(network.parameters))


def test_unknowns_are_the_monomials():
    assert unknowns(3, 2) == len(list(search._monomials(3, 2))) == 9
    assert unknowns(8, 4) == len(list(search._monomials(8, 4)))


@pytest.mark.parametrize("degree", [0, -3])
def test_degrees_below_one_are_refused(degree):
    with pytest.raises(InputError, match=f"degree {degree} is too small: expected a polynomial degree of at least 1"):
        laws("relu 2-2-2", degree=degree)


@pytest.mark.parametrize(("spec", "degree"), [("linear 20-20-20", 4), ("linear 2-2-2", 40), ("relu 2-2-2", 10**6)])
def test_an_ansatz_that_cannot_fit_is_refused_with_the_remedy(spec, degree):
    with pytest.raises(TooLargeError, match=rf"degree {degree} in .* monomials, about .* GiB .*: lower --degree"):
        laws(spec, degree=degree)


def test_more_primes_are_taken_while_coefficients_do_not_fit(monkeypatch):
    """Planted: the first prime alone is said never to suffice."""
    used = []
    lift = search._lift

    def stubborn(solved, fields):
        used.append(len(fields))
        return lift(solved, fields) if len(fields) > 2 else None

    monkeypatch.setattr(search, "_lift", stubborn)
    assert search_all("linear 2-2-2", 2) == (3, 3)
    assert max(used) == 3
