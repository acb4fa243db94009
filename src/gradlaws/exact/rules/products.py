"""Products of arrays: matrices, contractions, convolutions, attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gradlaws.errors import UnsupportedError
from gradlaws.exact import autodiff
from gradlaws.exact.execute import RULES, Data, Masked
from gradlaws.exact.jet import Jet, disjoint_pairs
from gradlaws.exact.rules.activation import softmax
from gradlaws.exact.rules.arithmetic import add
from gradlaws.exact.rules.structure import apply
from gradlaws.exact.tape import tape_of


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
    if tape := tape_of(field):
        return Jet(tape.bilinear(op, a.coefficients, b.coefficients), field)
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


def _addmm(site: Any, c: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    number, jet = site.context.number, site.context.jet
    product = matmul(jet(a), jet(b)) * number(alpha)
    return add(site, product, c, alpha=beta)  # c may be a mask


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
    if enable_gqa:
        repeats = q.shape[-3] // k.shape[-3]
        k, v = (apply(x, lambda t: t.repeat_interleave(repeats, -3)) for x in (k, v))
    swapped: Jet = apply(k, lambda t: t.mT)
    scores: Any = matmul(q, swapped) * site.context.number(q.shape[-1] ** -0.5 if scale is None else scale)
    rows, columns = scores.shape[-2:]
    if is_causal:
        scores = Masked(scores, ~torch.ones(1, rows, columns, dtype=torch.bool).tril())
    elif attn_mask is not None:
        scores = _masked(site, scores, attn_mask)
    weights = softmax(site, scores, -1)
    return matmul(weights * site.choices if dropout_p else weights, v)


def _masked(site: Any, scores: Jet, mask: Any) -> Any:
    """Scores with a mask: truth values say which ones live, numbers are added."""
    if isinstance(mask, Data) and mask.values.dtype == torch.bool:
        return Masked(scores, ~mask.values)
    if isinstance(mask, Tensor) and mask.dtype == torch.bool:
        return Masked(scores, ~mask.unsqueeze(0))
    return add(site, scores, mask)


def _outer(site: Any, a: Any, b: Any) -> Jet:
    column: Jet = apply(site.context.jet(a), lambda t: t.unsqueeze(-1))
    return column * site.context.jet(b)


def _dot(site: Any, a: Any, b: Any) -> Jet:
    return (site.context.jet(a) * site.context.jet(b)).sum()


RULES |= {f"aten.{name}": _mm for name in ("mm", "bmm", "matmul", "mv")}
RULES |= {f"aten.{name}": _addmm for name in ("addmm", "baddbmm", "addmv")}
RULES |= {f"aten.{name}": _convolution(getattr(torch.ops.aten, name)) for name in ("conv1d", "conv2d", "conv3d")}
RULES |= {
    "aten.linear": _linear,
    "aten.dot": _dot,
    "aten.vdot": _dot,
    "aten.outer": _outer,
    "aten.conv_transpose1d": _convolution(torch.ops.aten.conv_transpose1d),
    "aten.conv_transpose2d": _convolution(torch.ops.aten.conv_transpose2d),
    "aten.conv_transpose3d": _convolution(torch.ops.aten.conv_transpose3d),
    "aten.scaled_dot_product_attention": _attention,
}
