"""Modules whose flows are tested."""

from itertools import pairwise

import torch
from torch import nn


class Product(nn.Module):
    """L = (u v - 2)^2 / 2 from (3, 1/2), with the law u^2 - v^2 = 8.75."""

    def __init__(self, u=3.0, v=0.5):
        super().__init__()
        self.u = nn.Parameter(torch.tensor([[u]], dtype=torch.float64))
        self.v = nn.Parameter(torch.tensor([[v]], dtype=torch.float64))

    def forward(self, x):
        return x @ self.u @ self.v


ONE = torch.ones(1, 1).double()


def product_loss(f):
    return (f(ONE) - 2).square().sum() / 2


def deep(*widths, seed=0, bias=False):
    """Linear layers with tanh after the first: laws between the others."""
    torch.manual_seed(seed)
    layers = [nn.Linear(a, b, bias=bias) for a, b in pairwise(widths)]
    return nn.Sequential(layers[0], nn.Tanh(), *layers[1:]).double()


def data(inputs, outputs, count=12, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(count, n, generator=generator).double() for n in (inputs, outputs))


def squares(x, y):
    return lambda f: (f(x) - y).square().mean()


class Ray(nn.Module):
    """L = q^T diag(1, 3, 7) q / 2 with q = w / |w|: a loss that does not see the length of w."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, 0.5, 0.25], dtype=torch.float64))

    def forward(self):
        q = self.w / self.w.norm()
        return (torch.tensor([1.0, 3.0, 7.0], dtype=torch.float64) * q.square()).sum() / 2
