"""Modules as programs of scalar steps: short ones, and a sentence where there is none."""

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError, TooLargeError, UnsupportedError
from gradlaws.exact import tape
from gradlaws.laws.unroll import unroll
from gradlaws.models.module import from_module
from tests.certificates import MODULES, certificate, document, verdict


def test_the_program_of_a_module():
    """``c (a gate (w x + b))``: the products and sums that a person would write."""
    module = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1, bias=False))
    assert unroll(from_module(module, torch.zeros(1))) == {
        "kind": "program",
        "title": "Sequential",
        "parameters": ["0.weight[0,0]", "0.bias[0]", "2.weight[0,0]"],
        "sample": ["input input[0]", "choice relu[0]", "cotangent 0[0]"],
        "tokens": [],
        "steps": [["dot", 0, 3], ["sum", 1, 6], ["dot", 4, 7], ["dot", 2, 8], ["dot", 5, 9]],
    }


@pytest.mark.parametrize("title", MODULES)
def test_every_kind_of_module_gets_a_certificate(title):
    said = verdict(document(title))
    assert said.startswith(("PROVED: ", "CERTAIN("))
    smooth = any(step[0] in said for step in document(title)["model"]["steps"] if step[0] not in ("sum", "dot"))
    assert said.startswith("PROVED") or smooth


def test_the_same_seed_gives_the_same_hash():
    torch.manual_seed(3)
    module = MODULES["swiglu"][0]()
    again = gl.certify(module, gl.laws(module, torch.zeros(1)), torch.zeros(1))
    assert again.hash == certificate("swiglu").hash


def test_options_are_those_of_the_answer():
    """A smaller part of the model, and a loss whose cotangents add up to zero."""
    module = nn.Sequential(nn.Linear(1, 2), nn.GELU(approximate="tanh"), nn.Linear(2, 2))
    x, options = torch.zeros(1), {"loss": "cross_entropy", "parameters": "2"}
    answer = gl.laws(module, x, **options)
    written = gl.certify(module, answer, x, **options).document
    assert verdict(written).startswith("CERTAIN(")
    assert written["claim"] == {"parameters": 6, "laws": 3, "lie_dimension": 3}
    generic = {step[1].split("[")[0] for step in written["model"]["steps"] if step[0] == "generic"}
    assert generic == {"0.weight", "0.bias", "0.797884583", "0.0447149985"}


def test_roots_of_parameters_are_found_by_trying_points():
    """The radicands of weight normalisation do not depend on the input."""
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    module = nn.Sequential(layer, nn.Linear(2, 1))
    x = torch.zeros(2)
    assert verdict(gl.certify(module, gl.laws(module, x), x).document).startswith("CERTAIN(")


def test_tokens_are_one_hot_rows_without_their_last_entry():
    """``c (t W_0 + (1 - t) W_1)``."""
    assert unroll(from_module(nn.Embedding(2, 1), torch.tensor([0])))["steps"] == [
        ["number", "1"],
        ["number", "-1"],
        ["dot", 2, 5],
        ["sum", 4, 6],
        ["dot", 0, 2, 1, 7],
        ["dot", 3, 8],
    ]


class Placed(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.place = nn.Embedding(3, 2), nn.Embedding(2, 2)

    def forward(self, tokens):
        return self.token(tokens) + self.place(torch.arange(2))


def test_laws_may_rest_on_there_being_one_token_at_each_place():
    """All tokens together move as all positions together do."""
    module = Placed()
    tokens = torch.tensor([0, 1])
    answer = gl.laws(module, tokens)
    assert [law.text for law in answer.laws] == ["sum token.weight[:,k] - sum place.weight[:,k]"]
    assert verdict(gl.certify(module, answer, tokens).document).startswith("PROVED: ")


class Routed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(2, 2)

    def forward(self, x):
        return self.a(x).topk(1).values


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(3, 2)

    def forward(self, tokens):
        return self.table(tokens) * (tokens != 0).unsqueeze(-1)


REFUSED = {
    "masks of tokens": (Counted(), torch.tensor([1, 2]), "cannot hold what aten.ne makes of whole numbers"),
    "routing": (Routed(), torch.zeros(2), "cannot hold a discrete choice"),
}


@pytest.mark.parametrize("title", REFUSED)
def test_what_is_beyond_a_program_is_refused_in_one_sentence(title):
    module, x, words = REFUSED[title]
    with pytest.raises(UnsupportedError, match=words):
        unroll(from_module(module, x))


def test_restricted_instances_are_refused():
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    for options in ({"data": torch.ones(3, 2)}, {"at": "weights"}):
        with pytest.raises(UnsupportedError, match="its instances are restricted to data or gates that were seen"):
            unroll(from_module(module, torch.zeros(2), **options))


def test_the_refusal_names_the_module(monkeypatch):
    module, x = nn.Linear(2, 2), torch.zeros(2)
    answer = gl.laws(module, x)
    monkeypatch.setattr(tape, "LONGEST", 5)
    with pytest.raises(TooLargeError, match="no certificate of Linear: its program has more than 5 operands"):
        gl.certify(module, answer, x)
    with pytest.raises(InputError, match=r"needs example inputs: pass laws\(module, example_inputs\)"):
        gl.certify(module, answer)
