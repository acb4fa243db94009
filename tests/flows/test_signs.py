"""Sign flow: counts of the sheet, real sign vectors, real steps of sign descent, planted faults."""

from dataclasses import replace

import pytest
import torch
from torch.func import grad

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.flows.signs import SignFlow
from gradlaws.laws import of_flow
from gradlaws.laws.signs import sign_laws
from gradlaws.models.spec import read_spec
from gradlaws.models.symbolic import parametrised
from tests.asserts import assert_count_is
from tests.oracles.float_count import potential
from tests.samplers import FIELD

COUNTS = [  # (n, m, r) of the sheet, output first
    ("1-1-1", 1),
    ("1-2-1", 3),
    ("1-3-1", 5),
    ("2-1-1", 0),
    ("2-2-1", 2),
    ("3-2-1", 3),
    ("2-1-2", 0),
    ("2-2-2", 0),
    ("3-2-2", 0),
    ("1-2-2", 2),
]


@pytest.mark.parametrize(("widths", "laws"), COUNTS)
def test_counts_of_the_sheet(widths, laws):
    """Published: no laws but for 1-1-1. With one output, or one input, and several hidden units there are some."""
    assert_count_is(gl.count(f"linear {widths}", flow="sign"), laws, laws)


@pytest.mark.parametrize("spec", ["linear 1-2-1", "linear 2-2-1", "linear 2-2-2", "relu 2-2-1", "linear 1-2-2"])
def test_real_sign_vectors_span_as_much(spec):
    """Signs of gradients of many random data sets in float64, by rank."""
    family = read_spec(spec)
    random = torch.Generator().manual_seed(1)
    theta = torch.randn(family.dimension, generator=random, dtype=torch.float64)
    numbers = family.widths[0] + family.widths[-1] + (sum(family.widths[1:-1]) if family.gated else 0)
    letters = torch.randn(12, numbers, generator=random, dtype=torch.float64)
    gradients = torch.stack([grad(lambda x, s=s: potential(family, x, s))(theta) for s in letters])
    signs = torch.sign(torch.randn(4000, 12, generator=random, dtype=torch.float64) @ gradients)
    rank = int(torch.linalg.matrix_rank(signs))
    assert gl.count(spec, flow="sign").upper == family.dimension - rank


def test_steps_of_sign_descent_keep_the_laws():
    answer = gl.laws("linear 2-2-1", flow="sign")
    assert answer.laws[0].text == "sgn(W2[0,0]) W1[0,0] - sgn(W2[0,1]) W1[1,0]"
    random = torch.Generator().manual_seed(3)
    x, y = torch.randn(2, 5, generator=random).double(), torch.randn(1, 5, generator=random).double()
    theta = {"W1": torch.randn(2, 2, generator=random).double(), "W2": torch.tensor([[-2.0, 3.0]]).double()}
    before = [law.value(theta) for law in answer.laws]
    for _ in range(20):
        slopes = grad(lambda p: ((p["W2"] @ p["W1"] @ x - y) ** 2).mean())(theta)
        theta = {name: value - 0.01 * torch.sign(slopes[name]) for name, value in theta.items()}
    for law, old in zip(answer.laws, before, strict=True):
        assert torch.allclose(law.value(theta), old, atol=1e-12)


def test_constants_and_frozen_coordinates():
    family = parametrised(["u", "v", "w"], ["u - 2*v"])
    assert [law.text for law in gl.laws(family, flow="sign").laws] == ["w", "u + v"]
    answer = gl.laws(parametrised(["u", "v"], ["u**2 - v**2"]), flow="sign")
    assert [law.text for law in answer.laws] == ["sgn(u) u - sgn(-v) v"]
    assert answer.laws[0].latex.startswith(r"\operatorname{sgn}(u)")
    assert answer.laws[0].value({"u": torch.tensor(-2.0), "v": torch.tensor(3.0)}).item() == 5.0


def test_a_planted_wrong_law_is_dropped(monkeypatch):
    wrong = lambda flow, field: [replace(law, pair=law.pair[::-1]) for law in sign_laws(flow, field)]  # noqa: E731
    monkeypatch.setattr(of_flow, "sign_laws", wrong)
    answer = gl.laws("linear 2-2-1", flow="sign")
    assert not any(of_flow._EXPANDED in note for note in answer.evidence.notes)  # exchanged factors are not proved


def test_without_expansion_the_bound_stays():
    assert sign_laws(SignFlow(read_spec("relu 30-30-30-30")), FIELD) == []
    assert_count_is(gl.count("relu 30-30-30-30", flow="sign"), 0, 0)
    with pytest.raises(InputError, match="laws of sign flow are linear, with signs: leave out the degree"):
        gl.laws("linear 1-2-1", flow="sign", degree=2)
    module = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 1, bias=False))
    assert_count_is(gl.count(module, torch.ones(2), flow="sign"), 0, 2)
