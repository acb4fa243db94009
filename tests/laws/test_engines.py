"""Options of the two questions: which engine, how much, and what a normalisation hides."""

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import ContradictionError, InputError
from gradlaws.laws import run as runs
from tests.models.zoo import RMS, mlp

X = torch.zeros(1, 2)


def normed():
    return nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3, elementwise_affine=False), nn.Linear(3, 2))


def test_both_engines_agree_and_say_so():
    answer = gl.laws(mlp((2, 3, 2), nn.ReLU, bias=True), X, engine="both")
    assert (answer.count.lower, answer.count.upper) == (3, 3)
    assert "the float64 engine agrees: 3 laws" in answer.evidence.notes
    assert any("a ratio of" in note for note in answer.evidence.notes)


def test_the_float64_engine_alone_proves_nothing():
    answer = gl.laws(mlp((2, 3, 2), nn.ReLU), X, engine="numeric")
    assert answer.status is gl.Status.NUMERIC
    assert (answer.count.lower, answer.laws) == (3, ())
    assert sum("stayed: " in note for note in answer.evidence.notes) == 3
    assert gl.count(mlp((2, 3, 2), nn.ReLU), X, engine="numeric").lower == 3


def test_engines_that_disagree_fail_loudly(monkeypatch):
    """Plant a fault, an upper bound that is too low: the exact engine alone cannot see it."""
    honest = runs.Run.close

    def too_low(self, lower):
        closure = honest(self, lower)
        object.__setattr__(closure, "upper", 3)
        return closure

    net = mlp((2, 4, 2), nn.ReLU)
    monkeypatch.setattr(runs.Run, "structured", lambda self: runs.Found((), 0, 0.0, ()))
    monkeypatch.setattr(runs.Run, "search_further", lambda self, found: found)
    monkeypatch.setattr(runs.Run, "close", too_low)
    assert gl.laws(net, X).count.upper == 3
    with pytest.raises(
        ContradictionError, match=r"the engines disagree about Sequential: 4 laws in floating point \(seed 0"
    ):
        gl.laws(net, X, engine="both")


def test_lower_only_leaves_the_closure_out():
    answer = gl.laws(mlp((2, 3, 2), nn.ReLU), X, lower_only=True)
    assert (answer.count.lower, answer.count.upper, answer.evidence.levels) == (3, 12, ())
    assert "no upper bound was asked for" in answer.evidence.notes


def test_what_the_constants_of_normalisations_hide_is_reported():
    answer = gl.laws(normed(), X)
    assert (answer.count.lower, answer.count.upper) == (5, 5)
    assert any(note.startswith("with eps = 0 in its normalisations it would have 6 ") for note in answer.evidence.notes)
    assert gl.laws(normed(), X, eps="zero").count.lower == 6


def test_normalisations_that_hide_nothing_are_said_to():
    notes = gl.laws(nn.Sequential(RMS(2), nn.Linear(2, 2, bias=False)), X).evidence.notes
    assert "normalisations with eps = 0 have as many laws" in notes
    assert not any("eps" in note for note in gl.laws(nn.Linear(2, 2), X).evidence.notes)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"engine": "float"}, "unknown engine 'float': expected one of exact, numeric, both"),
        ({"flow": "sgd"}, "unknown flow 'sgd': expected one such as gradient"),
        ({"engine": "numeric", "eps": "zero"}, "eps='zero' is for engine='exact' only"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        gl.laws(nn.Linear(2, 2), X, **options)


def test_a_spec_has_no_forward_pass_to_run():
    with pytest.raises(InputError, match="the float64 engine runs torch modules"):
        gl.laws("relu 2-3-2", engine="numeric")
