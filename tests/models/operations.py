"""Tiny modules, one for each operation that users' code is made of, and how many laws each has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

WIDE = 0.5
"""An epsilon that singular values can see."""


class Apply(nn.Module):
    """A function of named parts and of the inputs."""

    def __init__(self, function: Callable[..., Tensor], **parts: nn.Module):
        super().__init__()
        self.function = function
        self.parts = nn.ModuleDict(parts)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(self.parts, *inputs)


@dataclass(frozen=True, eq=False)
class Operation:
    """A module, the shape of its input, its number of laws; whether floats can shadow it, and its mode."""

    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    laws: int
    shadowed: bool = True
    train: bool = False

    def __str__(self) -> str:
        return self.name

    def module(self) -> nn.Module:
        torch.manual_seed(0)
        return self.make().train(self.train)


def linear(a: int = 2, b: int = 2) -> nn.Module:
    return nn.Linear(a, b, bias=False)


def between(*middle: nn.Module, a: int = 2, b: int = 2) -> nn.Module:
    """Something between two linear maps."""
    return nn.Sequential(linear(2, a), *middle, linear(b, 2))


def through(function: Callable[[Tensor], Tensor]) -> nn.Module:
    return Apply(lambda m, x: m["b"](function(m["a"](x))), a=linear(), b=linear())


CONV: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def conv(axes: int, *rest: nn.Module, channels: int = 2) -> nn.Module:
    return nn.Sequential(CONV[axes](1, channels, 2, bias=False), *rest)


def pooled(axes: int, name: str, *args: Any, **options: Any) -> nn.Module:
    """A convolution, a pooling, a linear map of the channels."""
    pool = getattr(nn, f"{name}Pool{axes}d")(*args, **options)
    return conv(axes, pool, CONV[axes](2, 1, 1, bias=False))


def attention(**options: Any) -> nn.Module:
    inner = nn.MultiheadAttention(2, 1, batch_first=True, **options)
    return Apply(lambda m, x: m["a"](x, x, x)[0], a=inner)


def causal(m: nn.ModuleDict, x: Tensor) -> Tensor:
    mask = torch.ones(2, 2, dtype=torch.bool).triu(1)
    return m["a"](x, x, x, attn_mask=mask, need_weights=False)[0]


def sparse(m: nn.ModuleDict, x: Tensor) -> Tensor:
    """Two of three gates, written into a mask, as routers of large models do it."""
    z = m["router"](x)
    mask = torch.zeros_like(z).scatter(-1, z.topk(2).indices, 1.0)
    gates = z.masked_fill(mask == 0, float("-inf")).softmax(-1)
    return (gates * m["experts"](x)).sum(-1, keepdim=True)


def recurrent(kind: type[nn.Module]) -> nn.Module:
    return Apply(lambda m, x: m["a"](x)[0], a=kind(1, 1))


class Buffered(nn.Module):
    """Entries of a buffer multiply the input."""

    def __init__(self):
        super().__init__()
        self.map = linear()
        self.register_buffer("scale", torch.tensor([1.5, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x * self.scale)


class Twice(nn.Module):
    """One matrix, used forwards and backwards."""

    def __init__(self):
        super().__init__()
        self.map = linear()

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.map(x)) @ self.map.weight


def tied() -> nn.Module:
    """Two layers that share a matrix."""
    module = nn.Sequential(linear(), nn.Identity(), linear())
    module[2].weight = module[0].weight
    return module


ACTIVATIONS = [
    *[
        Operation(f"nn.{kind.__name__}", lambda kind=kind: between(kind()), (2,), laws, shadowed)
        for kind, laws, shadowed in [
            (nn.ReLU6, 0, False),
            (nn.CELU, 0, True),
            (nn.SELU, 0, True),
            (nn.Hardtanh, 0, False),
            (nn.Hardswish, 0, False),
            (nn.Hardsigmoid, 0, False),
            (nn.Sigmoid, 0, True),
            (nn.LogSigmoid, 0, True),
            (nn.Softsign, 0, False),
            (nn.RReLU, 2, False),
        ]
    ],
    Operation("prelu", lambda: between(nn.PReLU()), (2,), 2),
    Operation("prelu of channels", lambda: between(nn.PReLU(2)), (3, 2), 2),
    Operation("glu", lambda: between(nn.GLU(), a=4), (2,), 2),
    Operation("softmax inside", lambda: between(nn.Softmax(-1)), (2,), 2),
    Operation("log softmax inside", lambda: between(nn.LogSoftmax(-1)), (2,), 2),
    Operation("exp", lambda: through(torch.exp), (2,), 0),
    Operation("sine", lambda: through(torch.sin), (2,), 0),
    Operation("cube", lambda: through(lambda x: x**3), (2,), 2),
    Operation("reciprocal", lambda: through(torch.reciprocal), (2,), 2),
    Operation("cumulative sum", lambda: through(lambda x: x.cumsum(-1)), (2,), 2),
    Operation("product", lambda: through(lambda x: x * x.prod()), (2,), 2),
    Operation("masked", lambda: through(lambda x: x.masked_fill(torch.tensor([True, False]), 0.0)), (2,), 5),
    Operation("shifted to the largest", lambda: through(lambda x: (x - x.amax(-1, True)).exp()), (2,), 2, False),
    Operation("divided by the norm", lambda: through(lambda x: functional.normalize(x, dim=-1)), (2,), 1),
]

LAYERS = [
    *[
        Operation(f"{name} pooling {axes}d", lambda axes=axes, name=name: pooled(axes, name, 2), shape, laws, shadowed)
        for axes, shape in ((1, (1, 1, 5)), (2, (1, 1, 3, 3)), (3, (1, 1, 3, 3, 3)))
        for name, laws, shadowed in (("Avg", 3, True), ("Max", 2, True))
    ],
    Operation("adaptive pooling, uneven", lambda: pooled(1, "AdaptiveAvg", 2), (1, 1, 4), 3),
    Operation("adaptive maximum", lambda: pooled(2, "AdaptiveMax", 1), (1, 1, 3, 3), 2),
    Operation("transposed 1d", lambda: conv(1, nn.ReLU(), nn.ConvTranspose1d(2, 1, 2, 2, bias=False)), (1, 1, 4), 2),
    Operation("transposed 2d", lambda: conv(2, nn.ConvTranspose2d(2, 1, 2, bias=False)), (1, 1, 3, 3), 3),
    Operation("transposed 3d", lambda: conv(3, nn.ReLU(), nn.ConvTranspose3d(2, 1, 1)), (1, 1, 2, 2, 2), 2),
    Operation("group norm", lambda: conv(1, nn.GroupNorm(1, 2, eps=WIDE)), (1, 1, 3), 0),
    Operation("instance norm", lambda: conv(1, nn.InstanceNorm1d(2, eps=WIDE, affine=True)), (1, 1, 4), 0),
    Operation("batch norm", lambda: between(nn.BatchNorm1d(2, eps=WIDE)), (3, 2), 2, False, True),
    Operation("batch norm, frozen", lambda: between(nn.BatchNorm1d(2)), (3, 2), 4),
    Operation(
        "layer norm without bias", lambda: nn.Sequential(linear(2, 3), nn.LayerNorm(3, WIDE, bias=False)), (2,), 2
    ),
    Operation("rms norm", lambda: nn.Sequential(nn.RMSNorm(2, WIDE), linear()), (2,), 2),
    Operation("weight norm", lambda: parametrizations.weight_norm(linear()), (2,), 2),
    Operation("weight norm of a convolution", lambda: parametrizations.weight_norm(nn.Conv1d(1, 2, 2)), (1, 1, 3), 2),
    Operation("spectral norm", lambda: parametrizations.spectral_norm(linear()), (2,), 1),
    Operation("dropout", lambda: between(nn.Dropout(0.5)), (2,), 2, False, True),
    Operation("dropout that is off", lambda: between(nn.Dropout(0.5)), (2,), 3),
    Operation("dropout of channels", lambda: conv(1, nn.Dropout1d(), nn.Conv1d(2, 1, 1)), (1, 1, 3), 2, False, True),
    Operation("alpha dropout", lambda: between(nn.AlphaDropout()), (2,), 0, False, True),
    Operation("multi-head attention", lambda: attention(bias=False), (1, 2, 2), 6),
    Operation("multi-head attention with biases", attention, (1, 2, 2), 8),
    Operation(
        "masked multi-head attention", lambda: Apply(causal, a=attention(bias=False).parts["a"]), (1, 2, 2), 6, False
    ),
    Operation("attention dropout", lambda: attention(bias=False, dropout=0.1), (1, 2, 2), 6, False, True),
    Operation("two of three", lambda: Apply(sparse, router=linear(2, 3), experts=linear(2, 3)), (2,), 2, False),
    Operation(
        "embedding of positions",
        lambda: Apply(lambda m, x: x + m["a"](torch.arange(2)), a=nn.Embedding(2, 2)),
        (2, 2),
        0,
    ),
    Operation(
        "bilinear",
        lambda: Apply(lambda m, x: m["b"](m["a"](x, x)), a=nn.Bilinear(2, 2, 2, False), b=linear(2, 1)),
        (2,),
        5,
        False,
    ),
    # two biases are added to each gate, so their difference never moves; the last gate of a GRU is the exception
    Operation("rnn", lambda: recurrent(nn.RNN), (2, 1), 1, False),
    Operation("lstm", lambda: recurrent(nn.LSTM), (2, 1), 4, False),
    Operation("gru", lambda: recurrent(nn.GRU), (2, 1), 2, False),
    Operation("buffer", Buffered, (2,), 2),
    Operation("tied layers", tied, (2,), 0),
    Operation("matrix used twice", Twice, (2,), 0),
]

OPERATIONS = [*ACTIVATIONS, *LAYERS]
