"""Ordinary networks for tests, in float64 with normal weights."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from tests.samplers import generator


def sequential(*parts, seed=0):
    """In float64 with normal weights, in evaluation mode."""
    net, random = nn.Sequential(*parts).double().eval(), generator(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=random, dtype=torch.float64) / p[0].numel() ** 0.5)
    return net


def mlp(activation=nn.ReLU, widths=(4, 12, 10, 3)):
    parts = [nn.Linear(widths[0], widths[1])]
    for n, m in pairwise(widths[1:]):
        parts += [activation(), nn.Linear(n, m)]
    return sequential(*parts)


def image(size=8):
    return torch.randn(3, 1, size, size, generator=generator(3), dtype=torch.float64)


def cnn(padding=1, seed=0):
    return sequential(
        nn.Conv2d(1, 8, 3, padding=padding),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(8, 6, 3, padding=padding), nn.LeakyReLU(), nn.AvgPool2d(2)),
        nn.Flatten(),
        nn.Linear(6 * 4 if padding else 6, 10),
        nn.ReLU(),
        nn.Linear(10, 2),
        seed=seed,
    )


def moved(net):
    """Running statistics that are not trivial."""
    random = generator(4)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.copy_(torch.randn(8, generator=random))
            m.running_var.copy_(0.5 + torch.rand(8, generator=random))
    return net


def agree(net, found, x=None):
    """The compression that was found, once its outputs are those of the network."""
    x = 3 * torch.randn(64, 4, generator=generator(9), dtype=torch.float64) if x is None else x
    torch.testing.assert_close(found.module(x), net(x), rtol=1e-12, atol=1e-13)
    return found
