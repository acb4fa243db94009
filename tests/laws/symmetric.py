"""Small torch modules, one for each way in which a symmetry acts, and laws written by index."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gradlaws.laws.gather import GatherLaw

TOKENS = torch.tensor([[0, 1]])


class Attention(nn.Module):
    """Causal attention: heads that share keys in groups, rotary positions where asked for."""

    def __init__(self, width=3, heads=1, groups=1, head=2, rotary=False, bias=True):
        super().__init__()
        self.heads, self.groups, self.rotary = heads, groups, rotary
        self.q = nn.Linear(width, heads * head, bias=bias)
        self.k = nn.Linear(width, groups * head, bias=bias)
        self.v = nn.Linear(width, groups * head, bias=bias)
        self.o = nn.Linear(heads * head, width, bias=bias)

    def forward(self, x):
        batch, time, _ = x.shape
        q = self.q(x).view(batch, time, self.heads, -1).transpose(1, 2)
        k, v = (p(x).view(batch, time, self.groups, -1).transpose(1, 2) for p in (self.k, self.v))
        if self.rotary:
            q, k = rotated(q), rotated(k)
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.groups < self.heads)
        return self.o(out.transpose(1, 2).reshape(batch, time, -1))


def rotated(x: Tensor) -> Tensor:
    """Rotary positions in the convention that pairs entry i with entry i + half."""
    half = x.shape[-1] // 2
    angles = torch.arange(1.0, 1.0 + x.shape[-2])[:, None] * 0.3 ** torch.arange(half)
    table = torch.cat([angles, angles], -1)
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * table.cos() + turned * table.sin()


class Gated(nn.Module):
    """SwiGLU."""

    def __init__(self, bias=False):
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(2, 3, bias), nn.Linear(2, 3, bias), nn.Linear(3, 2, bias)

    def forward(self, x):
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class Experts(nn.Module):
    """Dense experts under a router: softmax, or sigmoid scores divided by their sum."""

    def __init__(self, score="softmax"):
        super().__init__()
        self.score, self.router = score, nn.Linear(2, 3)
        self.experts = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))

    def forward(self, x):
        logits = self.router(x)
        weights = logits.sigmoid() if self.score == "sigmoid" else logits.softmax(-1)
        weights = weights / weights.sum(-1, keepdim=True)
        return (torch.stack([expert(x) for expert in self.experts], -1) * weights.unsqueeze(-2)).sum(-1)


class TopOne(nn.Module):
    """Each example takes the expert of largest score."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(2, 2)
        self.up, self.down = nn.Parameter(torch.randn(2, 3, 2)), nn.Parameter(torch.randn(2, 2, 3))

    def forward(self, x):
        weight, chosen = self.router(x).softmax(-1).topk(1, -1)
        hidden = torch.einsum("bhi,bi->bh", self.up[chosen[:, 0]], x).relu()
        return weight * torch.einsum("boh,bh->bo", self.down[chosen[:, 0]], hidden)


class Square(nn.Module):
    def forward(self, x):
        return x**2


class Residual(nn.Module):
    """``x + down(gelu(up(norm(x))))``, then a norm."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(2, 3), nn.LayerNorm(3), nn.LayerNorm(3)
        self.up, self.down = nn.Linear(3, 2), nn.Linear(2, 3)

    def forward(self, x):
        x = self.first(x)
        return self.last(x + self.down(functional.gelu(self.up(self.norm(x)))))


class Tied(nn.Module):
    """Token embeddings that are also the head."""

    def __init__(self, tied=True):
        super().__init__()
        self.table, self.place = nn.Embedding(4, 3), nn.Embedding(2, 3)
        self.norm = nn.LayerNorm(3)
        self.head = nn.Linear(3, 4, bias=False)
        if tied:
            self.head.weight = self.table.weight

    def forward(self, tokens):
        return self.head(self.norm(self.table(tokens) + self.place(torch.arange(2))))


class Divided(nn.Module):
    """Two linear maps with the Euclidean norm divided out between them."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 3), nn.Linear(3, 2)

    def forward(self, x):
        y = self.a(x)
        return self.b(y / y.norm(dim=-1, keepdim=True))


def numbers(shapes) -> dict[str, np.ndarray]:
    """The flattened parameters of each tensor by number."""
    found, start = {}, 0
    for name, shape in shapes.items():
        found[name] = np.arange(start, start + prod(shape)).reshape(shape)
        start += prod(shape)
    return found


def law_of(family, selection, *terms) -> GatherLaw:
    """The law of terms (coefficient, indices ``[laws, entries]`` or ``[laws]``)."""
    tables = [(c, table.reshape(len(table), -1)) for c, table in terms]
    indices = np.concatenate([table for _, table in tables], 1).tolist()
    coefficients = [c for c, table in tables for _ in range(table.shape[1])]
    return GatherLaw(tuple(map(tuple, indices)), tuple(coefficients), selection, tuple(family.parameters.items()))
