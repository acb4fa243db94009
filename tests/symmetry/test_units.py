"""Ordinary networks: what is planted is found, what is needed stays, and the outputs agree."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gradlaws.symmetry.compress import compress
from tests.samplers import generator
from tests.sequentials import agree, mlp, sequential

ACTIVATIONS = [
    nn.ReLU,
    nn.LeakyReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.GELU,
    nn.SiLU,
    nn.ELU,
    nn.Softplus,
    nn.PReLU,
    nn.Hardswish,
]
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


@every_activation
def test_a_generic_network_stays_as_it_is(activation):
    net = mlp(activation)
    found = agree(net, compress(net))
    assert found.before == found.after == {"in": 4, "0": 12, "2": 10, "4": 3}
    assert found.notes == ()
    for mine, its in zip(net.parameters(), found.module.parameters(), strict=True):
        assert torch.equal(mine, its)


@every_activation
def test_unseen_constant_and_equal_units_go(activation):
    net = mlp(activation)
    with torch.no_grad():
        net[2].weight[:, 3] = 0  # unseen
        net[0].weight[5] = 0  # constant
        net[0].weight[8], net[0].bias[8] = net[0].weight[7], net[0].bias[7]
    found = agree(net, compress(net))
    assert found.after == {"in": 4, "0": 9, "2": 10, "4": 3}
    assert found.notes == ("0: 1 dead or constant, 1 unseen by what follows, 1 copies",)


@pytest.mark.parametrize(
    ("activation", "factor", "merged"),
    [
        (nn.ReLU, 2.5, True),
        (nn.ReLU, -1.0, False),
        (nn.LeakyReLU, 0.5, True),
        (nn.Tanh, -1.0, True),
        (nn.Tanh, 2.0, False),
        (nn.Hardtanh, -1.0, True),
        (nn.Softsign, -1.0, True),
        (nn.Sigmoid, -1.0, False),
        (nn.GELU, 2.0, False),
        (nn.ELU, 2.0, False),
    ],
)
def test_multiples_go_where_the_activation_lets_them_through(activation, factor, merged):
    net = mlp(activation)
    with torch.no_grad():
        net[0].weight[8], net[0].bias[8] = factor * net[0].weight[7], factor * net[0].bias[7]
    found = agree(net, compress(net))
    assert found.after["0"] == 12 - merged
    if merged:
        rows = found.transformation["0"][[7, 8]].abs().sum(1)
        assert rows.tolist() in ([1.0, pytest.approx(abs(factor))], [pytest.approx(1 / abs(factor)), 1.0])


def test_a_relu_that_never_opens_and_one_that_follows_from_it():
    """Every input of layer 2 is >= 0, so negative weights and a negative bias never open; layer 4 sees it as zero."""
    net = mlp(widths=(4, 12, 10, 6, 3))
    with torch.no_grad():
        net[2].weight[4] = -net[2].weight[4].abs()
        net[2].bias[4] = -0.1
        net[4].weight[1] = 0
        net[4].weight[1, 4] = 1.0  # sees only the dead one
        net[4].bias[1] = -0.3
    assert agree(net, compress(net)).after == {"in": 4, "0": 12, "2": 9, "4": 5, "6": 3}
    net[2].bias.data[4] = 0.1  # now it opens for small inputs
    assert agree(net, compress(net)).after["2"] == 10


def test_saturated_units_are_constant():
    net = mlp(nn.ReLU6)
    with torch.no_grad():
        net[2].weight[4] = net[2].weight[4].abs()
        net[2].bias[4] = 7.0
        net[2].weight[7] = -net[2].weight[6]  # by chance this one never opens: its largest value is -0.18
    assert agree(net, compress(net)).after["2"] == 9


@pytest.mark.parametrize(
    ("first", "second", "weight", "bias"),
    [(nn.Hardsigmoid(), nn.Hardswish(), 3.0, -3.0), (nn.Hardtanh(), nn.LeakyReLU(-1.0), 1.0, 0.0)],
)
def test_equal_ends_of_a_curve_that_turns_are_no_constant(first, second, weight, bias):
    """Hardswish is 0 at -3 and at 0, and not between; a slope of -1 makes the absolute value."""
    net = sequential(nn.Linear(4, 3), first, nn.Linear(3, 2), second, nn.Linear(2, 1))
    with torch.no_grad():
        net[2].weight[0] = torch.tensor([weight, 0.0, 0.0])
        net[2].bias[0] = bias
    assert agree(net, compress(net)).after == {"in": 4, "0": 3, "2": 2, "4": 1}


def test_units_that_nearly_agree_stay():
    net = mlp()
    with torch.no_grad():
        net[0].weight[8], net[0].bias[8] = net[0].weight[7], net[0].bias[7]
        net[0].weight[8, 2] += 1e-13
        net[0].weight[5], net[0].bias[5] = net[0].weight[4], net[0].bias[4]
        net[0].weight[5, 2] += 1e-16
    assert agree(net, compress(net)).after["0"] == 11


def test_units_that_look_alike_to_the_mark_stay():
    """Candidates are found by a product with one random vector: here it is the same, and the units are not."""
    net, mark = mlp(nn.GELU), torch.randn(5, generator=generator(0), dtype=torch.float64)
    with torch.no_grad():
        net[0].weight[8], net[0].bias[8] = net[0].weight[7], net[0].bias[7]
        net[0].weight[8, 0] += 1e-3 * mark[1]
        net[0].weight[8, 1] -= 1e-3 * mark[0]
    assert agree(net, compress(net)).after["0"] == 12


def test_a_unit_is_counted_once():
    net = mlp()
    net[0].weight.data[3] = 0
    net[2].weight.data[:, 3] = 0
    assert compress(net).notes == ("0: 1 unseen by what follows",)


def test_what_feeds_only_the_unseen_is_unseen():
    net = mlp(widths=(4, 12, 10, 6, 3))
    with torch.no_grad():
        net[4].weight[:, 2] = 0
        net[2].weight[:, 5] = 0
        net[2].weight[2, 5] = 1.0  # unit 5 is seen by unit 2 only
    assert agree(net, compress(net)).after == {"in": 4, "0": 11, "2": 9, "4": 6, "6": 3}


def test_a_constant_makes_a_bias_where_there_is_none():
    net = sequential(nn.Linear(4, 5), nn.Sigmoid(), nn.Linear(5, 2, bias=False))
    net[0].weight.data[1] = 0
    found = agree(net, compress(net))
    assert found.after["0"] == 4
    assert found.module[2].bias is not None
    assert sequential(nn.Linear(4, 5), nn.Sigmoid(), nn.Linear(5, 2, bias=False))[2].bias is None


def test_a_constant_network_keeps_one_unit():
    net = mlp()
    net[4].weight.data.zero_()
    found = agree(net, compress(net))
    assert found.after == {"in": 4, "0": 1, "2": 1, "4": 3}


def test_the_embedding_says_what_the_units_were():
    net = mlp()
    with torch.no_grad():
        net[0].weight[8], net[0].bias[8] = 3 * net[0].weight[7], 3 * net[0].bias[7]
        net[2].weight[:, 3] = 0
    found, x = compress(net), torch.randn(20, 4, generator=generator(), dtype=torch.float64)
    mine, its = net[:2](x), found.module[:2](x)
    mine[:, 3] = 0
    torch.testing.assert_close(its @ found.transformation["0"].T, mine)


@given(st.data())
def test_planted_units_in_random_networks(data):
    """Any numbers of copies, dead and unseen units, in any layers."""
    widths = data.draw(st.lists(st.integers(2, 8), min_size=3, max_size=5))
    net = mlp(data.draw(st.sampled_from(ACTIVATIONS)), (4, *widths))
    linears, expected = [m for m in net if isinstance(m, nn.Linear)], list(widths)
    for i in range(len(widths) - 1):
        kind = data.draw(st.sampled_from(["none", "copy", "dead", "unseen"]))
        with torch.no_grad():
            if kind == "copy":
                linears[i].weight[1], linears[i].bias[1] = linears[i].weight[0], linears[i].bias[0]
            elif kind == "dead":
                linears[i].weight[1] = 0
            elif kind == "unseen":
                linears[i + 1].weight[:, 1] = 0
        expected[i] -= kind != "none"
    found = agree(net, compress(net))
    assert all(mine <= its for mine, its in zip(list(found.after.values())[1:], expected, strict=True))
    assert compress(found.module).after == found.after


def seen_on_inputs(net, homogeneous, odd):
    """How many units are needed, from activations on many inputs alone: not constant, seen, no multiple of another."""
    x = 10 * torch.randn(3000, 4, generator=generator(8), dtype=torch.float64)
    columns = []
    for j, column in enumerate(net[:2](x).T):
        if column.max() - column.min() < 1e-12 or not net[2].weight[:, j].any():
            continue
        scale = column.norm() if homogeneous else 1.0
        sign = torch.sign(column[column.abs().argmax()]) if odd else 1.0
        columns.append(column * sign / scale)
    return sum(all((a - b).abs().max() > 1e-9 for b in columns[:i]) for i, a in enumerate(columns))


@pytest.mark.parametrize(
    ("activation", "homogeneous", "odd"),
    [(nn.ReLU, True, False), (nn.LeakyReLU, True, False), (nn.Tanh, False, True), (nn.GELU, False, False)],
)
@pytest.mark.parametrize("seed", range(4))
def test_as_many_units_stay_as_the_activations_show(activation, homogeneous, odd, seed):
    net, random = mlp(activation, (4, 30, 3)), generator(seed)
    with torch.no_grad():
        for j, source, kind in zip(
            range(12), torch.randint(12, 30, (12,), generator=random), [0, 1, 2, 3] * 3, strict=True
        ):
            factor = [1.0, 2.0, -1.0, 0.0][kind]
            net[0].weight[j], net[0].bias[j] = factor * net[0].weight[source], factor * net[0].bias[source]
        net[2].weight[:, 20:23] = 0
    found = agree(net, compress(net))
    assert found.after["0"] == seen_on_inputs(net, homogeneous, odd) < 30


def test_chains_become_one_layer_or_keep_their_narrow_point():
    net = sequential(nn.Linear(4, 9), nn.Identity(), nn.Linear(9, 7), nn.Dropout(), nn.Linear(7, 5))
    found = agree(net, compress(net))
    assert found.after == {"in": 4, "4": 5}
    assert found.parameters == (45 + 70 + 40, 25)
    narrow = sequential(nn.Linear(4, 1), nn.Linear(1, 9))
    found = agree(narrow, compress(narrow))
    assert found.after == {"in": 4, "1": 9} or found.parameters[1] <= found.parameters[0]
    wide = sequential(nn.Linear(20, 5), nn.Linear(5, 30))
    wide[1].weight.data[:, 2:] = 0
    x = torch.randn(9, 20, dtype=torch.float64, generator=generator())
    found = agree(wide, compress(wide), x)
    assert found.after == {"in": 20, "0": 2, "1": 30}
    assert found.parameters == (105 + 180, 40 + 90)
    assert found.notes == ("0 and 1: a product of rank 2",)


def test_a_bottleneck_that_is_needed_stays():
    net = sequential(nn.Linear(20, 3), nn.Linear(3, 30))
    x = torch.randn(9, 20, dtype=torch.float64, generator=generator())
    found = agree(net, compress(net), x)
    assert found.after == {"in": 20, "0": 3, "1": 30}
    assert found.parameters[1] <= found.parameters[0]


def test_a_frozen_layer_is_not_multiplied_into_a_trained_one():
    net = sequential(nn.Linear(4, 9), nn.Linear(9, 5))
    net[0].requires_grad_(False)
    assert compress(net).after == {"in": 4, "0": 9, "1": 5}
    net[1].requires_grad_(False)
    assert compress(net).after == {"in": 4, "1": 5}


def test_layers_without_biases_stay_without():
    net = sequential(nn.Linear(4, 9, bias=False), nn.Linear(9, 5, bias=False), nn.ReLU(), nn.Linear(5, 2, bias=False))
    found = agree(net, compress(net))
    assert all(m.bias is None for m in found.module if isinstance(m, nn.Linear))


def test_what_comes_before_and_after_may_be_anything():
    table = nn.Embedding(7, 4)
    net = nn.Sequential(
        table, nn.LayerNorm(4), nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 5), nn.LayerNorm(5), nn.Softmax(-1)
    )
    net[4].weight.data[:, 2] = 0
    tokens = torch.tensor([[1, 2, 6]])
    found = compress(net, tokens)
    torch.testing.assert_close(net(tokens), found.module(tokens))
    assert found.after == {"in": 4, "2": 8, "4": 5}


def test_single_precision_mode_and_frozen_layers_stay():
    net = mlp().float().train()
    net[2].weight.requires_grad_(False)
    with torch.no_grad():
        net[0].weight[8], net[0].bias[8] = 3 * net[0].weight[7], 3 * net[0].bias[7]
    made = compress(net).module
    assert made.training
    assert made[0].weight.shape == (11, 4)
    assert {n: (p.dtype, p.requires_grad) for n, p in made.named_parameters()} == {
        n: (p.dtype, p.requires_grad) for n, p in net.named_parameters()
    }
