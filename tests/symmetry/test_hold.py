"""Groups that seem to hold on the first inputs and do not elsewhere; refusals of what is no module."""

import copy

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.symmetry import hold
from gradlaws.symmetry.couple import couplings
from gradlaws.symmetry.coupling import Coupling
from gradlaws.symmetry.hold import holding
from gradlaws.symmetry.permute import permutations, signs
from gradlaws.symmetry.shift import shifts
from tests.modules import mlp

X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


def unchanged(balanced, before):
    x = 20 * torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return torch.allclose(balanced.double()(x), before.double()(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", [nn.ReLU6(), nn.Hardtanh(-5, 5)], ids=["relu6", "hardtanh"])
def test_what_saturates_at_large_inputs_only_is_not_homogeneous(activation):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 6), activation, nn.Linear(6, 2))
    assert couplings(net, X) == ()
    before = copy.deepcopy(net)
    gl.balance_(net, X)
    assert unchanged(net, before)


def test_units_that_are_open_on_all_inputs_are_scaled_but_not_mixed():
    """Eight is a large bias: no input of usual size closes a unit, and the layer looks linear."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    net[0].bias.data.fill_(8.0)
    assert [group.group for group in couplings(net, X)] == ["positive"]
    assert shifts(net, X) == ()
    before = copy.deepcopy(net)
    assert "1 groups balanced" in str(gl.balance_(net, X))
    assert unchanged(net, before)


def test_a_planted_group_is_dropped_and_the_others_stay(monkeypatch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    (right,) = couplings(net, X)
    wrong = Coupling("positive", right.parts[:1], right.width)
    assert holding(net, X, [wrong, right], 0) == (right,)
    monkeypatch.setattr(hold, "_alike", lambda a, b: True)
    assert holding(net, X, [wrong, right], 0) == (wrong, right)


def test_a_group_that_moves_nothing_is_no_group():
    net = nn.Sequential(nn.Linear(3, 1, bias=False), nn.ReLU(), nn.Linear(1, 2, bias=False))
    piece = couplings(net, X)[0].parts[0][0]
    assert holding(net, X, [Coupling("positive", ((piece, 1), (piece, -1)), 1)], 0) == ()


@pytest.mark.parametrize("seed", range(6))
def test_rectifiers_have_no_signs_however_dead_they_are(seed):
    torch.manual_seed(seed)
    net = mlp(nn.ReLU, 3, 3, 3, 3, 2, bias=True)
    assert signs(net, X, permutations(net, X)) == ()


@pytest.mark.parametrize("seed", range(6))
def test_narrow_networks_are_permuted_too(seed):
    torch.manual_seed(seed)
    net = mlp(nn.ReLU, 3, 2, 2, 3, bias=True)
    other = copy.deepcopy(net)
    with torch.no_grad():
        for tensor, axis in ((other[0].weight, 0), (other[0].bias, 0), (other[2].weight, 1)):
            tensor.copy_(tensor.flip(axis))
    assert gl.orbit_distance(net, other, X) < 1e-6


ENTRIES = {
    "couplings": couplings,
    "permutations": permutations,
    "shifts": shifts,
    "balance": gl.balance_,
    "distance": lambda net, x: gl.orbit_distance(net, net, x),
}


def lacking():
    net = mlp(nn.ReLU, 3, 2, 2, bias=True)
    net[0].weight.data[0, 0] = torch.nan
    return net


REFUSED = {
    "no module": (lambda: 3, X, "int is not understood: expected a torch.nn.Module"),
    "NaN": (lacking, X, "0.weight has entries that are NaN or infinite: expected finite weights"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(2)), X, "0.weight has no values yet: run the module once"),
    "meta": (lambda: nn.Linear(3, 2, device="meta"), X, "weight has no values yet"),
    "complex": (lambda: nn.Linear(3, 2, dtype=torch.complex64), X, "weight is complex: expected real numbers"),
    "no rows": (
        lambda: mlp(nn.ReLU, 3, 2, 2, bias=True),
        X[:0],
        "an example input is empty: expected at least one row",
    ),
}


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case, entry):
    make, x, sentence = REFUSED[case]
    with pytest.raises(InputError, match=sentence):
        ENTRIES[entry](make(), x)


class Silent(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 2)

    def forward(self, x):
        raise ValueError


def test_an_error_without_words_is_named():
    with pytest.raises(InputError, match="Silent fails on the example inputs: ValueError"):
        gl.balance_(Silent(), X)


def test_a_layer_of_one_unit_before_a_norm():
    assert shifts(nn.Sequential(nn.Linear(3, 1), nn.LayerNorm(1), nn.Linear(1, 2)), X) == ()
