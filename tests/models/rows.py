"""Counts that this library did not compute: rows of the tables of the literature as modules.

Rows called m1, m2, ... are those of section 4 of the sheet on modern architectures (Tran et al. 2026 and what was
checked on top of it), s34, s35, ... those of section 7.1 of the sheet on laws of flows (Marcotte, Gribonval, Peyre).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tests.models.zoo import (
    RMS,
    Attention,
    Centred,
    Circular,
    Gated,
    LowRank,
    Mixture,
    Placed,
    Power,
    Residual,
    SoftCap,
    Sparse,
    SquaredRelu,
    Switch,
    mlp,
    normalised_sigmoid_gate,
    sigmoid_gate,
)

GELU_TANH = partial(nn.GELU, approximate="tanh")
LEAKY = partial(nn.LeakyReLU, 0.1)
ZERO = {"eps": "zero"}
CROSS = {"loss": "cross_entropy"}


@dataclass(frozen=True, eq=False)
class Row:
    """A module, the shape of an example input, and how many laws it has."""

    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    laws: int
    options: dict[str, Any] = field(default_factory=dict)
    train: bool = False

    def __str__(self) -> str:
        return self.name

    def module(self) -> nn.Module:
        """The module with fixed weights, in the mode that the row is about."""
        torch.manual_seed(0)
        return self.make().train(self.train)

    def inputs(self) -> Tensor:
        """An example input."""
        return torch.ones(self.shape)


def attention(width: int, head: int, heads: int = 1, kv: int | None = None, **options: Any) -> Callable[[], nn.Module]:
    return lambda: Attention(width, head, heads, kv, **options)


def normed(width: int, hidden: int, norm: Callable[[int], nn.Module], bias: bool = False, out: int = 0):
    """A linear map, a normalisation, and a linear map if `out` is given."""
    tail = [nn.Linear(hidden, out, bias=False)] if out else []
    return nn.Sequential(nn.Linear(width, hidden, bias=bias), norm(hidden), *tail)


def swiglu_mixture(experts: int, width: int, hidden: int, gate: Callable[[Tensor], Tensor], bias: bool = False):
    return Mixture(width, [Gated(width, hidden) for _ in range(experts)], gate, bias)


def sparse_mixture(experts: int, width: int, gate: Callable[[Tensor], Tensor], k: int = 2):
    return Sparse(width, [Gated(width, 1) for _ in range(experts)], gate, k)


def scalar_mixture(gate: Callable[[Tensor], Tensor]) -> nn.Module:
    return Mixture(2, [nn.Sequential(nn.Linear(2, 1, bias=False), nn.Tanh()) for _ in range(2)], gate)


def batch_normed() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Linear(2, 2, bias=False))


def residual(width: int, hidden: int) -> nn.Module:
    return nn.Sequential(*[Residual(mlp((width, hidden, width), nn.ReLU)) for _ in range(2)])


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 2, bias=False), nn.ReLU(), nn.Conv2d(3, 2, 2, stride=2, padding=1, bias=False), nn.Flatten()
    )


bare = partial(Centred, affine=False)
softmax = partial(torch.softmax, dim=-1)

FEEDFORWARD = [
    Row("m1 linear pair", lambda: mlp((2, 2, 2)), (2,), 3),
    Row("m1 linear pair, wide", lambda: mlp((1, 3, 1)), (1,), 5),
    Row("s24 linear pair with a hidden bias", lambda: mlp((2, 2, 2), bias=True), (2,), 3),
    Row("m2 deep linear", lambda: mlp((2, 2, 2, 2)), (2,), 6),
    Row("m3 relu", lambda: mlp((2, 3, 2), nn.ReLU, bias=True), (2,), 3),
    Row("m3 leaky relu", lambda: mlp((2, 2, 2), LEAKY, bias=True), (2,), 2),
    Row("m3 deep relu", lambda: mlp((2, 2, 2, 2), nn.ReLU), (2,), 4),
    Row("m4 squared relu", lambda: mlp((2, 2, 2), SquaredRelu), (2,), 2),
    Row("s28 square", lambda: mlp((2, 2, 2), Power), (2,), 2),
    Row("m4 cube", lambda: mlp((2, 2, 2), partial(Power, 3)), (2,), 2),
    *[
        Row(f"m5 {name}", partial(mlp, (2, 2, 2), act, bias=bias), (2,), 0)
        for name, act, bias in [
            ("gelu", nn.GELU, False),
            ("gelu with bias", nn.GELU, True),
            ("tanh gelu", GELU_TANH, False),
            ("silu", nn.SiLU, False),
            ("silu with bias", nn.SiLU, True),
            ("tanh", nn.Tanh, True),
            ("softplus", nn.Softplus, False),
            ("mish", nn.Mish, False),
            ("elu", nn.ELU, False),
        ]
    ],
    Row("m6 swiglu", lambda: Gated(2, 2), (2,), 2),
    Row("s52 swiglu 2-3-3", lambda: Gated(3, 3, out=2), (3,), 3),
    Row("m7 swiglu with biases", lambda: Gated(2, 2, bias=True), (2,), 2),
    Row("m8 geglu", lambda: Gated(2, 2, nn.functional.gelu), (2,), 2),
    Row("m8 sigmoid glu", lambda: Gated(2, 2, torch.sigmoid), (2,), 2),
    Row("m9 reglu", lambda: Gated(2, 2, torch.relu), (2,), 4),
    Row("m9 bilinear glu", lambda: Gated(2, 2, nn.Identity()), (2,), 4),
    Row("m27 convolutions", convolutions, (1, 1, 4, 4), 3),
    Row("s34 circular convolution", lambda: Circular((1, 1, 1), 2), (1, 1, 4), 1),
    Row("s35 circular convolution", lambda: Circular((2, 2, 1), 2), (1, 2, 4), 2),
    Row("s36 circular convolution", lambda: Circular((1, 3, 2), 3), (1, 1, 5), 3),
    Row("s55 residual m=2 r=1", lambda: residual(2, 1), (2,), 2),
    Row("s55 residual m=2 r=2", lambda: residual(2, 2), (2,), 4),
    Row("s55 residual m=3 r=2", lambda: residual(3, 2), (3,), 4),
    Row("m28 residual swiglu", lambda: Residual(Gated(2, 2)), (2,), 2),
    Row("m37 low rank", lambda: LowRank(3, 2), (3,), 3),
    Row("m37 low rank of rank 1", lambda: LowRank(2, 1), (2,), 1),
]

TWO = (1.0, 0.1)
ATTENTION = [
    Row("s42 d=1", attention(1, 1), (2, 1), 2),
    Row("s37 one head", attention(2, 1), (2, 2), 2),
    Row("s38 one head", attention(2, 2), (2, 2), 6),
    Row("s38 one head, causal", attention(2, 2, causal=True), (2, 2), 6),
    Row("s39 three tokens", attention(3, 2), (3, 3), 6),
    Row("s40 head wider than input", attention(2, 3), (2, 2), 12),
    Row("s41 head wider than rank", attention(2, 5), (2, 2), 28),
    Row("s43 two heads", attention(2, 1, 2), (2, 2), 4),
    Row("s44 two heads", attention(2, 2, 2), (2, 2), 12),
    Row("m10 learned positions", lambda: Placed(2, 2, Attention(2, 2)), (2, 2), 6),
    Row("m10 two heads, causal", attention(2, 2, 2, causal=True), (3, 2), 12),
    Row("s45 rope", attention(2, 2, frequencies=(1.0,)), (3, 2), 4),
    Row("s45 rope, wider", attention(3, 2, frequencies=(1.0,)), (3, 3), 4),
    Row("s46 rope of two frequencies", attention(3, 4, frequencies=TWO), (3, 3), 12),
    Row("m11 rope, causal", attention(2, 2, 2, frequencies=(1.0,), causal=True), (3, 2), 8),
    Row("m12 rope of equal frequencies", attention(2, 4, frequencies=(1.0, 1.0)), (3, 2), 14),
    Row("m13 partial rope", attention(2, 4, frequencies=(1.0,)), (3, 2), 14),
    Row("s47 grouped heads of width 1", attention(2, 1, 2, 1), (2, 2), 2),
    Row("s47 grouped heads of width 2", attention(2, 2, 2, 1), (2, 2), 6),
    Row("m14 grouped heads with rope", attention(2, 2, 2, 1, frequencies=(1.0,)), (3, 2), 4),
    Row("s48 biases, width 1", attention(2, 1, bias=True), (2, 2), 3),
    Row("s48 biases, width 2", attention(2, 2, bias=True), (2, 2), 8),
    Row("m16 rope with biases", attention(2, 2, bias=True, frequencies=(1.0,)), (3, 2), 4),
    Row("m17 qk norm", attention(2, 2, qk_norm=True), (2, 2), 7, ZERO),
    Row("m18 qk norm with rope", attention(2, 2, qk_norm=True, frequencies=(1.0,)), (2, 2), 6, ZERO),
]

NORMS = [
    Row("m20 rms gain", lambda: nn.Sequential(RMS(3), nn.Linear(3, 2, bias=False)), (3,), 3),
    Row("m20 rms gain, eps zero", lambda: nn.Sequential(RMS(3), nn.Linear(3, 2, bias=False)), (3,), 3, ZERO),
    Row("m21 layer norm", lambda: nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 2)), (3,), 3),
    Row("m22 layer norm without gain", lambda: nn.Sequential(bare(3), nn.Linear(3, 2, bias=False)), (3,), 2),
    Row("m23 rms of a block", lambda: normed(2, 3, partial(RMS, gain=False)), (2,), 1, ZERO),
    Row("m23 rms of a block with bias", lambda: normed(2, 3, partial(RMS, gain=False), True), (2,), 1, ZERO),
    Row("m23 rms of a block, eps", lambda: normed(2, 3, partial(RMS, gain=False)), (2,), 0),
    Row("m23 layer norm of a block", lambda: normed(2, 3, bare), (2,), 3, ZERO),
    Row("m23 layer norm of a block with bias", lambda: normed(2, 3, bare, True), (2,), 4, ZERO),
    Row("m23 layer norm of a block, eps", lambda: normed(2, 3, bare), (2,), 2),
    Row("s65 norm between maps", lambda: normed(2, 3, bare, out=2), (2,), 5, ZERO),
    Row("s65 norm between wider maps", lambda: normed(3, 4, bare, out=3), (3,), 7, ZERO),
    Row("s66 affine norm between maps", lambda: normed(2, 3, Centred, out=2), (2,), 6, ZERO),
    Row("s66 affine norm between wider maps", lambda: normed(3, 4, Centred, out=3), (3,), 8, ZERO),
    Row("s67 weight norm", lambda: parametrizations.weight_norm(nn.Linear(3, 1, bias=False)), (3,), 1),
    Row("m24 batch norm", batch_normed, (3, 2), 6, ZERO, train=True),
]

ROUTED = [
    Row("m31 dense softmax", lambda: swiglu_mixture(2, 3, 1, softmax), (3,), 5),
    Row("m31 three experts", lambda: swiglu_mixture(3, 2, 1, softmax), (2,), 5),
    Row("m31 router bias", lambda: swiglu_mixture(2, 2, 1, softmax, True), (2,), 5),
    Row("m35 normalised sigmoid", lambda: swiglu_mixture(2, 3, 1, normalised_sigmoid_gate), (3,), 2),
    Row("m35 three experts", lambda: swiglu_mixture(3, 2, 1, normalised_sigmoid_gate), (2,), 3),
    Row("m36 plain sigmoid", lambda: swiglu_mixture(2, 3, 1, sigmoid_gate), (3,), 2),
    Row("m32 two of three experts", lambda: sparse_mixture(3, 2, softmax), (2,), 5),
    Row("m32 one of two experts freezes the router", lambda: sparse_mixture(2, 2, softmax, 1), (2,), 6),
    Row("m32 switch", lambda: Switch(2, [Gated(2, 1) for _ in range(2)]), (2,), 4),
    Row("m36 two of three, normalised sigmoid", lambda: sparse_mixture(3, 2, normalised_sigmoid_gate), (2,), 3),
    Row("s53 softmax gate, scalar experts", lambda: scalar_mixture(softmax), (2,), 2),
    Row("s54 normalised sigmoid, scalar experts", lambda: scalar_mixture(normalised_sigmoid_gate), (2,), 0),
    Row("s49 softmax head", lambda: nn.Linear(2, 3, bias=False), (2,), 2, CROSS),
    Row("s49 softmax head with bias", lambda: nn.Linear(2, 3), (2,), 3, CROSS),
    Row("s49 the same head under any loss", lambda: nn.Linear(2, 3), (2,), 0),
    Row("s50 softmax on relu", lambda: mlp((2, 2, 3), nn.ReLU), (2,), 4, CROSS),
    Row("s51 softmax on a linear pair", lambda: mlp((2, 2, 3)), (2,), 5, CROSS),
    Row("s51 two classes", lambda: mlp((2, 2, 2)), (2,), 5, CROSS),
    Row("m30 capped logits", lambda: SoftCap(2, 3), (2,), 0, CROSS),
]

ROWS = [*FEEDFORWARD, *ATTENTION, *NORMS, *ROUTED]
