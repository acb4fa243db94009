"""Field operations that torch can differentiate any number of times without leaving the field.

Every backward rule reduces the incoming cotangent before it multiplies and reduces what it returns, and is itself built
from these operations: derivatives of any order are exact, and cotangents that torch adds up stay below 2**53.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gradlaws.exact.field import PrimeField
from gradlaws.exact.tape import tape_of


def _sum_to(x: Tensor, shape: torch.Size, field: PrimeField) -> Tensor:
    """Undo broadcasting: add residues over the broadcast axes."""
    extra = x.dim() - len(shape)
    axes = [i for i in range(x.dim()) if i < extra or (shape[i - extra] == 1 and x.shape[i] != 1)]
    return Reduce.apply(x.sum(axes, keepdim=True), field).reshape(shape) if axes else x


class Reduce(Function):
    """Reduction modulo p; its derivative is itself a reduction."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, field: PrimeField) -> Tensor:
        ctx.field = field
        return field.reduce(x)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None]:
        return Reduce.apply(cotangent, ctx.field), None


class Multiply(Function):
    """Entrywise product with broadcasting."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, field: PrimeField) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.field = field
        return field.reduce(a * b)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        a, b = ctx.saved_tensors
        field, need = ctx.field, ctx.needs_input_grad
        g = Reduce.apply(cotangent, field)
        return (
            _sum_to(Multiply.apply(g, b, field), a.shape, field) if need[0] else None,
            _sum_to(Multiply.apply(g, a, field), b.shape, field) if need[1] else None,
            None,
        )


class Matmul(Function):
    """Matrix product, batch axes broadcast."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, field: PrimeField) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.field = field
        return field.matmul(a, b)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        a, b = ctx.saved_tensors
        field, need = ctx.field, ctx.needs_input_grad
        g = Reduce.apply(cotangent, field)
        return (
            _sum_to(Matmul.apply(g, b.mT, field), a.shape, field) if need[0] else None,
            _sum_to(Matmul.apply(a.mT, g, field), b.shape, field) if need[1] else None,
            None,
        )


def reduce(x: Tensor, field: PrimeField) -> Tensor:
    """Differentiable reduction modulo p."""
    return Reduce.apply(x, field)


def add(a: Tensor, b: Tensor, field: PrimeField) -> Tensor:
    """Differentiable sum modulo p, with broadcasting."""
    tape = tape_of(field)
    return tape.add(a, b) if tape else reduce(a + b, field)


def negate(a: Tensor, field: PrimeField) -> Tensor:
    """Differentiable negative modulo p."""
    tape = tape_of(field)
    return tape.negate(a) if tape else reduce(-a, field)


def multiply(a: Tensor, b: Tensor, field: PrimeField) -> Tensor:
    """Differentiable entrywise product modulo p, with broadcasting."""
    tape = tape_of(field)
    return tape.multiply(a, b) if tape else Multiply.apply(a, b, field)


def matmul(a: Tensor, b: Tensor, field: PrimeField) -> Tensor:
    """Differentiable matrix product modulo p, batch axes broadcast."""
    tape = tape_of(field)
    return tape.matmul(a, b) if tape else Matmul.apply(a, b, field)
