"""Convolutions of every kind, and group elements as whole state dicts."""

import copy

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.laws.count import Status
from gradlaws.symmetry.balance import balance_
from gradlaws.symmetry.couple import couplings
from gradlaws.symmetry.permute import permutations
from gradlaws.symmetry.shift import shifts
from tests.modules import mlp
from tests.symmetry.test_coupling import change, element


def between(layer, width):
    """A layer between two others."""
    return nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), layer, nn.ReLU(), nn.Conv2d(width, 2, 1))


# layers, dimension of the groups found, of all symmetries; blocks of a grouped convolution are only scaled together
LAYERS = {
    "depthwise": (lambda: between(nn.Conv2d(4, 4, 2, groups=4), 4), 8, 8),
    "grouped": (lambda: between(nn.Conv2d(4, 6, 2, groups=2), 6), 8, 10),
    "transposed": (lambda: between(nn.ConvTranspose2d(4, 3, 2), 3), 7, 7),
    "transposed in groups": (lambda: between(nn.ConvTranspose2d(4, 6, 2, groups=2), 6), 7, 10),
    "strided and dilated": (lambda: between(nn.Conv2d(4, 3, 2, stride=2, dilation=2, padding=1), 3), 7, 7),
}


@pytest.mark.parametrize("name", LAYERS)
def test_convolutions(name):
    make, found, every = LAYERS[name]
    model, x = make().double(), torch.randn(3, 1, 4, 4, dtype=torch.float64)
    groups, orders = couplings(model, x), permutations(model, x)
    assert sum(group.dimension for group in groups) == found
    assert change(model, (x,), {}, [*groups, *orders]) < 1e-12
    assert gl.symmetries(copy.deepcopy(model).float(), x[:1].float()).dimension == every
    result = balance_(model, x)
    assert result.change < 1e-12
    assert result.imbalance_after < 1e-9
    assert result.norm_after < result.norm_before


def test_symmetries_with_constants_of_the_network_in_them():
    """Running variances are no small fractions: what acts on shared indices is listed, the rest left open."""
    model = nn.Sequential(nn.Conv1d(1, 2, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Conv1d(2, 1, 1)).eval()
    found = gl.symmetries(model, torch.zeros(1, 1, 3))
    assert (found.status, found.dimension, found.count.upper) == (Status.BOUNDED, 4, 6)
    assert sorted(block.name for block in found.blocks) == ["(R_>0)^2", "(R_>0)^2"]
    assert found.evidence.notes[0].startswith("the 6 symmetries together have no small rational coefficients")


class Tied(nn.Module):
    """One tensor under two names."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 2)
        self.second.weight = self.first.weight
        self.register_buffer("constant", torch.ones(1))

    def forward(self, x):
        return self.last(torch.relu(self.first(x)) + torch.relu(self.second(x)))


def test_a_whole_state_dict_is_returned_and_the_module_left():
    model, x = Tied().double(), torch.randn(5, 3, dtype=torch.float64)
    (group,) = couplings(model, x)
    kept = copy.deepcopy(model.state_dict())
    new = group.state_dict(model, element(group))
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
    assert new.keys() == kept.keys()
    assert torch.equal(new["first.weight"], new["second.weight"])
    assert not torch.equal(new["first.weight"], kept["first.weight"])
    other = Tied().double()
    other.load_state_dict(new)
    assert float((other(x) - model(x)).detach().abs().max()) < 1e-12
    group.act_(model, element(group))
    assert all(torch.equal(new[name], value) for name, value in model.state_dict().items())


def test_a_shift_in_place_and_as_a_state_dict():
    model, x = mlp(nn.Identity, 3, 4, 2).double(), torch.randn(5, 3, dtype=torch.float64)
    (move,) = shifts(model, x)
    before, t = model(x).detach(), torch.randn(4)
    new = move.state_dict(model, t)
    with pytest.raises(InputError, match=r"shift of shape \(3,\)"):
        move.act_(model, t[:3])
    move.act_(model, t)
    assert all(torch.equal(new[name], value) for name, value in model.state_dict().items())
    assert float((model(x).detach() - before).abs().max()) < 1e-12
