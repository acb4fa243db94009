"""Functions ``f(w, x, ...)`` that take whole numbers to whole numbers, by the file of rules that they are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

aten = torch.ops.aten
IDS = (3, -4)
"""Three whole numbers below four."""


@dataclass(frozen=True)
class Case:
    """A function, the shape of w, the shapes of the inputs."""

    name: str
    function: Any
    shape: tuple[int, ...]
    examples: tuple[tuple[int, ...], ...] = ()

    def __str__(self) -> str:
        return self.name


def slice_written(x: Tensor, w: Tensor) -> Tensor:
    """A copy of x two rows of which are w."""
    y = x.clone()
    y[1:3] = w
    return y


def entry_written(x: Tensor, w: Tensor) -> Tensor:
    """A copy of x one entry of which is from w."""
    y = x.clone()
    y[1] = w[0]
    return y


PRODUCTS = [
    Case("linear", lambda w, x: F.linear(x, w), (3, 2), ((2,),)),
    Case("linear of a matrix", lambda w, x: F.linear(x, w), (3, 2), ((4, 2),)),
    Case("linear with bias", lambda w, x: F.linear(x, w[:, :2], w[:, 2]), (3, 3), ((4, 2),)),
    Case("linear of the parameter", F.linear, (2, 3), ((4, 3),)),
    Case("matmul", lambda w, x: w @ x @ w, (3, 2), ((2, 3),)),
    Case("matmul, vectors", lambda w, x: w @ x, (3,), ((3,),)),
    Case("matmul, vector first", lambda w, x: x @ w, (3, 2), ((3,),)),
    Case("matmul, broadcast", lambda w, x: w @ x, (2, 1, 2, 3), ((4, 3, 2),)),
    Case("mm", torch.mm, (2, 3), ((3, 2),)),
    Case("mv", torch.mv, (2, 3), ((3,),)),
    Case("bmm", torch.bmm, (2, 2, 3), ((2, 3, 2),)),
    Case("dot", torch.dot, (3,), ((3,),)),
    Case("outer", torch.outer, (3,), ((2,),)),
    Case("addmm", lambda w, x: torch.addmm(w, x, w, beta=2, alpha=3), (2, 2), ((2, 2),)),
    Case("baddbmm", lambda w, x: torch.baddbmm(w, x, w), (2, 2, 2), ((2, 2, 2),)),
    Case("addmv", lambda w, x: torch.addmv(x, w, x), (2, 2), ((2,),)),
    Case("einsum of one", lambda w: torch.einsum("iij->j", w), (2, 2, 3)),
    Case("einsum of two", lambda w, x: torch.einsum("hij,jk->ikh", w, x), (2, 2, 3), ((3, 2),)),
    Case("einsum, diagonal", lambda w, x: torch.einsum("ij,ij->i", w, x), (2, 3), ((2, 3),)),
    Case("einsum with itself", lambda w: torch.einsum("ij,kj->ik", w, w), (2, 3)),
    Case("einsum of three", lambda w, x: torch.einsum("ij,jk,lk->il", w, x, w), (2, 3), ((3, 3),)),
    Case("einsum with dots", lambda w, x: torch.einsum("...ij,jk->...ik", x, w), (3, 2), ((2, 2, 3),)),
    Case("einsum with dots of two ranks", lambda w, x: torch.einsum("...i,i...->...", w, x), (2, 3, 2), ((2, 3),)),
    Case("einsum without arrow", lambda w, x: torch.einsum("ba,bc", w, x), (2, 3), ((2, 2),)),
    Case("inner", torch.inner, (2, 3), ((3,),)),
    Case("tensordot", lambda w, x: torch.tensordot(w, x, ([0, 2], [1, 0])), (2, 3, 2), ((2, 2),)),
    Case("kron", torch.kron, (2, 2), ((2, 1),)),
    Case("vdot", torch.vdot, (3,), ((3,),)),
    Case("bilinear", lambda w, x: F.bilinear(x, x, w, w[:, 0, 0]), (2, 3, 3), ((4, 3),)),
    Case("conv1d", lambda w, x: F.conv1d(x, w), (2, 2, 2), ((1, 2, 5),)),
    Case("conv1d, unbatched", lambda w, x: F.conv1d(x, w), (2, 2, 2), ((2, 5),)),
    Case("conv1d, all options", lambda w, x: F.conv1d(x, w, None, 2, 2, 2, 2), (4, 1, 2), ((2, 2, 6),)),
    Case("conv1d with bias", lambda w, x: F.conv1d(x, w, w[:, 0, 0]), (2, 2, 2), ((1, 2, 4),)),
    Case("conv1d, same", lambda w, x: F.conv1d(x, w, padding="same"), (2, 2, 3), ((1, 2, 4),)),
    Case("conv1d of the parameter", F.conv1d, (1, 2, 5), ((2, 2, 2),)),
    Case("conv1d twice", lambda w: F.conv1d(w, w[:, :, :2]), (2, 2, 4)),
    Case("conv2d", lambda w, x: F.conv2d(x, w, None, (2, 1), (1, 0), (1, 2)), (2, 1, 2, 2), ((1, 1, 4, 5),)),
    Case("conv2d, groups", lambda w, x: F.conv2d(x, w, None, groups=2), (2, 1, 2, 2), ((1, 2, 3, 3),)),
    Case("conv3d", lambda w, x: F.conv3d(x, w, None, 1, 1), (1, 2, 2, 2, 2), ((1, 2, 2, 2, 2),)),
    Case("transposed conv1d", lambda w, x: F.conv_transpose1d(x, w, None, 2, 1, 1), (2, 2, 3), ((1, 2, 3),)),
    Case(
        "transposed conv2d", lambda w, x: F.conv_transpose2d(x, w, None, 2, 0, 1, 1, 2), (2, 1, 2, 2), ((1, 2, 2, 2),)
    ),
    Case("transposed conv3d", lambda w, x: F.conv_transpose3d(x, w), (1, 2, 2, 1, 2), ((1, 1, 2, 2, 2),)),
    Case("average pool", lambda w, x: 4 * F.avg_pool2d(x * w, 2), (4, 4), ((1, 1, 4, 4),)),
    Case("average pool, overlapping", lambda w, x: 6 * F.avg_pool2d(x * w, (2, 3), 1), (4, 4), ((1, 1, 4, 4),)),
    Case("average pool, padded", lambda w, x: 9 * F.avg_pool2d(x * w, 3, 2, 1), (4, 4), ((1, 1, 4, 4),)),
    Case(
        "average pool, padding not counted",
        lambda w, x: 36 * F.avg_pool2d(x * w, 3, 2, 1, False, False),
        (4, 4),
        ((1, 1, 4, 4),),
    ),
    Case("average pool, rounded up", lambda w, x: 4 * F.avg_pool2d(x * w, 2, ceil_mode=True), (3, 3), ((1, 1, 3, 3),)),
    Case(
        "average pool, own divisor",
        lambda w, x: 3 * F.avg_pool2d(x * w, 2, divisor_override=3),
        (4, 4),
        ((1, 1, 4, 4),),
    ),
    Case("average pool 1d", lambda w, x: 2 * F.avg_pool1d(x * w, 2), (5,), ((1, 2, 5),)),
    Case(
        "average pool 1d, all options",
        lambda w, x: 6 * F.avg_pool1d(x * w, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        (6,),
        ((1, 2, 6),),
    ),
    Case(
        "average pool 3d",
        lambda w, x: 72 * F.avg_pool3d(x * w, (2, 3, 2), 2, (1, 1, 0), True),
        (4,),
        ((1, 1, 3, 4, 4),),
    ),
    Case("adaptive pool, uneven", lambda w, x: 6 * F.adaptive_avg_pool1d(x * w, 3), (7,), ((1, 1, 7),)),
    Case("adaptive pool 3d", lambda w, x: 4 * F.adaptive_avg_pool3d(x * w, (1, 2, 3)), (3,), ((1, 1, 2, 4, 3),)),
    Case("adaptive pool 1d", lambda w, x: 3 * F.adaptive_avg_pool1d(x * w, 2), (6,), ((1, 2, 6),)),
    Case("adaptive pool 2d", lambda w, x: 6 * F.adaptive_avg_pool2d(x * w, (2, 1)), (4, 3), ((1, 2, 4, 3),)),
]

STRUCTURE = [
    Case("view", lambda w: w.view(3, 4), (2, 6)),
    Case("reshape of a transpose", lambda w: w.t().reshape(2, 6), (3, 4)),
    Case("permute", lambda w: w.permute(2, 0, 1), (2, 3, 2)),
    Case("transpose", lambda w: w.transpose(0, 2), (2, 3, 2)),
    Case("expand", lambda w: w.expand(3, 2, 4), (2, 1)),
    Case("unsqueeze and squeeze", lambda w: w.unsqueeze(1).squeeze(0), (1, 3)),
    Case("slices", lambda w: w[1:, ::2] * w[:1, 1:3], (3, 4)),
    Case("select", lambda w: w[1] * w[-1], (3, 2)),
    Case("split", lambda w: torch.cat([a * 2 for a in w.split([1, 3])]), (4, 2)),
    Case("chunk", lambda w: torch.stack(w.chunk(2, -1)), (2, 4)),
    Case("unbind", lambda w: w.unbind(1)[0] * w.unbind(1)[2], (2, 3)),
    Case("flatten and unflatten", lambda w: w.flatten().unflatten(0, (3, 2)), (2, 3)),
    Case("movedim", lambda w: w.movedim(0, -1), (2, 3, 2)),
    Case("narrow", lambda w: w.narrow(0, 1, 2), (4, 2)),
    Case("flip", lambda w: w.flip(0, 1), (2, 3)),
    Case("roll", lambda w: w.roll(2, 1), (2, 5)),
    Case("repeat", lambda w: w.repeat(2, 1, 2), (2, 3)),
    Case("repeat interleave", lambda w: w.repeat_interleave(2, 0), (3, 2)),
    Case("pixel shuffle", lambda w: F.pixel_shuffle(w, 2), (1, 4, 2, 2)),
    Case("unfold", lambda w: w.unfold(0, 3, 2), (7,)),
    Case("im2col", lambda w: F.unfold(w, 2), (1, 2, 3, 3)),
    Case("diagonal", lambda w: w.diagonal(1), (3, 4)),
    Case("diag embed", torch.diag_embed, (2, 3)),
    Case("triangles", lambda w: w.tril() - w.triu(1), (3, 3)),
    Case("pad with zeros", lambda w: F.pad(w, (1, 0, 2, 1)), (2, 3)),
    Case("pad with ones", lambda w: F.pad(w, (1, 2), value=1.0), (2, 3)),
    Case("pad around", lambda w: F.pad(w, (1, 2), mode="circular"), (1, 2, 3)),
    Case("pad by reflection", lambda w: F.pad(w, (1, 2), mode="reflect"), (1, 2, 3)),
    Case("pad by copies", lambda w: F.pad(w, (1, 2), mode="replicate"), (1, 2, 3)),
    Case("nearest neighbours", lambda w: F.interpolate(w, scale_factor=2), (1, 2, 3)),
    Case("nearest neighbours 2d", lambda w: F.interpolate(w, scale_factor=2), (1, 1, 2, 2)),
    Case("sum", lambda w: w.sum(), (2, 3)),
    Case("sum over axes", lambda w: w.sum((0, 2), keepdim=True), (2, 3, 2)),
    Case("sum in single precision", lambda w: w.sum(0, dtype=torch.float32).to(w.dtype), (40, 2)),
    Case("cumulative sum in single precision", lambda w: w.cumsum(0, dtype=torch.float32).to(w.dtype), (40,)),
    Case("cumulative sum", lambda w: w.cumsum(1), (2, 4)),
    Case("product", lambda w: w.prod(), (2, 2)),
    Case("product over an axis", lambda w: w.prod(1, keepdim=True), (2, 3)),
    Case("cumulative product", lambda w: w.cumprod(0), (3, 2)),
    Case("trace", lambda w: w.trace(), (3, 3)),
    Case("concatenate", lambda w, x: torch.cat([w, x, w * w], 1), (2, 2), ((2, 3),)),
    Case("concatenate, last axis", lambda w, x: torch.cat([x, w], -1), (2, 2), ((2, 3),)),
    Case("stack", lambda w, x: torch.stack([w, x], -1), (2, 3), ((2, 3),)),
    Case("stack in front", lambda w, x: torch.stack([x, w]), (2, 3), ((2, 3),)),
    Case("index", lambda w: w[torch.tensor([0, 2, 2])], (3, 2)),
    Case("index of two axes", lambda w: w[torch.tensor([0, 2]), torch.tensor([1, 0])], (3, 2)),
    Case("index of the second axis", lambda w: w[:, torch.tensor([1, 1, 0])], (3, 2)),
    Case("index select", lambda w: w.index_select(1, torch.tensor([1, 0, 1])), (3, 2)),
    Case("index by tokens", lambda w, i: w[i], (4, 2), (IDS,)),
    Case("embedding", lambda w, i: F.embedding(i, w), (4, 2), (IDS,)),
    Case("embedding of shifted tokens", lambda w, i: F.embedding(i.flip(0), w), (4, 2), (IDS,)),
    Case("embedding of the input", lambda w, x, i: w * F.embedding(i, x), (3, 2), ((4, 2), IDS)),
    Case("gather", lambda w: w.gather(1, torch.tensor([[0, 2], [1, 1]])), (2, 3)),
    Case("gather by tokens", lambda w, i: w.gather(0, i), (4,), (IDS,)),
    Case("where", lambda w, x: torch.where(torch.eye(2, dtype=torch.bool), w, x), (2, 2), ((2, 2),)),
    Case("where, by tokens", lambda w, i: torch.where(i > 1, w, 2 * w), (3,), (IDS,)),
    Case("masked fill", lambda w: w.masked_fill(torch.eye(2, dtype=torch.bool), 5.0), (2, 2)),
    Case("tokens as numbers", lambda w, i: w * i, (3,), (IDS,)),
    Case("one hot tokens", lambda w, i: F.one_hot(i, 4).to(w.dtype) @ w, (4, 2), (IDS,)),
    Case("written slice", lambda w, x: slice_written(x, w), (2, 2), ((4, 2),)),
    Case("written entry", lambda w: entry_written(torch.zeros(3, dtype=w.dtype), w), (3,)),
    Case("number written", lambda w: entry_written(w * 1, torch.full((1,), 5.0, dtype=w.dtype)), (3,)),
    Case("scatter", lambda w, x: x.scatter(0, torch.tensor([2, 0, 1]), w), (3,), ((3,),)),
    Case("scatter by tokens", lambda w, i: torch.zeros(4, dtype=w.dtype).scatter_add(0, i, w), (3,), (IDS,)),
    Case("index add", lambda w, x: x.index_add(0, torch.tensor([1, 1]), w), (2, 2), ((3, 2),)),
    Case("index put", lambda w, x: x.index_put((torch.tensor([1, 0]),), w), (2, 2), ((3, 2),)),
    Case("blank tensors", lambda w: w * torch.full_like(w, 3.0) + w.new_ones(2, 1) - w.new_zeros(1), (2, 2)),
    Case("casts", lambda w: w.float().to(torch.float64).type_as(w), (3,)),
    Case("copies", lambda w: w * w.clone().contiguous(), (3,)),
]

ARITHMETIC = [
    Case("add", lambda w, x: torch.add(w, x, alpha=3) + 2, (2, 3), ((3,),)),
    Case("sub", lambda w, x: torch.sub(x, w, alpha=2) - 1, (3,), ((2, 3),)),
    Case("number minus", lambda w: 5 - w, (3,)),
    Case("rsub", lambda w: torch.rsub(w, 5, alpha=3), (3,)),
    Case("mul", lambda w, x: w * x * w * -3, (2, 1), ((1, 3),)),
    Case("neg", lambda w: -w, (3,)),
    Case("halves", lambda w: 8 * (w / 2 + 0.25 * w - w / 8), (3,)),
    *[Case(f"power {n}", lambda w, n=n: w**n, (3,)) for n in (1, 2, 3, 4, 7)],
    Case("power 0", lambda w: w + w**0, (3,)),
    Case("square", torch.square, (3,)),
    Case("mean", lambda w: 6 * w.mean(), (2, 3)),
    Case("mean over an axis", lambda w: 3 * w.mean(-1, keepdim=True), (2, 3)),
    Case("mean over axes", lambda w: 6 * w.mean((0, 2)), (2, 2, 3)),
    Case("variance", lambda w: 12 * w.var(0, correction=0), (2, 3)),
    Case("variance of the rows", lambda w: 6 * w.var(-1), (2, 3)),
    Case("variance, biased", lambda w: 9 * w.var(-1, unbiased=False), (2, 3)),
    Case("variance of everything", lambda w: 30 * w.var(), (2, 3)),
    Case("variance and mean", lambda w: 9 * torch.var_mean(w, 1, correction=0)[0] + 3 * w.mean(1), (2, 3)),
    Case("interpolation", lambda w, x: 4 * torch.lerp(w, x, 0.25), (3,), ((3,),)),
    Case("addcmul", lambda w, x: torch.addcmul(x, w, w, value=3), (3,), ((3,),)),
    Case("zeros and ones", lambda w: torch.ones_like(w) * w + torch.zeros_like(w), (3,)),
]
