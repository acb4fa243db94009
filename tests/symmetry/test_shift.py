"""Shifts: linear laws that balance makes zero, and constants that others take back."""

import copy

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.laws.contraction import Contraction
from gradlaws.symmetry import balance
from gradlaws.symmetry.balance import balance_, balanced
from gradlaws.symmetry.couple import couplings
from gradlaws.symmetry.distance import orbit_distance
from gradlaws.symmetry.shift import Shift, Slices, shifts
from gradlaws.symmetry.trial import outputs
from tests.modules import mlp
from tests.symmetry.test_balance import bits, moved_copy
from tests.symmetry.test_coupling import GROUPS, Language, element, made

# how many indices of linear laws and of absorbed shifts, by hand: keys, means that normalisations take, values, gains
SHIFTS = {
    "gpt2": (6 + 4 + 4 + 2 + 4 + 1 + 1, 4 + 4 + 4),
    "llama": (0, 0),
    "mixtral": (0, 0),
    "bert": (4 + 4 + 4 + 3 + 2 + 1 + 1, 4 + 4 + 4),
    "vit": (4 + 4 + 4 + 3 + 2 + 2 + 2 + 1 + 1 + 1, 4 + 4 + 4),
    "t5": (0, 0),
    "resnet": (3, 0),
    "block": (2 + 1, 3 + 3 + 2),
}


def shifted(model, moves, seed=0):
    """A copy with random constants along every index."""
    other = copy.deepcopy(model)
    parameters = dict(other.named_parameters())
    random = torch.Generator().manual_seed(seed)
    for move in moves:
        t = torch.randn(move.width, generator=random, dtype=torch.float64)
        for name, x in move.act(parameters, t).items():
            parameters[name].data = x
    return other


def change(model, other, args, kwargs):
    pairs = zip(outputs(model, args, kwargs), outputs(other, args, kwargs), strict=True)
    return max(float((a - b).detach().abs().max() / a.detach().abs().max()) for a, b in pairs)


@pytest.mark.parametrize("name", GROUPS)
def test_shifts_of_models_that_people_train(name):
    model, args, kwargs = made(name)
    moves = shifts(model, kwargs or args)
    widths = tuple(sum(move.width for move in moves if move.linear == linear) for linear in (True, False))
    assert widths == SHIFTS[name]
    assert change(model, shifted(model, moves), args, kwargs) < 1e-12


@pytest.mark.parametrize("name", ["gpt2", "block"])
def test_balance_makes_linear_laws_zero(name):
    model, args, kwargs = made(name)
    before = copy.deepcopy(model)
    result = balance_(model, kwargs or args)
    assert any(move.linear for move in result.shifts)
    assert result.imbalance_after < 1e-9
    assert change(before, model, args, kwargs) < 1e-12
    theta = {name: p.detach() for name, p in model.named_parameters()}
    laws = gl.laws(model, kwargs or args, lower_only=True).laws
    sums = [law for law in laws if law.kind == "linear" and "wte" not in law.text]  # of tokens not all were seen
    assert sums
    for law in sums:
        assert float(law.value(theta).abs().max()) < 1e-8
    keys = {"block": "key.bias", "gpt2": "transformer.h.0.attn.c_attn.bias"}[name]
    assert float(theta[keys][{"block": slice(None), "gpt2": slice(4, 8)}[name]].abs().max()) < 1e-8


def test_by_hand():
    """b1 and b2 of w2 (w1 x + b1) + b2: the least norm with w2 b1 + b2 = 7 is 7 (w2, 1) / (w2^2 + 1)."""
    state = {
        "b1": torch.tensor([2.0]).double(),
        "b2": torch.tensor([1.0]).double(),
        "W2": torch.tensor([[3.0]]).double(),
    }
    index = Contraction("W2", 1, 2)
    move = Shift(((Contraction("b1", 0, 1), 1),), ((Slices(index, 0, "b2"), -1),), 1)
    assert move.text == "t on b1[k] - t W2[:,k] on b2"
    found = balanced(state, [], moves=[move]).state
    assert found["b1"].item() == pytest.approx(2.1)
    assert found["b2"].item() == pytest.approx(0.7)
    assert move.best(found)[1] < 1e-12


def test_a_kernel_is_summed_before_it_takes_back():
    """A constant of a channel, without padding, reaches the next bias through the sum of the kernel."""
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Conv2d(3, 2, 2)).double()
    x = torch.randn(4, 1, 5, 5, dtype=torch.float64)
    (move,) = shifts(model, x)
    assert move.width == 3
    assert change(model, shifted(model, [move]), (x,), {}) < 1e-12


def test_a_softmax_sees_no_constant():
    model, x = mlp(nn.ReLU, 3, 5, 4).double(), torch.randn(6, 3, dtype=torch.float64)
    assert shifts(model, x) == ()
    before = model(x).detach()
    balance_(copy.deepcopy(model), x)
    result = balance_(model, x, loss="cross_entropy")
    assert sorted(move.width for move in result.shifts) == [1, 5]
    assert model[2].weight.sum(0).abs().max().item() < 1e-8
    assert abs(model[2].bias.sum().item()) < 1e-8
    after = model(x).detach()
    assert torch.allclose(after.log_softmax(-1), before.log_softmax(-1), atol=1e-12)
    assert not torch.allclose(after, before, atol=1e-3)


def test_rows_that_were_not_seen_move_with_the_others_or_not_at_all():
    """Every token has a position: a constant passes from one table to the other."""
    model, seen = Language().double(), torch.tensor([[3, 5, 5]])
    moves = shifts(model, seen)
    assert {"token.weight", "position.weight"} <= {name for move in moves for name in move.tensors}
    assert change(model, shifted(model, moves), (torch.arange(8).unsqueeze(0),), {}) < 1e-12


class Unused(nn.Module):
    """A layer that these inputs do not reach, and which others may."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(2, 3)

    def forward(self, x, second=False):
        return self.second(x) if second else self.first(x)


def test_what_does_nothing_here_may_do_something_elsewhere():
    model, x = Unused().double(), torch.randn(4, 2, dtype=torch.float64)
    assert shifts(model, x) == ()
    kept = bits(model.second)
    balance_(model, x)
    assert all(torch.equal(a, b) for a, b in zip(kept, bits(model.second), strict=True))


@pytest.mark.parametrize("name", ["bert", "vit", "block", "gpt2"])
def test_shifted_networks_have_distance_zero(name):
    model, args, kwargs = made(name)
    inputs = kwargs or args
    other = moved_copy(shifted(model, shifts(model, inputs)), couplings(model, inputs))
    assert orbit_distance(model, other, inputs) < 1e-6


def test_a_wrong_shift_leaves_every_bit(monkeypatch):
    model, x = mlp(nn.Identity, 3, 4, 2), torch.randn(5, 3)
    (right,) = shifts(model, x)
    wrong = Shift(right.constants, tuple((s, -c) for s, c in right.slices), right.width)
    monkeypatch.setattr(balance.ShiftSearch, "found", lambda _: iter([wrong]))
    assert balance_(copy.deepcopy(model), x).shifts == ()  # tried elsewhere and dropped
    monkeypatch.setattr(balance, "holding", lambda module, inputs, found, seed: found)
    kept = bits(model)
    with pytest.raises(InputError, match="outputs of Sequential would change by"):
        balance_(model, x)
    assert all(torch.equal(a, b) for a, b in zip(kept, bits(model), strict=True))


def test_what_is_no_shift_is_refused():
    model, x = mlp(nn.Identity, 3, 4, 2), torch.randn(5, 3)
    (move,) = shifts(model, x)
    state = dict(model.named_parameters())
    for wrong, words in (
        (torch.ones(3), r"shift of shape \(3,\): .* expects \(4,\), one number for each index"),
        ([1.0], "shift of shape list"),
        (torch.full((4,), torch.nan), "not finite numbers"),
    ):
        with pytest.raises(InputError, match=words):
            move.act(state, wrong)
    with pytest.raises(InputError, match=r"unknown parameter '2.bias'"):
        move.act({name: p for name, p in state.items() if name != "2.bias"}, torch.ones(4))
    with pytest.raises(InputError, match=r"0.bias has 3 indices: .* expects 4"):
        move.act(state | {"0.bias": torch.ones(3)}, torch.ones(4))
    kept = bits(model)
    with pytest.raises(InputError, match="unknown loss 'mse': expected 'any' or 'cross_entropy'"):
        balance_(model, x, loss="mse")
    assert all(torch.equal(a, b) for a, b in zip(kept, bits(model), strict=True))


def test_a_shift_follows_the_scalings():
    """Elements of both act one after the other, and the function stays."""
    model, x = mlp(nn.Identity, 3, 4, 2).double(), torch.randn(5, 3, dtype=torch.float64)
    (group,) = couplings(model, x)
    moved = shifted(model, shifts(model, x))
    group.act_(moved, element(group))
    assert change(model, shifted(moved, shifts(model, x)), (x,), {}) < 1e-12


@pytest.mark.parametrize("widths", [(1, 2, 1), (2, 1, 2), (2, 3, 3, 1), (1, 1)])
def test_a_vector_less_its_entries_is_no_shift(widths):
    """Layers of width one are read whole, in parts and in total: what adds up to nothing is not counted."""
    net = mlp(nn.ReLU, *widths, bias=True)
    assert shifts(net, torch.randn(3, widths[0])) == ()
    assert "shifts" not in str(gl.balance_(net, torch.randn(3, widths[0])))
