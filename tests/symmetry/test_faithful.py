"""The comparison of outputs tells a planted difference from rounding."""

import copy

import pytest
import torch
from torch import nn

from gradlaws.errors import InputError, UnclearError
from gradlaws.symmetry.faithful import SCALES, measured, random_like
from tests.samplers import generator
from tests.sequentials import mlp


def run(net, x):
    return net(x)


def probes():
    return [random_like(torch.empty(8, 4, dtype=torch.float64), scale, generator(1)) for scale in SCALES]


def test_equal_networks_do_not_differ():
    net = mlp()
    error, scale = measured(run, net, copy.deepcopy(net), probes())
    assert error == 0.0
    assert scale == max(net(x).abs().max().item() for x in probes())


@pytest.mark.parametrize("entry", [("0.weight", (3, 1)), ("2.bias", (5,)), ("4.weight", (2, 9))])
def test_one_altered_number_is_seen(entry):
    net, (name, place) = mlp(), entry
    other = copy.deepcopy(net)
    other.get_parameter(name).data[place] += 1e-4
    with pytest.raises(UnclearError, match=r"the new network differs by .*; use a copy in float64"):
        measured(run, net, other, probes())


def test_a_network_that_is_not_finite_is_no_match():
    net = mlp()
    other = copy.deepcopy(net)
    other[4].bias.data[0] = torch.nan
    with pytest.raises(UnclearError, match="differs by inf"):
        measured(run, net, other, probes())
    with pytest.raises(InputError, match="returns numbers that are not finite on random inputs"):
        measured(run, other, net, probes())


def test_rounding_is_measured_and_passes():
    net = mlp().float()
    twice = nn.Sequential(*net)  # the same layers, summed up in another order
    with torch.no_grad():
        twice = copy.deepcopy(twice)
        turned = torch.randperm(12, generator=generator())
        twice[0].weight.copy_(net[0].weight[turned])
        twice[0].bias.copy_(net[0].bias[turned])
        twice[2].weight.copy_(net[2].weight[:, turned])
    error, scale = measured(run, net, twice, [x.float() for x in probes()])
    assert 0 <= error < 1e-5 * scale
