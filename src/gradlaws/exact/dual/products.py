"""Products of arrays of cells: matrices, contractions, convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gradlaws.exact.dual.arrays import add, contract, multiply
from gradlaws.exact.dual.cells import NotProvedError
from gradlaws.exact.dual.run import DUAL_RULES, Entries, Site


def matmul(site: Site, a: Tensor, b: Tensor) -> Tensor:
    """torch.matmul of cells."""
    if a.dim() == 1:
        return matmul(site, a.unsqueeze(0), b).squeeze(-2 if b.dim() > 1 else -1)
    if b.dim() == 1:
        return contract(site.cells, a, b)
    return contract(site.cells, a.unsqueeze(-2), b.mT.unsqueeze(-3))


def _matmul(site: Site, a: Any, b: Any) -> Entries:
    return Entries(matmul(site, site.entries(a), site.entries(b)))


def _linear(site: Site, x: Any, weight: Any, bias: Any = None) -> Entries:
    out = matmul(site, site.entries(x), site.entries(weight).mT)
    return Entries(out if bias is None else add(site.cells, out, site.entries(bias)))


def _addmm(site: Site, c: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Entries:
    product = matmul(site, site.entries(a), site.entries(b))
    scaled = multiply(site.cells, product, site.entries(alpha))
    return Entries(add(site.cells, multiply(site.cells, site.entries(c), site.entries(beta)), scaled))


def _einsum(site: Site, equation: str, operands: list[Any], **_kwargs: Any) -> Entries:
    """One or two operands, every index written out and none twice in one of them."""
    left, _, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if "->" not in equation or "." in equation or len(terms) > 2 or any(len(set(t)) < len(t) for t in terms):
        raise NotProvedError(f"einsum {equation}")
    letters = right + "".join(sorted(set(left) - {*right, ","}))
    arrays = [_spread(site.entries(x), term, letters) for x, term in zip(operands, terms, strict=True)]
    if len(arrays) == 1:
        arrays.append(site.entries(1))
    arrays = [x.unsqueeze(-1) for x in torch.broadcast_tensors(*arrays)]
    return Entries(contract(site.cells, *(x.flatten(len(right)) for x in arrays)))


def _spread(x: Tensor, term: str, letters: str) -> Tensor:
    """The array with its axes in the order of the letters, and axes of length 1 for letters that it lacks."""
    present = [letter for letter in letters if letter in term]
    x = x.permute([term.index(letter) for letter in present])
    for axis, letter in enumerate(letters):
        if letter not in term:
            x = x.unsqueeze(axis)
    return x


def _numbers(value: Any, count: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * count if len(values) == 1 else values


def convolve(
    site: Site, x: Tensor, weight: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """A convolution over any number of axes: one contraction of the patches with the kernels."""
    order = weight.dim() - 2
    if isinstance(padding, str):
        raise NotProvedError("padding by name")
    steps, widths, gaps = _numbers(stride, order), _numbers(padding, order), _numbers(dilation, order)
    patches = _patches(x, list(weight.shape[2:]), steps, widths, gaps)  # [batch, channels, *places, *kernel]
    batch, channels, *rest = patches.shape
    patches = patches.reshape(batch, groups, 1, channels // groups, *rest).movedim(3, 3 + order)
    patches = patches.flatten(3 + order)  # [batch, groups, 1, *places, channels of the group * kernel]
    kernels = weight.reshape(groups, weight.shape[0] // groups, *[1] * order, -1)
    return contract(site.cells, patches, kernels).flatten(1, 2)


def _patches(x: Tensor, kernel: list[int], steps: list[int], widths: list[int], gaps: list[int]) -> Tensor:
    """Windows over the last axes, padded with zeros."""
    order = len(kernel)
    x = torch.nn.functional.pad(x, [w for width in reversed(widths) for w in (width, width)])
    for axis in range(order):
        span = gaps[axis] * (kernel[axis] - 1) + 1
        x = x.unfold(2 + axis, span, steps[axis])
    for axis in range(order):
        x = x.movedim(2 + order + axis, -1)[..., :: gaps[axis]].movedim(-1, 2 + order + axis)
    return x


def _convolution(site: Site, x: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> Entries:
    out = convolve(site, site.entries(x), site.entries(weight), *args, **kwargs)
    if bias is not None:
        shift = site.entries(bias)
        out = add(site.cells, out, shift.reshape(-1, *[1] * (out.dim() - 2)))
    return Entries(out)


def _outer(site: Site, a: Any, b: Any) -> Entries:
    return Entries(multiply(site.cells, site.entries(a).unsqueeze(-1), site.entries(b)))


DUAL_RULES |= {f"aten.{name}": _matmul for name in ("mm", "bmm", "matmul", "mv", "dot")}
DUAL_RULES |= {f"aten.{name}": _addmm for name in ("addmm", "baddbmm", "addmv")}
DUAL_RULES |= {f"aten.{name}": _convolution for name in ("conv1d", "conv2d", "conv3d")}
DUAL_RULES |= {"aten.linear": _linear, "aten.einsum": _einsum, "aten.outer": _outer}
