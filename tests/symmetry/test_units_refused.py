"""Ordinary networks that cannot be compressed: a sentence, and not a bit of the network changes."""

import copy
import math

import pytest
import torch
from torch import nn

from gradlaws.errors import InputError, UnsupportedError
from gradlaws.models.radial import Radial
from gradlaws.symmetry.compress import compress
from tests.sequentials import cnn, image, mlp, moved


def lin(n=4, m=4):
    return nn.Linear(n, m)


def trained(*parts):
    return nn.Sequential(*parts).train()


def nan():
    net = mlp()
    net[2].bias.data[0] = math.nan
    return net


def shared():
    one = lin()
    return nn.Sequential(one, nn.ReLU(), one)


class Mixer(nn.Module):
    def forward(self, x):
        return x.flip(-1)


REFUSED = {
    "layer norm": (
        lambda: nn.Sequential(lin(), nn.LayerNorm(4), lin()),
        UnsupportedError,
        r"1 \(LayerNorm\) may mix units",
    ),
    "softmax": (lambda: nn.Sequential(lin(), nn.Softmax(-1), lin()), UnsupportedError, r"1 \(Softmax\) may mix units"),
    "unknown": (
        lambda: nn.Sequential(lin(), Mixer(), lin()),
        UnsupportedError,
        r"1 \(Mixer\) .*compress the parts before",
    ),
    "radial": (
        lambda: nn.Sequential(lin(), Radial(), lin()),
        UnsupportedError,
        "write the network as a gradlaws.RadialMLP",
    ),
    "pool": (lambda: nn.Sequential(lin(), nn.MaxPool1d(2), lin(2)), UnsupportedError, "pooling after convolutions"),
    "late norm": (
        lambda: nn.Sequential(lin(), nn.ReLU(), nn.BatchNorm1d(4), lin()).eval(),
        UnsupportedError,
        "batch normalisation right after a layer",
    ),
    "batch statistics": (
        lambda: trained(lin(), nn.BatchNorm1d(4), lin()),
        UnsupportedError,
        r"1 \(BatchNorm\) uses the statistics of each batch: call model.eval\(\) first",
    ),
    "dropout": (lambda: trained(lin(), nn.Dropout(), lin()), UnsupportedError, r"1 \(Dropout\) draws random numbers"),
    "slopes": (lambda: nn.Sequential(lin(), nn.PReLU(4), lin()), UnsupportedError, "has a slope for each unit"),
    "axis": (lambda: nn.Sequential(nn.Conv2d(1, 4, 1), lin()), UnsupportedError, r"put torch.nn.Flatten\(\) between"),
    "flatten": (lambda: nn.Sequential(lin(), nn.Flatten(), lin(8)), UnsupportedError, "mixes units with other axes"),
    "divisor": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 1), nn.AvgPool2d(2, divisor_override=3), nn.Conv2d(4, 1, 1)),
        UnsupportedError,
        "overrides its divisor",
    ),
    "empty": (lambda: nn.Sequential(nn.ReLU()), InputError, "without linear layers or convolutions"),
    "example": (lambda: nn.Sequential(nn.Conv2d(1, 4, 1)), InputError, "example_inputs is NoneType: expected a tensor"),
    "sizes": (
        lambda: nn.Sequential(lin(), nn.ReLU(), lin(5)),
        InputError,
        "^2 takes 5 inputs, 0 has 4 units: expected",
    ),
    "features": (
        lambda: nn.Sequential(lin(), nn.BatchNorm1d(5), lin()).eval(),
        InputError,
        r"1 \(BatchNorm\) has 5 features: expected 4",
    ),
    "nan": (nan, InputError, "2.bias has entries that are not finite"),
    "shared": (shared, InputError, "0.weight and 2.weight are one parameter: untie them"),
    "spectral norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(lin()), nn.ReLU(), lin()),
        UnsupportedError,
        "0 has a parametrisation or a hook",
    ),
    "transformer": (
        lambda: nn.TransformerEncoderLayer(4, 2),
        UnsupportedError,
        "cannot compress TransformerEncoderLayer",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_are_sentences_and_touch_nothing(case):
    make, error, words = REFUSED[case]
    net = make()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(error, match=words):
        compress(net)
    for name, value in net.state_dict().items():
        assert value.numpy().tobytes() == before[name].numpy().tobytes(), name


def test_example_inputs_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="Sequential fails on the example inputs"):
        compress(mlp(), torch.zeros(2, 5, dtype=torch.float64))


def test_success_touches_nothing_either():
    net, x = moved(cnn()), image()
    before, state = copy.deepcopy(net.state_dict()), torch.random.get_rng_state()
    made = compress(net, x).module
    with torch.no_grad():
        for p in made.parameters():
            p.fill_(1.0)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())
