"""Why bounds do not meet, in words."""

import torch

from gradlaws.laws.closure import Closure
from gradlaws.laws.count import Level
from gradlaws.laws.reason import why_open
from gradlaws.models.network import Network


def closed(upper, stagnated=True):
    return Closure(upper, (Level(1, 20, 5, upper),) * 8, stagnated, torch.empty(0), torch.empty(0))


def why(network, lower, closure):
    return " ".join(why_open(network, lower, closure))


def test_nothing_is_said_where_bounds_meet():
    assert why(Network("relu", (2, 2, 2)), 3, closed(3)) == ""


def test_a_closure_that_gave_up_says_so():
    sentence = why(Network("relu", (2, 2, 2)), 2, closed(3, stagnated=False))
    assert sentence == "the closure was stopped after brackets of length 8 with rank still growing"


def test_a_stagnant_closure_proves_that_something_is_missing():
    sentence = why(Network("linear", (2, 2, 2)), 1, closed(3))
    assert sentence.startswith(
        "brackets of length 8 add nothing, so 2 more independent laws exist near a generic point"
    )
    assert "width 1" not in sentence


def test_narrow_linear_chains_are_explained():
    assert "a linear chain between two layers of width 1" in why(Network("linear", (1, 2, 2, 1)), 6, closed(7))


def test_no_closure_at_this_size():
    sentence = why(Network("linear", (100, 100, 100)), 1, None)
    assert sentence == "no upper bound at this size: the closure in dimension 20000 needs about 9 GiB"
