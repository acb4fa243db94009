"""Products of arrays: matrices, contractions, convolutions, attention."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gradlaws.errors import UnsupportedError
from gradlaws.exact import autodiff
from gradlaws.exact.constants import MINUS_INFINITY
from gradlaws.exact.execute import RULES, Masked
from gradlaws.exact.jet import Jet, disjoint_pairs
from gradlaws.exact.rules.activation import softmax
from gradlaws.exact.rules.structure import apply


class _Guard(Function):
    """The identity; reduces the cotangent on its way out."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, field: Any) -> Tensor:
        ctx.field = field
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None]:
        return autodiff.reduce(cotangent, ctx.field), None


def bilinear(a: Jet, b: Jet, op: Callable[[Tensor, Tensor], Tensor], longest: int) -> Jet:
    """Any bilinear operation of torch, whose sums have at most `longest` terms in each direction of differentiation.

    Raises:
        UnsupportedError: the sums are too long to be exact modulo this prime.
    """
    field = a.field
    if longest > field.longest_sum:
        raise UnsupportedError(
            f"sums of {longest} products are not exact modulo {field.prime}: choose a prime below "
            f"{int((2**53 / longest) ** 0.5)}"
        )
    x, y = a.coefficients, b.coefficients
    batch = max(x.shape[1], y.shape[1])
    x, y = x.expand(-1, batch, *a.shape), y.expand(-1, batch, *b.shape)
    left, right, union, size = _pairing(len(x), len(y), x.device)
    x, y = _Guard.apply(x[left], field), _Guard.apply(y[right], field)
    terms = torch.vmap(op)(x.flatten(0, 1), y.flatten(0, 1)).unflatten(0, (len(left), batch))
    terms = autodiff.reduce(terms, field)
    total = terms.new_zeros(size, *terms.shape[1:]).index_add(0, union, terms)
    return Jet(autodiff.reduce(total, field), field)


def _pairing(m: int, n: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, int]:
    if m > 1 and n > 1:
        left, right, union = (index.to(device) for index in disjoint_pairs(m))
        return left, right, union, m
    size = max(m, n)
    every, none = torch.arange(size, device=device), torch.zeros(size, dtype=torch.int64, device=device)
    return (every if m > 1 else none), (every if n > 1 else none), every, size


def matmul(a: Jet, b: Jet) -> Jet:
    """torch.matmul for arrays of any rank."""
    if len(a.shape) == 1:
        row: Jet = apply(a, lambda t: t.unsqueeze(0))
        return _squeeze(matmul(row, b), -2 if len(b.shape) > 1 else -1)
    if len(b.shape) == 1:
        column: Jet = apply(b, lambda t: t.unsqueeze(-1))
        return _squeeze(matmul(a, column), -1)
    return a @ b


def _squeeze(x: Jet, dim: int) -> Jet:
    squeezed: Jet = apply(x, lambda t: t.squeeze(dim))
    return squeezed


def _mm(site: Any, a: Any, b: Any) -> Jet:
    return matmul(site.context.jet(a), site.context.jet(b))


def _linear(site: Any, x: Any, weight: Any, bias: Any = None) -> Jet:
    transposed: Jet = apply(site.context.jet(weight), lambda t: t.mT)
    out = matmul(site.context.jet(x), transposed)
    return out if bias is None else out + site.context.jet(bias)


def _addmm(site: Any, c: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Jet:
    number, jet = site.context.number, site.context.jet
    return jet(c) * number(beta) + matmul(jet(a), jet(b)) * number(alpha)


def _einsum(site: Any, equation: str, operands: list[Any], **_kwargs: Any) -> Jet:
    """Two operands at a time are contracted as torch would; sums are bounded by the product of all lengths."""
    jets = [site.context.jet(x) for x in operands]
    if len(jets) == 1:
        single: Jet = apply(jets[0], lambda t: torch.einsum(equation, t))
        return single
    if len(jets) > 2:
        raise UnsupportedError(f"einsum {equation!r} has {len(jets)} operands: contract two at a time")
    lengths = prod(
        {letter: n for jet, term in _terms(equation, jets) for letter, n in zip(term, jet.shape, strict=False)}.values()
    )
    return bilinear(jets[0], jets[1], lambda a, b: torch.einsum(equation, a, b), lengths)


def _terms(equation: str, jets: list[Jet]) -> list[tuple[Jet, str]]:
    terms = equation.replace(" ", "").split("->", maxsplit=1)[0].split(",")
    if any("." in term for term in terms):
        raise UnsupportedError(f"einsum {equation!r} uses '...': write every index out")
    return list(zip(jets, terms, strict=True))


def _convolution(op: Callable[..., Tensor]) -> Callable[..., Jet]:
    def rule(site: Any, x: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> Jet:
        image, kernel = site.context.jet(x), site.context.jet(weight)
        longest = max(image.shape.numel(), kernel.shape.numel())
        out = bilinear(image, kernel, lambda a, b: op(a, b, None, *args, **kwargs), longest)
        if bias is None:
            return out
        shift = site.context.jet(bias).coefficients
        return out + Jet(shift.reshape(*shift.shape, *[1] * (len(image.shape) - 2)), image.field)

    return rule


def _sum_pool(op: Callable[..., Tensor]) -> Callable[..., Jet]:
    def rule(site: Any, x: Jet, kernel: list[int], *args: Any, **_kwargs: Any) -> Jet:
        size = prod(kernel) if len(kernel) > 1 else kernel[0] ** 2
        summed: Jet = apply(x, lambda t: op(t, kernel, *args[:2], divisor_override=1))
        return summed * site.context.number(1.0 / size) if _dyadic(size) else _divided(site, summed, size)

    return rule


def _dyadic(size: int) -> bool:
    return size & (size - 1) == 0


def _divided(site: Any, x: Jet, size: int) -> Jet:
    return RULES["aten.div"](site, x, float(size))


def _adaptive_pool(site: Any, x: Jet, size: list[int]) -> Jet:
    spatial = x.shape[-len(size) :]
    if any(n % m for n, m in zip(spatial, size, strict=True)):
        raise UnsupportedError(f"adaptive pooling from {tuple(spatial)} to {tuple(size)} has uneven windows")
    kernel = [n // m for n, m in zip(spatial, size, strict=True)]

    def pool(t: Tensor) -> Tensor:
        for axis, (n, k) in enumerate(zip(size, kernel, strict=True)):
            dim = t.dim() - len(size) + axis
            t = t.unflatten(dim, (n, k)).sum(dim + 1)
        return t

    pooled: Jet = apply(x, pool)
    return _divided(site, pooled, prod(kernel))


def _attention(
    site: Any,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Jet:
    """softmax(Q K^T scale + mask) V."""
    q, k, v = (site.context.jet(x) for x in (query, key, value))
    if dropout_p:
        raise UnsupportedError("attention dropout is random: call model.eval(), or set it to zero")
    if enable_gqa:
        repeats = q.shape[-3] // k.shape[-3]
        k, v = (apply(x, lambda t: t.repeat_interleave(repeats, -3)) for x in (k, v))
    swapped: Jet = apply(k, lambda t: t.mT)
    scores: Any = matmul(q, swapped) * site.context.number(q.shape[-1] ** -0.5 if scale is None else scale)
    rows, columns = scores.shape[-2:]
    if is_causal:
        scores = Masked(scores, ~torch.ones(rows, columns, dtype=torch.bool).tril())
    elif attn_mask is not None:
        scores = _masked(site, scores, attn_mask)
    return matmul(softmax(site, scores, -1), v)


def _masked(site: Any, scores: Jet, mask: Any) -> Any:
    if isinstance(mask, Masked):
        return Masked(scores + mask.jet, mask.dead)
    if isinstance(mask, Jet):
        return scores + mask
    if not isinstance(mask, Tensor):
        raise UnsupportedError("an attention mask that depends on the input has no exact rule: pass a constant one")
    if mask.dtype == torch.bool:
        return Masked(scores, ~mask)
    dead = mask <= MINUS_INFINITY
    return Masked(scores + site.context.jet(mask.masked_fill(dead, 0.0)), dead)


def _outer(site: Any, a: Any, b: Any) -> Jet:
    column: Jet = apply(site.context.jet(a), lambda t: t.unsqueeze(-1))
    return column * site.context.jet(b)


def _dot(site: Any, a: Any, b: Any) -> Jet:
    return (site.context.jet(a) * site.context.jet(b)).sum()


functional = torch.nn.functional
RULES |= {f"aten.{name}": _mm for name in ("mm", "bmm", "matmul", "mv")}
RULES |= {f"aten.{name}": _addmm for name in ("addmm", "baddbmm", "addmv")}
RULES |= {f"aten.{name}": _convolution(getattr(torch.ops.aten, name)) for name in ("conv1d", "conv2d", "conv3d")}
RULES |= {
    "aten.linear": _linear,
    "aten.einsum": _einsum,
    "aten.dot": _dot,
    "aten.outer": _outer,
    "aten.conv_transpose1d": _convolution(torch.ops.aten.conv_transpose1d),
    "aten.conv_transpose2d": _convolution(torch.ops.aten.conv_transpose2d),
    "aten.conv_transpose3d": _convolution(torch.ops.aten.conv_transpose3d),
    "aten.avg_pool2d": _sum_pool(functional.avg_pool2d),
    "aten.adaptive_avg_pool1d": _adaptive_pool,
    "aten.adaptive_avg_pool2d": _adaptive_pool,
    "aten.scaled_dot_product_attention": _attention,
}
