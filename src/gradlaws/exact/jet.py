"""Arithmetic of truncated Taylor coefficients over a prime field.

A jet is an element of ``F_p[e_1, ..., e_m] / (e_1**2, ..., e_m**2)``: its coefficient at index S, read as a bit set, is
the one of the product of the ``e_i`` with i in S. One coefficient per subset gives every mixed derivative that an
iterated Lie bracket needs, so nothing here nests the forward modes of torch (``jvp`` of ``jvp`` is wrong there for
custom functions, torch 2.13). Gradients use a single, first-order reverse pass: the derivative of the top coefficient
of a potential with respect to the coefficient S of an argument is the coefficient (complement of S) of its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from gradlaws.exact import autodiff
from gradlaws.exact.field import PrimeField
from gradlaws.exact.tape import tape_of


@lru_cache(maxsize=16)
def disjoint_pairs(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Index sets S, T and their union for all disjoint pairs of subsets."""
    pairs = [(s, t, s | t) for s in range(size) for t in range(size) if not s & t]
    left, right, union = zip(*pairs, strict=True)
    return torch.tensor(left), torch.tensor(right), torch.tensor(union)


@dataclass(frozen=True, eq=False, slots=True)
class Jet:
    """A batch of arrays over the truncated ring.

    Args:
        coefficients: residues of shape ``[2**m, batch, *shape]``, or ``[1, batch, *shape]`` for a constant.
        field: the field of the residues.
    """

    coefficients: Tensor
    field: PrimeField

    @property
    def shape(self) -> torch.Size:
        """Shape of one array of the batch."""
        return self.coefficients.shape[2:]

    def __add__(self, other: Jet) -> Jet:
        left, right = match_ranks(self, other)
        a, b = _align(left.coefficients, right.coefficients)
        return Jet(autodiff.add(a, b, self.field), self.field)

    def __neg__(self) -> Jet:
        return Jet(autodiff.negate(self.coefficients, self.field), self.field)

    def __sub__(self, other: Jet) -> Jet:
        return self + (-other)

    def __mul__(self, other: Jet) -> Jet:
        """Entrywise product with broadcasting."""
        a, b = match_ranks(self, other)
        return a._product(b, autodiff.multiply)

    def __matmul__(self, other: Jet) -> Jet:
        """Matrix times vector or matrix times matrix, further axes broadcast, as numpy does it."""
        if len(other.shape) == 1:
            column = Jet(other.coefficients.unsqueeze(-1), self.field)
            return Jet((self @ column).coefficients.squeeze(-1), self.field)
        a, b = match_ranks(self, other)
        return a._product(b, autodiff.matmul)

    def sum(self) -> Jet:
        """Sum over all axes of one array."""
        flat = self.coefficients.reshape(*self.coefficients.shape[:2], -1)
        tape = tape_of(self.field)
        total = tape.linear(torch.sum, flat) if tape else autodiff.reduce(flat.sum(-1), self.field)
        return Jet(total, self.field)

    def _product(self, other: Jet, multiply: Callable[[Tensor, Tensor, PrimeField], Tensor]) -> Jet:
        a, b, field = self.coefficients, other.coefficients, self.field
        if 1 in (len(a), len(b)):
            return Jet(multiply(a, b, field), field)
        left, right, union = (index.to(a.device) for index in disjoint_pairs(len(a)))
        # Gathering copies, so every copy's cotangent is reduced by `multiply` before torch adds them up.
        terms = multiply(a[left], b[right], field)
        total = terms.new_zeros(len(a), *terms.shape[1:]).index_add(0, union, terms)
        return Jet(autodiff.reduce(total, field), field)


def match_ranks(a: Jet, b: Jet) -> tuple[Jet, Jet]:
    """Insert axes of length one behind the batch so that both arrays have as many axes."""
    missing = len(a.shape) - len(b.shape)
    if not missing:
        return a, b
    if missing < 0:
        b, a = match_ranks(b, a)
        return a, b
    coefficients = b.coefficients.reshape(*b.coefficients.shape[:2], *[1] * missing, *b.shape)
    return a, Jet(coefficients, b.field)


def _align(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Pad a constant with zero coefficients so that two jets can be added."""
    if len(a) == len(b):
        return a, b
    if len(a) > len(b):
        return a, torch.cat([b, b.new_zeros(len(a) - 1, *b.shape[1:])])
    return torch.cat([a, a.new_zeros(len(b) - 1, *a.shape[1:])]), b


def constant(x: Tensor, field: PrimeField) -> Jet:
    """The jet of residues ``[batch, *shape]`` that do not move; a batch of one is shared by all examples."""
    return Jet(x.unsqueeze(0), field)


def gradient(potential: Callable[[Jet], Jet], point: Tensor, field: PrimeField) -> Tensor:
    """Gradient of a scalar potential at a batch of jets.

    Args:
        potential: maps a jet of shape ``[d]`` to a jet of shape ``[]``, example by example.
        point: coefficients ``[2**m, batch, d]``.
        field: the field of the residues.

    Returns:
        Coefficients of the gradient, ``[2**m, batch, d]``.
    """
    leaf = point.detach().requires_grad_()
    top = potential(Jet(leaf, field)).coefficients
    if len(top) < len(point) or not top.requires_grad:
        return torch.zeros_like(point)
    (by_complement,) = torch.autograd.grad(top[-1].sum(), leaf)
    return field.reduce(by_complement).flip(0)


def split(x: Jet, shapes: Sequence[tuple[int, ...]]) -> list[Jet]:
    """Cut a jet of shape ``[d]`` into arrays of the given shapes, in order."""
    sizes = [int(torch.Size(shape).numel()) for shape in shapes]
    pieces = x.coefficients.split(sizes, dim=-1)
    return [
        Jet(piece.unflatten(-1, shape) if shape else piece.squeeze(-1), x.field)
        for piece, shape in zip(pieces, shapes, strict=True)
    ]
