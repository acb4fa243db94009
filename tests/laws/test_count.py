"""A count is two bounds with a status, never a bare number."""

import pytest

from gradlaws.errors import ContradictionError
from gradlaws.laws.count import Count, Evidence, Status

EVIDENCE = Evidence((1048573, 1048571), seed=41, failure_probability=2e-17)


def count(lower, upper, status):
    return Count(lower, upper, status, EVIDENCE, parameters=10)


def test_bounds_that_cross_are_our_defect_and_name_the_seed():
    with pytest.raises(ContradictionError, match=r"the bounds cross: 4 .* at most 3 by closure, seed 41, primes"):
        count(4, 3, Status.PROVED)


@pytest.mark.parametrize(
    ("status", "lower", "verdict", "text"),
    [
        (Status.PROVED, 3, "PROVED", "3 PROVED"),
        (Status.CERTAIN, 3, "CERTAIN(2e-17)", "3 CERTAIN(2e-17)"),
        (Status.BOUNDED, 1, "BOUNDED(1, 3)", "1 to 3 BOUNDED(1, 3)"),
        (Status.NUMERIC, 3, "NUMERIC", "3 NUMERIC"),
    ],
)
def test_a_count_says_how_sure_it_is(status, lower, verdict, text):
    assert count(lower, 3, status).verdict == verdict
    assert str(count(lower, 3, status)) == text


def test_the_lie_dimension_is_what_the_upper_bound_leaves():
    assert count(1, 3, Status.BOUNDED).lie_dimension == 7
