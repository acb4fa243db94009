"""Neural teleportation: values by hand, any activation, any factor but zero, and what the literature claims of it."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gradlaws.errors import InputError, UnsupportedError
from gradlaws.symmetry.basis import Rescaled, change_basis, random_basis
from gradlaws.symmetry.couple import couplings
from tests.samplers import generator
from tests.sequentials import cnn, image, mlp, moved, sequential


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def by_hand(activation):
    net = nn.Sequential(nn.Linear(2, 2), activation, nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        net[0].weight.copy_(numbers([1, 2], [3, 4]))
        net[0].bias.copy_(numbers(1, -1))
        net[2].weight.copy_(numbers([1, -1]))
    return net


def test_the_sheets_case_by_hand():
    net, x = by_hand(nn.Tanh()), numbers([1, 1])
    new = change_basis(net, {"0": numbers(2, -0.5)})
    assert new[0].weight.tolist() == [[2, 4], [-1.5, -2]]
    assert new[0].bias.tolist() == [2, 0.5]
    assert new[2].weight.tolist() == [[0.5, 2]]
    for each in (net, new):
        assert float(each(x).detach()) == pytest.approx(-6.5841e-4, rel=1e-5)
    assert isinstance(new[1], Rescaled)
    assert (
        float((nn.Sequential(new[0], nn.Tanh(), new[2])(x) - net(x)).detach().abs()) > 0.1
    )  # the old activation is wrong


def test_a_relu_lets_positive_factors_through():
    net = by_hand(nn.ReLU())
    new = change_basis(net, {"0": numbers(2, 0.5)})
    assert isinstance(new[1], nn.ReLU)
    assert new(numbers([1, 1])).item() == net(numbers([1, 1])).item() == -2.0
    assert isinstance(change_basis(net, {"0": numbers(2, -0.5)})[1], Rescaled)


@pytest.mark.parametrize(
    ("activation", "tau", "left"),
    [
        (nn.Tanh(), (1, -1), True),
        (nn.Tanh(), (1, 2), False),
        (nn.LeakyReLU(), (0.5, 3), True),
        (nn.LeakyReLU(), (-0.5, 3), False),
        (nn.GELU(), (1, -1), False),
        (nn.GELU(), (1, 1), True),
        (nn.Identity(), (-2, 3), True),
    ],
)
def test_an_activation_is_left_alone_where_it_lets_the_factors_through(activation, tau, left):
    assert isinstance(change_basis(by_hand(activation), {"0": numbers(*tau)})[1], type(activation)) == left


NETS = {
    "every activation": (
        lambda: sequential(
            *(part for act in (nn.GELU(), nn.SiLU(), nn.Softplus(), nn.ELU()) for part in (nn.Linear(4, 4), act)),
            nn.Linear(4, 2),
        ),
        torch.randn(9, 4, generator=generator(), dtype=torch.float64),
    ),
    "what mixes units": (
        lambda: sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Softmax(-1), nn.Dropout(), nn.Linear(5, 2)),
        torch.randn(9, 4, generator=generator(), dtype=torch.float64),
    ),
    "convolutions": (lambda: moved(cnn()), image()),
    "grouped and transposed": (
        lambda: sequential(
            nn.Conv2d(1, 6, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(6, 4, 3, groups=2, stride=2),
            nn.SiLU(),
            nn.ConvTranspose2d(4, 6, 2, groups=2, stride=2),
            nn.Upsample(scale_factor=2),
            nn.ELU(),
            nn.ConvTranspose2d(6, 3, 3),
            nn.AdaptiveMaxPool2d(3),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(27, 2),
        ),
        image(),
    ),
}


@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_the_function_stays_for_any_factors(name, signs):
    make, x = NETS[name]
    net = make()
    before, state = copy.deepcopy(net.state_dict()), torch.random.get_rng_state()
    tau = random_basis(net, 0.9, signs=signs, seed=1)
    new = change_basis(net, tau, x)
    torch.testing.assert_close(new(x), net(x), rtol=1e-11, atol=1e-12)
    assert float((new[0].weight - net[0].weight).detach().abs().max()) > 0.01
    back = change_basis(new, {key: 1 / t for key, t in tau.items()}, x)
    for (key, mine), its in zip(back.named_parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(mine, its, msg=key)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())


@given(st.lists(st.integers(1, 5), min_size=3, max_size=5), st.integers(0, 99))
def test_random_networks(widths, seed):
    net = mlp(nn.Tanh, widths)
    x = torch.randn(5, widths[0], generator=generator(seed), dtype=torch.float64)
    new = change_basis(net, random_basis(net, 0.8, signs=True, seed=seed))
    torch.testing.assert_close(new(x), net(x), rtol=1e-11, atol=1e-12)


def test_gradients_go_the_other_way():
    """dW'_ij = tau_in_j / tau_out_i dW_ij, for every activation."""
    net = mlp(nn.Tanh)
    tau = random_basis(net, 0.7, signs=True)
    new, x = change_basis(net, tau), torch.randn(6, 4, generator=generator(), dtype=torch.float64)
    for each in (net, new):
        each(x).square().sum().backward()
    one = torch.ones(4, dtype=torch.float64)
    for layer, t_in, t_out in (("0", one, tau["0"]), ("2", tau["0"], tau["2"]), ("4", tau["2"], one[:3])):
        expected = net.get_submodule(layer).weight.grad * t_in / t_out.unsqueeze(1)
        torch.testing.assert_close(new.get_submodule(layer).weight.grad, expected)


def test_small_changes_are_orthogonal_to_the_gradient_if_weights_alone_move():
    """Micro teleportations of a ReLU network; of a tanh network the activation would have to move too."""
    for activation, orthogonal in ((nn.ReLU, True), (nn.Tanh, False)):
        net, x = mlp(activation), torch.randn(6, 4, generator=generator(), dtype=torch.float64)
        net(x).square().sum().backward()
        new = change_basis(net, {key: 1 + 1e-6 * (t - 1) for key, t in random_basis(net).items()})
        pairs = [(a, (b - a) / 1e-6) for a, b in zip(net.parameters(), new.parameters(), strict=True)]
        slope = sum(float((a.grad * d.detach()).sum()) for a, d in pairs)
        size = sum(float(a.grad.square().sum()) * float(d.detach().square().sum()) for a, d in pairs) ** 0.5
        assert (abs(slope) < 1e-5 * size) == orthogonal


def test_the_same_as_the_group_found_by_gradients():
    """Two ways: positive scalings of a rectified layer by a coupling, and by a change of basis."""
    net, x = mlp(nn.LeakyReLU), torch.randn(6, 4, generator=generator(), dtype=torch.float64)
    tau, groups = random_basis(net), couplings(net, x)
    state = dict(net.named_parameters())
    assert [group.width for group in groups] == [12, 10]
    for key, group in zip(tau, groups, strict=True):
        assert (group.parts[0][0].tensor, group.parts[0][1]) == (f"{key}.weight", 1)
        state |= group.act(state, tau[key])
    for name, p in change_basis(net, tau).named_parameters():
        torch.testing.assert_close(p, state[name])


def test_samplers():
    inside = random_basis(mlp(widths=(4, 2000, 3)), 0.3)["0"]
    assert 0.7 < float(inside.min()) < 0.71
    assert 1.29 < float(inside.max()) < 1.3
    both = random_basis(mlp(widths=(4, 2000, 3)), 0.3, signs=True)["0"]
    assert 0.45 < float((both < 0).double().mean()) < 0.55
    assert float(both.abs().min()) > 0.7


REFUSED = {
    "zero": ({"0": numbers(0, 1)}, InputError, "factors of 0: expected finite numbers other than zero"),
    "infinite": ({"0": numbers(torch.inf, 1)}, InputError, "expected finite numbers other than zero"),
    "shape": ({"0": numbers(1, 2, 3)}, InputError, r"factors of 0 are \(3,\): expected a tensor of 2 numbers"),
    "no tensor": ({"0": 2.0}, InputError, "factors of 0 are float: expected a tensor of 2 numbers"),
    "the last layer": ({"2": numbers(2)}, InputError, "factors for '2': expected some of the hidden layers 0"),
    "no layer": ({"1": numbers(2, 1)}, InputError, "factors for '1': expected some of the hidden layers 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_factors_are_refused_and_nothing_moves(case):
    factors, error, words = REFUSED[case]
    net = by_hand(nn.Tanh())
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(error, match=words):
        change_basis(net, factors)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


class Folded(nn.Module):
    """Undoes the Unflatten before it."""

    def forward(self, x):
        return x.flatten(-2)


def test_networks_that_cannot_be_followed():
    with pytest.raises(UnsupportedError, match=r"cannot change the basis of Linear: .*expected a torch.nn.Sequential"):
        change_basis(nn.Linear(2, 2), {})
    net = nn.Sequential(nn.Linear(4, 6), nn.GLU(), nn.Linear(3, 2))
    with pytest.raises(InputError, match="2 takes 3 inputs but 6 units come before it: expected as many"):
        change_basis(net, random_basis(net))
    net = nn.Sequential(nn.Linear(4, 6), nn.GLU(), nn.Unflatten(-1, (3, 1)), nn.Flatten(-2), nn.GELU(), nn.Linear(6, 2))
    with pytest.raises(UnsupportedError, match="mixes units with other axes"):
        change_basis(net, random_basis(net))
    net = nn.Sequential(nn.Linear(4, 4), nn.Unflatten(-1, (2, 2)), Folded(), nn.Linear(4, 2))
    with pytest.raises(
        UnsupportedError, match=r"the units between two layers cannot be followed: .*as many units after"
    ):
        change_basis(net, random_basis(net))
    net = nn.Sequential(nn.Linear(4, 6), nn.Flatten(0), nn.Linear(6, 2))
    with pytest.raises(UnsupportedError, match=r"1 \(Flatten\) mixes units with other axes"):
        change_basis(net, random_basis(net))
    layer = nn.Linear(4, 4)
    with pytest.raises(InputError, match="are one parameter: untie them"):
        change_basis(nn.Sequential(layer, nn.Tanh(), layer), {})
    with pytest.raises(InputError, match="spread 1: expected at least 0 and less than 1"):
        random_basis(mlp(), 1)
