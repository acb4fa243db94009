"""Small torch modules that tests of both engines share."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


def mlp(activation, *widths, bias=True):
    """Linear layers with an activation between them; its parameters depend on the widths only."""
    layers = []
    with torch.random.fork_rng():
        torch.manual_seed(sum(widths))
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after, bias=bias), activation()]
    return nn.Sequential(*layers[:-1])


class Gated(nn.Module):
    """``W_d (silu(W_g x) * W_u x)``."""

    def __init__(self):
        super().__init__()
        self.gate, self.up, self.down = (nn.Linear(i, o, bias=False) for i, o in ((2, 3), (2, 3), (3, 2)))

    def forward(self, x):
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class Head(nn.Module):
    """One attention head."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(3, 2) for _ in range(3))
        self.o = nn.Linear(2, 3, bias=False)

    def forward(self, x):
        return self.o(functional.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x)))


class Block(nn.Module):
    """A pre-norm residual block and a head."""

    def __init__(self, eps=1e-5):
        super().__init__()
        self.norm = nn.LayerNorm(3, eps=eps)
        self.a, self.b, self.out = nn.Linear(3, 2), nn.Linear(2, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.out(x + self.b(torch.tanh(self.a(self.norm(x)))))


class WrongSecond(torch.autograd.Function):
    """The identity; the first derivative is right, the second is one instead of zero."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, cotangent):
        (x,) = ctx.saved_tensors
        return cotangent * (1 + (x - x.detach()))


class WrongThird(torch.autograd.Function):
    """Like WrongSecond, one order later."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, cotangent):
        (x,) = ctx.saved_tensors
        return cotangent * (1 + (x - x.detach()) ** 2)


class Through(nn.Module):
    """Two linear layers and a custom function between them."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.first, self.second = nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=False)

    def forward(self, x):
        return self.second(self.function(self.first(x)))
