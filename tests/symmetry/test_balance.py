"""The least norm on the orbit: laws vanish, functions stay; distances between orbits."""

import copy
from itertools import permutations as every

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError
from gradlaws.laws.contraction import Contraction
from gradlaws.symmetry.balance import balance_, balanced
from gradlaws.symmetry.couple import couplings
from gradlaws.symmetry.coupling import Coupling
from gradlaws.symmetry.distance import assignment, orbit_distance
from gradlaws.symmetry.permute import permutations
from tests.modules import mlp
from tests.symmetry.test_coupling import GL, element, made


def bits(module):
    return [p.detach().clone() for p in module.parameters()]


def test_every_law_of_a_rectified_network_is_zero():
    model, x = mlp(nn.ReLU, 3, 6, 5, 2).double(), torch.randn(7, 3, dtype=torch.float64)
    before = model(x).detach()
    result = balance_(model, x)
    theta = {name: p.detach() for name, p in model.named_parameters()}
    for law in gl.laws(model, x[:1], lower_only=True).laws:
        assert float(law.value(theta).abs().max()) < 1e-8
    assert float((model(x).detach() - before).abs().max()) < 1e-14
    assert result.norm_after < result.norm_before
    assert result.imbalance_after < 1e-9 < result.imbalance_before


def test_linear_layers_reach_equal_gram_matrices():
    """The least |W2|^2 + |W1|^2 with a given product is twice its nuclear norm."""
    model = nn.Sequential(nn.Linear(5, 3, bias=False), nn.Linear(3, 4, bias=False)).double()
    product = (model[1].weight @ model[0].weight).detach()
    balance_(model, torch.randn(6, 5, dtype=torch.float64))
    a, b = model[0].weight.detach(), model[1].weight.detach()
    assert torch.allclose(a @ a.mT, b.mT @ b, atol=1e-10)
    assert float((b @ a - product).abs().max()) < 1e-13
    assert float(a.square().sum() + b.square().sum()) == pytest.approx(2 * float(torch.linalg.svdvals(product).sum()))


def test_unequal_powers_have_their_own_minimum():
    """W -> d W, U -> d^-2 U: the law is |W|^2 = 2 |U|^2."""
    group = Coupling("positive", ((Contraction("W", 0, 2), 1), (Contraction("U", 1, 2), -2)), 2)
    state = {"W": torch.randn(2, 3), "U": torch.randn(4, 2)}
    found = balanced(state, [group])
    w, u = found.state["W"].square().sum(1), found.state["U"].square().sum(0)
    assert torch.allclose(w, 2 * u, rtol=1e-8)


def test_the_least_norm_does_not_depend_on_where_one_starts():
    state = {"W1": torch.randn(3, 4).double(), "W2": torch.randn(5, 3).double()}
    moved = GL.act(state, element(GL))
    first, second = (balanced(s, [GL]).state for s in (state, moved))
    for name, axis in (("W1", 1), ("W2", 0)):
        a, b = (x if axis else x.mT for x in (first[name], second[name]))
        assert torch.allclose(torch.linalg.svdvals(a), torch.linalg.svdvals(b), rtol=1e-8)


@pytest.mark.parametrize("name", ["gpt2", "llama", "resnet"])
def test_models_that_people_train(name):
    model, args, kwargs = made(name)
    result = balance_(model, kwargs or args)
    assert result.change < 1e-12
    assert result.imbalance_after < 1e-9
    assert result.norm_after < result.norm_before


@pytest.mark.parametrize("kind", ["relu", "linear"])
def test_recurrent_layers(kind):
    """Both axes of one tensor move: W -> g W g^-1."""
    torch.manual_seed(0)

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.enter, self.turn, self.leave = nn.Linear(4, 3), nn.Linear(3, 3, bias=False), nn.Linear(3, 4)

        def forward(self, x):
            h = torch.zeros(len(x), 3, dtype=x.dtype)
            for t in range(3):
                h = self.enter(x[:, t]) + self.turn(h)
                h = torch.relu(h) if kind == "relu" else h
            return self.leave(h)

    model, x = Recurrent().double(), torch.randn(5, 3, 4, dtype=torch.float64)
    (group,) = couplings(model, x)
    assert group.group == ("positive" if kind == "relu" else "gl")
    assert len(group.parts) == 5
    result = balance_(model, x)
    assert result.imbalance_after < 1e-9
    assert result.change < 1e-12
    assert result.norm_after < result.norm_before


def test_a_dead_unit_stays():
    model = mlp(nn.ReLU, 2, 3, 2).double()
    model[2].weight.data[:, 1] = 0.0
    kept = model[0].weight[1].detach().clone()
    result = balance_(model, torch.randn(5, 2, dtype=torch.float64))
    assert result.unattained == 1
    assert torch.equal(model[0].weight[1], kept)


def test_a_wrong_group_leaves_every_bit():
    """Scalings are no symmetry of tanh: the outputs change, so the weights are put back."""
    model, x = mlp(nn.Tanh, 2, 3, 2), torch.randn(5, 2)
    wrong = Coupling("positive", ((Contraction("0.weight", 0, 2), 1), (Contraction("2.weight", 1, 2), -1)), 3)
    kept = bits(model)
    with pytest.raises(InputError, match=r"outputs of Sequential would change by .* the weights are as before"):
        balance_(model, x, groups=[wrong])
    assert all(torch.equal(a, b) for a, b in zip(kept, bits(model), strict=True))


def test_bad_requests_leave_every_bit():
    model = mlp(nn.ReLU, 2, 3, 2)
    kept = bits(model)
    with pytest.raises(InputError, match="Sequential fails on the example inputs"):
        balance_(model, torch.randn(5, 7))
    with pytest.raises(InputError, match="tolerance 0 is not positive"):
        balance_(model, torch.randn(5, 2), tolerance=0)
    assert all(torch.equal(a, b) for a, b in zip(kept, bits(model), strict=True))
    assert model.training


def moved_copy(model, groups):
    other = copy.deepcopy(model)
    parameters = dict(other.named_parameters())
    for seed, group in enumerate(groups):
        for name, x in group.act(parameters, element(group, seed)).items():
            parameters[name].data = x
    return other


@pytest.mark.parametrize(
    ("activation", "widths"), [(nn.ReLU, (3, 6, 5, 2)), (nn.GELU, (3, 6, 5, 2)), (nn.Identity, (5, 3, 4))]
)
def test_two_networks_of_one_orbit_have_distance_zero(activation, widths):
    model, x = mlp(activation, *widths).double(), torch.randn(6, widths[0], dtype=torch.float64)
    same = moved_copy(model, [*couplings(model, x), *permutations(model, x)])
    other = copy.deepcopy(model)
    other[0].weight.data[0, 0] += 0.1
    assert orbit_distance(model, same, x) < 1e-7
    assert 1e-3 < orbit_distance(model, other, x) < 0.2


def test_different_shapes_have_no_distance():
    with pytest.raises(InputError, match=r"differ in the parameter '.*': expected the same names and shapes"):
        orbit_distance(mlp(nn.ReLU, 2, 3, 2), mlp(nn.ReLU, 2, 4, 2), torch.randn(3, 2))


def test_assignment_against_all_permutations():
    cost = torch.rand(5, 5, generator=torch.Generator().manual_seed(0)).numpy()
    best = min(every(range(5)), key=lambda order: sum(cost[i, j] for i, j in enumerate(order)))
    assert assignment(cost) == list(best)
