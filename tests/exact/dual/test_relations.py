"""What relations make of a polynomial: reciprocals, inverse square roots, indicators, one inside the other."""

import pytest

from gradlaws.exact.dual.relations import Relations
from gradlaws.exact.polynomial import constant, variable

X, Y, W, R, S, E, F, G = map(variable, range(8))


def free(_terms):
    pass


def relations():
    return Relations(
        free,
        inverses={2: (1, X + Y), 3: (2, X * X + Y * Y), 4: (2, R * R + X)},
        indicators={5: 5, 6: 5, 7: 7},
    )


ZERO = {
    "nothing": X - X,
    "reciprocal": W * (X + Y) - constant(1),
    "square of a reciprocal": W * W * (X + Y) - W,
    "root": R * R * (X * X + Y * Y) - constant(1),
    "odd powers of a root": R * R * R * Y * (X * X + Y * Y) - R * Y,
    "both parities": (R + constant(2)) * (R * R * (X * X + Y * Y) - constant(1)),
    "root of a root": S * S * (R * R + X) - constant(1),
    "root of a root, cleared twice": S * S * (constant(1) + X * X * X + X * Y * Y) * R * R - R * R * (X * X + Y * Y),
    "two of one group": E * F,
    "an indicator squared": E * E * X - E * X,
    "the last of a group": (constant(1) - E - F) * E,
}
NOT_ZERO = {
    "a number": constant(1),
    "reciprocal, one sign": W * (X + Y) + constant(1),
    "reciprocal of something else": W * X - constant(1),
    "root, not squared": R * (X * X + Y * Y) - constant(1),
    "a root is no polynomial": R - W,
    "root of a root, wrong": S * S * (R * R + Y) - constant(1),
    "two groups": E * G,
    "an indicator is not always one": E - constant(1),
}


@pytest.mark.parametrize("name", ZERO)
def test_what_vanishes_is_seen(name):
    assert relations().vanishes(ZERO[name])


@pytest.mark.parametrize("name", NOT_ZERO)
def test_what_does_not_vanish_is_not_said_to(name):
    assert not relations().vanishes(NOT_ZERO[name])
