"""Expressions that are zero whatever their arguments, and expressions that look like them and are not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.exact.rules.cases import Case

CAUSAL = torch.ones(3, 3, dtype=torch.bool).tril()
ADDED = torch.zeros(3, 3).masked_fill(~CAUSAL, float("-inf"))
LOWEST = torch.zeros(3, 3).masked_fill(~CAUSAL, torch.finfo(torch.float32).min)
SEQUENCE = ((2, 3, 2),)


def root_mean_square(x: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)


def centred(x: Tensor, eps: float = 1e-5) -> Tensor:
    y = x - x.mean(-1, keepdim=True)
    return y / torch.sqrt(y.pow(2).mean(-1, keepdim=True) + eps)


def attention(q: Tensor, k: Tensor, v: Tensor, scale: float = 2**-0.5, mask: Tensor | None = None) -> Tensor:
    scores = q @ k.mT * scale
    return (scores if mask is None else scores.masked_fill(~mask, float("-inf"))).softmax(-1) @ v


def sdpa(q: Tensor, k: Tensor, v: Tensor, **options) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, **options)


SMOOTH = [
    Case("exp over exp", lambda w: w.exp() / w.exp() - 1, (3,)),
    Case("silu", lambda w: F.silu(w) - w * w.sigmoid(), (3,)),
    Case("mish", lambda w: F.mish(w) - w * F.softplus(w).tanh(), (3,)),
    Case("glu", lambda w: F.glu(w) - w[:2] * w[2:].sigmoid(), (4,)),
    Case("log sigmoid", lambda w: F.logsigmoid(w) + F.softplus(-w), (3,)),
    Case("softplus with a slope", lambda w: 2 * F.softplus(w, 2.0) - F.softplus(2 * w), (3,)),
    Case("tanh is odd", lambda w: w.tanh() + (-w).tanh(), (3,)),
    Case("erf is odd", lambda w: w.erf() + (-w).erf(), (3,)),
    Case("sigmoids of opposites", lambda w: w.sigmoid() + (-w).sigmoid() - 1, (3,)),
    Case("gelu of opposites", lambda w: F.gelu(w) - F.gelu(-w) - w, (3,)),
    Case("circle", lambda w: w.sin() ** 2 + w.cos() ** 2 - 1, (3,)),
    Case("sine is odd, cosine even", lambda w: w.sin() * (-w).cos() + (-w).sin() * w.cos(), (3,)),
    Case("softmax", lambda w: w.softmax(0) - w.exp() / w.exp().sum(0), (3, 2)),
    Case("softmax adds up", lambda w: w.softmax(-1).sum(-1) - 1, (2, 3)),
    Case("softmin", lambda w: F.softmin(w, -1) - (-w).softmax(-1), (3,)),
    Case("log softmax", lambda w: w.log_softmax(-1) - w + w.logsumexp(-1, True), (2, 3)),
    Case("equal arguments", lambda w, x: (w * x).tanh() - (x * w).tanh(), (3,), ((3,),)),
    Case("equal entries", lambda w: torch.cat([w, w]).sigmoid()[3:] - w.sigmoid(), (3,)),
    Case("reciprocal", lambda w: w * w.reciprocal() - 1, (3,)),
    Case("quotient", lambda w, x: w / x * x - w, (3,), ((3,),)),
    Case("negative power", lambda w: w**-3 * w**3 - 1, (3,)),
    Case("root", lambda w: w.sqrt() * w.sqrt() - w, (2,)),
    Case("inverse root", lambda w: w.rsqrt() * w.sqrt() - 1, (2,)),
    Case("half-whole power", lambda w: w**1.5 - w * w.sqrt(), (2,)),
    Case("negative half-whole power", lambda w: w**-2.5 * w**2 * w.sqrt() - 1, (2,)),
    Case("norm", lambda w: w.norm() ** 2 - w.square().sum(), (3,)),
    Case("norm along an axis", lambda w: w.norm(dim=-1) - w.square().sum(-1).sqrt(), (2, 3)),
    Case("normalised", lambda w: F.normalize(w, dim=-1) - w / w.norm(dim=-1, keepdim=True), (1, 3)),
    Case("deviation", lambda w: w.std(-1) ** 2 - w.var(-1), (1, 3)),
    Case("number", lambda w: w.tanh() * 0.3 - 0.3 * w.tanh(), (3,)),
]

NORMS = [
    Case("layer norm", lambda w: F.layer_norm(w, (3,)) - centred(w), (2, 3)),
    Case(
        "layer norm of two axes",
        lambda w: F.layer_norm(w, (2, 2)).flatten(1) - centred(w.flatten(1)),
        (1, 2, 2),
    ),
    Case("layer norm, affine", lambda w: F.layer_norm(w[2:], (3,), *w[:2]) - centred(w[2:]) * w[0] - w[1], (3, 3)),
    Case("rms norm", lambda w: F.rms_norm(w, (3,), eps=1e-6) - root_mean_square(w, 1e-6), (2, 3)),
    Case("rms norm, gain", lambda w: F.rms_norm(w, (3,), w[0], 1e-6) - root_mean_square(w, 1e-6) * w[0], (2, 3)),
    Case("rms norm, machine epsilon", lambda w: F.rms_norm(w, (3,)) - root_mean_square(w, 2**-23), (1, 3)),
    Case("rms norm without epsilon", lambda w: F.rms_norm(w, (3,), eps=0.0) - root_mean_square(w, 0.0), (1, 3)),
    Case("group norm", lambda w: F.group_norm(w, 2).flatten() - centred(w.view(2, 4)).flatten(), (1, 4, 2)),
    Case("one group", lambda w: F.group_norm(w, 1) - F.layer_norm(w, (2, 3)), (1, 2, 3)),
    Case("instance norm", lambda w: F.instance_norm(w) - F.group_norm(w, 2), (1, 2, 3)),
    Case("batch norm", lambda w: F.batch_norm(w, None, None, training=True).T - centred(w.T), (3, 2)),
    Case("frozen batch norm", lambda w: frozen_batch_norm(w) - frozen_batch_norm(w[:1] + w[1:]), (2, 1)),
    Case(
        "weight norm",
        lambda w: torch._weight_norm(w, w[:, :1], 0) - w * (w[:, :1] / w.norm(dim=1, keepdim=True)),
        (2, 3),
    ),
    Case("weight norm of columns", lambda w: torch._weight_norm(w, w[:1], 1) - w * (w[:1] / w.norm(dim=0)), (3, 2)),
]


def frozen_batch_norm(x: Tensor) -> Tensor:
    """A map of each channel that multiplies: running means are zero."""
    return F.batch_norm(x, torch.zeros(1), torch.ones(1)).sum(0, keepdim=True)


ATTENTION = [
    Case("attention", lambda w, x: sdpa(x, x + w, x) - attention(x, x + w, x), (2,), SEQUENCE),
    Case("attention, scaled", lambda w, x: sdpa(x, w * x, x, scale=3.0) - attention(x, w * x, x, 3.0), (2,), SEQUENCE),
    Case(
        "causal", lambda w, x: sdpa(x, w * x, x, is_causal=True) - attention(x, w * x, x, mask=CAUSAL), (2,), SEQUENCE
    ),
    Case(
        "mask of truth values",
        lambda w, x: sdpa(x, w * x, x, attn_mask=CAUSAL) - sdpa(x, w * x, x, is_causal=True),
        (2,),
        SEQUENCE,
    ),
    Case(
        "mask of infinities",
        lambda w, x: sdpa(x, w * x, x, attn_mask=ADDED) - sdpa(x, w * x, x, is_causal=True),
        (2,),
        SEQUENCE,
    ),
    Case(
        "added mask",
        lambda w, x: ((x * w) @ x.mT * 2**-0.5 + LOWEST).softmax(-1) @ x - sdpa(x * w, x, x, is_causal=True),
        (2,),
        SEQUENCE,
    ),
    Case(
        "where",
        lambda w, x: torch.where(CAUSAL, x @ w @ x.mT, -float("inf")).softmax(-1) - dead(x @ w @ x.mT, CAUSAL),
        (2, 2),
        SEQUENCE,
    ),
    Case(
        "mask by tokens",
        lambda w, i: w.masked_fill(i > 1, -float("inf")).softmax(-1) - dead(w, i <= 1),
        (3,),
        ((3, -4),),
    ),
    Case("moved mask", lambda w: w.masked_fill(~CAUSAL, -float("inf")).T.softmax(0) - dead(w, CAUSAL).T, (3, 3)),
    Case(
        "divided mask", lambda w: (w.masked_fill(~CAUSAL, -float("inf")) / 2).softmax(-1) - dead(w / 2, CAUSAL), (3, 3)
    ),
    Case(
        "shared keys",
        lambda w, x: sdpa(x, w, w, enable_gqa=True) - sdpa(x, *[w.repeat_interleave(2, 0)] * 2),
        (1, 3, 2),
        SEQUENCE,
    ),
    Case("dead entries weigh nothing", lambda w: w.masked_fill(~CAUSAL, -float("inf")).softmax(-1)[0, 1:], (3, 3)),
    Case("one live entry", lambda w: w.masked_fill(~CAUSAL, -float("inf")).softmax(-1)[0, 0] - 1, (3, 3)),
    Case("padding", lambda w: F.pad(w.softmax(-1), (1, 1))[::2] * F.pad(torch.zeros(3), (1, 1))[::2], (3,)),
]


def dead(scores: Tensor, alive: Tensor) -> Tensor:
    """Softmax over the live entries only."""
    weights = scores.exp() * alive
    return weights / weights.sum(-1, keepdim=True)


DIFFERENT = [
    Case("tanh of a double", lambda w: (2 * w).tanh() - 2 * w.tanh(), (3,)),
    Case("exp of a sum", lambda w: w.sum().exp() - w.exp().sum(), (3,)),
    Case("sigmoid and tanh", lambda w: w.sigmoid() - w.tanh(), (3,)),
    Case("gelus", lambda w: F.gelu(w) - F.gelu(w, approximate="tanh"), (3,)),
    Case("silu and gelu", lambda w: F.silu(w) - F.gelu(w), (3,)),
    Case("other axis", lambda w: w.softmax(0) - w.softmax(1), (2, 2)),
    Case("layer norm and rms norm", lambda w: F.layer_norm(w, (3,)) - F.rms_norm(w, (3,)), (1, 3)),
    Case("two epsilons", lambda w: F.rms_norm(w, (3,), eps=1e-5) - F.rms_norm(w, (3,), eps=1e-6), (1, 3)),
    Case("no mask", lambda w, x: sdpa(x, w * x, x) - sdpa(x, w * x, x, is_causal=True), (2,), SEQUENCE),
    Case("other scale", lambda w, x: sdpa(x, w * x, x) - sdpa(x, w * x, x, scale=1.0), (2,), SEQUENCE),
    Case("two numbers", lambda w: 0.3 * w - 0.31 * w, (3,)),
    Case("two relus", lambda w: w.relu() - w.relu(), (3,)),
]
