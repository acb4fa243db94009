"""Ten certificates, and every way of altering one number, sign, index, key or order of a JSON document."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from functools import cache, reduce
from operator import mul
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

import gradlaws as gl
from gradlaws import check, check_program
from gradlaws.models.family import Family
from gradlaws.models.network import ACTIVATIONS

Document = dict[str, Any]
Where = tuple[Any, ...]


class Written(Family):
    """Explicit polynomials ``sum of s_i phi_i`` in named scalars, as terms of coefficient and factors."""

    name = "a list of polynomials"
    assumptions = ()

    def __init__(self, names: list[str], phis: list[list[tuple[int, list[str]]]]) -> None:
        self._names, self._phis = names, phis

    @property
    def parameters(self):
        return dict.fromkeys(self._names, ())

    @property
    def instance(self):
        return {f"s{i}": () for i in range(len(self._phis))}

    @property
    def degree(self):
        return 1 + max(len(factors) for phi in self._phis for _, factors in phi)

    @property
    def monomials(self):
        return sum(map(len, self._phis))

    def potential(self, theta, s):
        total = None
        for i, phi in enumerate(self._phis):
            for c, factors in phi:
                term = reduce(mul, (theta[name] for name in factors), s[f"s{i}"])
                for copied in [term if c > 0 else -term] * abs(c):
                    total = copied if total is None else total + copied
        return total


PAIR = Written(["u0", "u1", "v0", "v1"], [[(1, ["u0", "v0"])], [(2, ["u1", "u1", "v1"]), (-3, ["u1", "u1", "v1"])]])
"""``s0 u0 v0 - s1 u1^2 v1``: its laws are ``u0^2 - v0^2`` and ``u1^2 - 2 v1^2``."""


MODELS: dict[str, tuple[str | Family, int | None]] = {
    "relu 1-1-1": ("relu 1-1-1", None),
    "linear 2-2-2": ("linear 2-2-2", None),
    "linear 2-4-1": ("linear 2-4-1", None),
    "linear 2-3-1-2": ("linear 2-3-1-2", None),
    "relu 2-3-2": ("relu 2-3-2", None),
    "relu 2-2-2-1 bias": ("relu 2-2-2-1 bias", None),
    "leaky 1-2-2 bias output-bias": ("leaky 1-2-2 bias output-bias", None),
    "square 2-2-2": ("square 2-2-2", None),
    "linear 1-2-2 of degree 2": ("linear 1-2-2", 2),
    PAIR.name: (PAIR, None),
}
"""Every kind of network, more law entries than laws, polynomials term by term, explicit potentials."""


class Gated(nn.Module):
    """``W_d (silu(W_g x) * W_u x)``."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up, self.down = (nn.Linear(*sizes, bias=False) for sizes in ((1, 2), (1, 2), (2, 1)))

    def forward(self, x):
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class Head(nn.Module):
    """One attention head with a causal mask."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(2, 1) for _ in range(3))
        self.o = nn.Linear(1, 2)

    def forward(self, x):
        return self.o(functional.scaled_dot_product_attention(self.q(x), self.k(x), self.v(x), is_causal=True))


class Rotary(nn.Module):
    """Queries and keys of two positions, turned by an angle and by twice that angle."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k = (nn.Linear(2, 2, bias=False) for _ in range(2))

    def forward(self, x):
        angles = torch.tensor([[0.3], [0.6]])
        q, k = ((y * angles.cos() + y.flip(-1) * angles.sin()) for y in (self.q(x), self.k(x)))
        return q @ k.mT


class Words(nn.Module):
    """Tokens with one that is never trained, positions, and a layer that stands still."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(3, 2, padding_idx=1), nn.Embedding(2, 2)
        self.norm, self.mix, self.out = nn.LayerNorm(2), nn.Linear(2, 2, bias=False), nn.Linear(2, 1)

    def forward(self, tokens):
        x = self.norm(self.token(tokens.view(2)) + self.place(torch.arange(2)))
        return self.out(x + self.mix(x.detach()))


MODULES = {
    "relu network": (lambda: nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), (2,)),
    "tanh network": (lambda: nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2, bias=False)), (2,)),
    "gelu network": (lambda: nn.Sequential(nn.Linear(2, 2), nn.GELU(), nn.Linear(2, 1)), (2,)),
    "soft": (lambda: nn.Sequential(nn.Linear(1, 2), nn.Softplus(), nn.Linear(2, 1), nn.ELU()), (1,)),
    "swiglu": (Gated, (1,)),
    "norm and linear": (lambda: nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 2)), (3,)),
    "attention head": (Head, (2, 2)),
    "softmax": (lambda: nn.Sequential(nn.Linear(2, 2), nn.Softmax(-1)), (2,)),
    "convolution": (
        lambda: nn.Sequential(nn.Conv1d(1, 2, 2), nn.ReLU(), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(2, 1)),
        (1, 1, 3),
    ),
    "rotary": (Rotary, (2, 2)),
    "tokens": (Words, (1, 2)),
    "batch norm": (lambda: nn.Sequential(nn.Linear(1, 2), nn.BatchNorm1d(2), nn.Linear(2, 1)), (3, 1)),
}
"""Modules and the shapes of their inputs: gates, smooth functions, roots, masks, windows, angles, tokens."""


def asked(title: str) -> tuple[nn.Module, torch.Tensor]:
    """A module and its example input."""
    make, shape = MODULES[title]
    return make(), torch.zeros(shape, dtype=torch.int64 if title == "tokens" else torch.float32)


@cache
def certificate(title: str) -> gl.Certificate:
    """One of the models, or one of a module."""
    if title in MODULES:
        module, x = asked(title)
        return gl.certify(module, gl.laws(module, x), x)
    model, degree = MODELS[title]
    return gl.certify(model, gl.laws(model, degree=degree))


def document(title: str) -> Document:
    """A copy of its JSON object, to be altered."""
    return copy.deepcopy(certificate(title).document)


def sealed(altered: Document) -> Document:
    """The same document with a hash that fits, as a forger would write it."""
    return {**altered, "hash": check.digest(altered)}


def verdict(altered: Any) -> str:
    """What the checker says of a document: PROVED ..., NOT PROVED ..., or check: ...; never anything else."""
    try:
        return check_program.prove(*check_program.interpret(altered))
    except check.Failed as failure:
        return f"NOT PROVED: {failure}"
    except check.Unreadable as refusal:
        return f"check: {refusal}"


def save(path: Path, altered: Any) -> Path:
    """The document as a file."""
    path.write_text(json.dumps(altered))
    return path


def mutations(value: Any, where: Where = ()) -> Iterator[tuple[Where, Any]]:
    """Each place of a JSON value with everything that is put there instead."""
    yield from ((where, other) for other in _altered(value) if (type(other), other) != (type(value), value))
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from mutations(inner, (*where, key))


def mutant(original: Document, where: Where, other: Any) -> Any:
    """The document with another value in one place."""
    if not where:
        return other
    altered = copy.deepcopy(original)
    place = altered
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = other
    return altered


def _altered(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from sorted({value + 1, value - 1, -value, 0} - {value})
        yield str(value)
    elif isinstance(value, str):
        yield from _altered_text(value)
    elif isinstance(value, list):
        yield from (value[:i] + value[i + 1 :] for i in range(len(value)))
        yield from ([*value[: i + 1], *value[i:]] for i in range(len(value)))
        yield from (
            [*value[:i], value[i + 1], value[i], *value[i + 2 :]]
            for i in range(len(value) - 1)
            if value[i] != value[i + 1]
        )
    elif isinstance(value, dict):
        yield from ({k: v for k, v in value.items() if k != key} for key in value)
        yield from ({f"{k}s" if k == key else k: v for k, v in value.items()} for key in value)
        yield {**value, "extra": 0}


def _altered_text(value: str) -> Iterator[str]:
    yield from ("", value + " ", value.upper())
    if re.fullmatch(r"-?\d+(/\d+)?", value):
        yield from (value.removeprefix("-") if value.startswith("-") else f"-{value}", f"{value}1", f"{value}/3", "2")
    for index in re.finditer(r"\d", value):
        yield value[: index.start()] + str((int(index[0]) + 1) % 10) + value[index.end() :]
    if value in ACTIVATIONS:
        yield from (kind for kind in ACTIVATIONS if kind != value)
