"""Chances of obstruction: published values, integrals of the normal law, and networks drawn by torch itself."""

import pytest
import torch
from scipy.stats import t as student
from torch import nn

from gradlaws.errors import InputError
from gradlaws.geometry.obstruction import chances, simulate


@pytest.mark.parametrize(
    ("name", "sizes", "expected"),
    [
        ("kaiming", (2, 2), 0.2928932188),
        ("kaiming", (2, 10), 0.0871290708),
        ("kaiming", (5, 10), 0.0250310158),
        ("kaiming", (30, 10), 0.0035685233),
        ("xavier", (2, 2), 0.3453463293),
        ("xavier", (2, 10), 0.3084359252),
        ("xavier", (10, 10), 0.0409741185),
        ("xavier", (30, 10), 0.0074116383),
    ],
)
def test_published_chances(name, sizes, expected):
    assert chances(*sizes, name).one == pytest.approx(expected, abs=1e-10)


def test_kaiming_is_a_student_distribution():
    assert chances(7, 11).one == pytest.approx(2 * student.sf(11**0.5, 7), rel=1e-12)


def test_numbers_that_follow():
    found = chances(2, 10)
    assert found.some == pytest.approx(1 - (1 - found.one) ** 10)
    assert found.expected == pytest.approx(10 * found.one)
    assert found.unreachable(5, 5) < found.unreachable(10, 0) < found.some
    assert chances(2, 2).unreachable(2, 0) == pytest.approx(1 - (1 - found_half(2)) ** 2)


def found_half(hidden):
    return chances(2, hidden).one / 2


def make(initialise, inputs=2, hidden=4):
    def network():
        model = nn.Sequential(nn.Linear(inputs, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, 1, bias=False))
        for layer in (model[0], model[2]):
            initialise(layer.weight)
        return model

    return network


KAIMING = nn.init.kaiming_normal_


@pytest.mark.parametrize(("name", "initialise"), [("kaiming", KAIMING), ("xavier", nn.init.xavier_normal_)])
def test_networks_drawn_by_torch_agree(name, initialise):
    exact, drawn = chances(2, 4, name), simulate(make(initialise), 800)
    assert drawn.some == pytest.approx(exact.some, abs=4 * drawn.error)
    assert drawn.one == pytest.approx(exact.one, abs=0.05)
    assert drawn.same_sign == pytest.approx(exact.same_sign, abs=0.05)


def test_one_input_has_frozen_weights_on_both_sides():
    """Of which only those of the output count: an earlier simulation took one of the others for one."""
    exact, drawn = chances(1, 4), simulate(make(KAIMING, inputs=1), 400)
    assert drawn.some == pytest.approx(exact.some, abs=4 * drawn.error)
    assert drawn.one == pytest.approx(exact.one, abs=0.06)


def test_deep_networks_are_drawn_too():
    """Whether a sign is frozen depends on the last two layers only."""

    def deep():
        layers = [nn.Linear(5, 3, bias=False), nn.ReLU(), nn.Linear(3, 4, bias=False), nn.ReLU()]
        model = nn.Sequential(*layers, nn.Linear(4, 1, bias=False))
        for layer in (model[0], model[2], model[4]):
            KAIMING(layer.weight)
        return model

    exact, drawn = chances(3, 4), simulate(deep, 400)
    assert drawn.hidden == 4
    assert drawn.some == pytest.approx(exact.some, abs=4 * drawn.error)


def test_the_seed_and_torchs_random_state():
    state = torch.get_rng_state()
    first = simulate(make(KAIMING), 30, seed=3)
    assert simulate(make(KAIMING), 30, seed=3) == first
    assert torch.equal(torch.get_rng_state(), state)


BAD = {
    "no inputs": (lambda: chances(0, 3), "expected at least 1 of each"),
    "a name": (lambda: chances(2, 3, "lecun"), "unknown initialiser 'lecun'"),
    "variances": (lambda: chances(2, 3, (1.0, 0.0)), "make no sense"),
    "half an input": (lambda: chances(2.5, 3), "expected at least 1 of each"),
    "one variance": (lambda: chances(2, 3, (1.0,)), "make no sense"),
    "nothing": (lambda: chances(2, 3, None), "variances None make no sense"),
    "no function": (lambda: simulate(3), "cannot draw networks from 3"),
    "half a draw": (lambda: simulate(make(KAIMING), 2.5), "2.5 draws tell nothing"),
    "no draws": (lambda: simulate(make(KAIMING), 0), "expected at least 1"),
    "two outputs": (
        lambda: simulate(lambda: nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)), 1),
        "scalar output",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_requests_are_refused_in_a_sentence(fault):
    request, words = BAD[fault]
    with pytest.raises(InputError, match=words):
        request()


def test_more_weights_than_units_are_never_there():
    assert chances(3, 4).unreachable(4, 4) == 1.0
    with pytest.raises(InputError, match="-1 positive and 2 negative weights make no sense: expected counts >= 0"):
        chances(3, 4).unreachable(-1, 2)
