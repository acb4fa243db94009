"""Tiny modules, written as their users would write them, one for each architecture whose laws are known."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional


def mlp(widths: tuple[int, ...], act: type[nn.Module] = nn.Identity, bias: bool = False) -> nn.Module:
    """A fully connected network; all hidden layers have a bias, or none."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths[:-1]):
        layers += [nn.Linear(a, b, bias=bias), act()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1], bias=False))


class Power(nn.Module):
    """An entrywise whole power, of the positive part if wanted."""

    def __init__(self, exponent: int = 2, rectified: bool = False):
        super().__init__()
        self.exponent, self.rectified = exponent, rectified

    def forward(self, x: Tensor) -> Tensor:
        return (torch.relu(x) if self.rectified else x) ** self.exponent


class SquaredRelu(Power):
    """``relu(x)**2``."""

    def __init__(self):
        super().__init__(2, rectified=True)


class Gated(nn.Module):
    """``down(act(gate x) * (up x))``."""

    def __init__(self, width: int, hidden: int, act=functional.silu, bias: bool = False, out: int | None = None):
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=bias)
        self.up = nn.Linear(width, hidden, bias=bias)
        self.down = nn.Linear(hidden, width if out is None else out, bias=bias)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.act(self.gate(x)) * self.up(x))


class RMS(nn.Module):
    """RMSNorm from elementary operations, as Llama has it."""

    def __init__(self, width: int, gain: bool = True, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width)) if gain else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return y if self.weight is None else self.weight * y


class Centred(nn.Module):
    """LayerNorm from elementary operations."""

    def __init__(self, width: int, affine: bool = True, eps: float = 1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width)) if affine else None
        self.bias = nn.Parameter(torch.zeros(width)) if affine else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        y = centred * torch.rsqrt((centred * centred).mean(-1, keepdim=True) + self.eps)
        return y if self.weight is None else self.weight * y + self.bias


def rotate(x: Tensor, frequencies: tuple[float, ...]) -> Tensor:
    """Rotary embedding of ``[heads, tokens, width]``; pairs are (j, j + half), columns beyond the pairs stay."""
    angles = torch.arange(x.shape[-2]).unsqueeze(1) * torch.tensor(frequencies)
    half = len(frequencies)
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)


class Attention(nn.Module):
    """Multi-head attention on one sequence ``[tokens, width]``: grouped heads, rotations, QK-norm, biases as wanted."""

    def __init__(
        self,
        width: int,
        head: int,
        heads: int = 1,
        kv: int | None = None,
        *,
        causal: bool = False,
        bias: bool = False,
        frequencies: tuple[float, ...] = (),
        qk_norm: bool = False,
    ):
        super().__init__()
        kv = heads if kv is None else kv
        self.heads, self.kv, self.head = heads, kv, head
        self.causal, self.frequencies = causal, frequencies
        self.q = nn.Linear(width, heads * head, bias=bias)
        self.k = nn.Linear(width, kv * head, bias=bias)
        self.v = nn.Linear(width, kv * head, bias=bias)
        self.o = nn.Linear(heads * head, width, bias=False)
        self.q_norm = RMS(head) if qk_norm else nn.Identity()
        self.k_norm = RMS(head) if qk_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        tokens = len(x)
        q = self.q_norm(self.q(x).view(tokens, self.heads, self.head)).transpose(0, 1)
        k = self.k_norm(self.k(x).view(tokens, self.kv, self.head)).transpose(0, 1)
        v = self.v(x).view(tokens, self.kv, self.head).transpose(0, 1)
        if self.frequencies:
            q, k = rotate(q, self.frequencies), rotate(k, self.frequencies)
        k, v = (t.repeat_interleave(self.heads // self.kv, 0) for t in (k, v))
        scores = q @ k.mT / self.head**0.5
        if self.causal:
            scores = scores.masked_fill(~torch.ones(tokens, tokens, dtype=torch.bool).tril(), float("-inf"))
        mixed = scores.softmax(-1) @ v
        return self.o(mixed.transpose(0, 1).flatten(1))


def softmax_gate(z: Tensor) -> Tensor:
    """The usual router."""
    return z.softmax(-1)


def sigmoid_gate(z: Tensor) -> Tensor:
    """Every expert by itself."""
    return z.sigmoid()


def normalised_sigmoid_gate(z: Tensor) -> Tensor:
    """Sigmoids over their sum, as DeepSeek-V3 has it."""
    s = z.sigmoid()
    return s / s.sum(-1, keepdim=True)


class Mixture(nn.Module):
    """A dense mixture of experts."""

    def __init__(self, width: int, experts: list[nn.Module], gate=softmax_gate, bias: bool = False):
        super().__init__()
        self.router = nn.Linear(width, len(experts), bias=bias)
        self.experts = nn.ModuleList(experts)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        g = self.gate(self.router(x))
        return sum(g[i] * expert(x) for i, expert in enumerate(self.experts))


class Sparse(Mixture):
    """The same with the k largest logits only, renormalised among themselves."""

    def __init__(self, width: int, experts: list[nn.Module], gate=softmax_gate, k: int = 2):
        super().__init__(width, experts, gate)
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        logits, chosen = self.router(x).topk(self.k)
        every = torch.stack([expert(x) for expert in self.experts])
        return self.gate(logits) @ every[chosen]


class Switch(Mixture):
    """Softmax over all experts, of which only the best one is asked."""

    def forward(self, x: Tensor) -> Tensor:
        best, chosen = self.gate(self.router(x)).topk(1)
        every = torch.stack([expert(x) for expert in self.experts])
        return best @ every[chosen]


class Residual(nn.Module):
    """``x + g(x)``."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class LowRank(nn.Module):
    """``act((W0 + scale B A) x)`` with W0 frozen."""

    def __init__(self, width: int, rank: int, act=torch.tanh):
        super().__init__()
        self.base = nn.Linear(width, width, bias=False).requires_grad_(False)
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width, bias=False)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.base(x) + 0.5 * self.up(self.down(x)))


class SoftCap(nn.Module):
    """A head whose logits are capped."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.head = nn.Linear(width, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return 30.0 * torch.tanh(self.head(x) / 30.0)


class Circular(nn.Sequential):
    """Two circular convolutions around a ReLU."""

    def __init__(self, channels: tuple[int, int, int], kernel: int):
        a, b, c = channels
        first, second = (
            nn.Conv1d(m, n, kernel, padding=kernel // 2, padding_mode="circular", bias=False)
            for m, n in ((a, b), (b, c))
        )
        super().__init__(first, nn.ReLU(), second)


class Placed(nn.Module):
    """Adds learned positions to a sequence."""

    def __init__(self, tokens: int, width: int, inner: nn.Module):
        super().__init__()
        self.positions = nn.Parameter(torch.ones(tokens, width))
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x + self.positions)


class Watched(nn.Module):
    """A mixture that also returns something of its logits, for an auxiliary loss."""

    def __init__(self, mixture: Mixture, watch):
        super().__init__()
        self.mixture, self.watch = mixture, watch

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.mixture(x), self.watch(self.mixture.router(x))


class Tied(nn.Module):
    """A language model whose head is its embedding table."""

    def __init__(self, vocabulary: int, width: int):
        super().__init__()
        self.table = nn.Embedding(vocabulary, width)
        self.inner = nn.Linear(width, width, bias=False)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.inner(self.table(tokens)))
