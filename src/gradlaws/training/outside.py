"""What happens to the weights between two steps of the optimizer, seen in a few entries of every tensor at every step.

An optimizer's step is followed exactly where it is recorded; whoever else writes to the weights does it in between, at
any step. A comparison of some hundred entries of each tensor costs next to nothing, and tells a second update, a
rescaling and a copy of averaged weights apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.training.names import Live
from gradlaws.training.shards import shard

_ENTRIES = 512

Samples = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Outside:
    """A tensor that changed between two steps; all numbers are of the sampled entries that changed.

    Args:
        name: of the tensor.
        size: of the change, relative to the tensor.
        entries: how many changed.
        along: cosine between the change and the optimizer's last update, or the gradient it used, whichever is larger.
        back: cosine between the change and the way back to where the run began.
        scaled: cosine between the change and the tensor.
        factor: that the tensor was multiplied by, if `scaled` is one.
    """

    name: str
    size: float
    entries: int
    along: float
    back: float
    scaled: float
    factor: float


def sample(tensors: Mapping[str, Live]) -> Samples:
    """A copy of at most 512 entries of each tensor, spread evenly."""
    return {name: _some(shard(live.parameter.detach())) for name, live in tensors.items()}


def sample_gradients(tensors: Mapping[str, Live]) -> Samples:
    """The same of the gradients, where there are any."""
    grads = {name: live.parameter.grad for name, live in tensors.items()}
    return {name: _some(shard(g.detach())) for name, g in grads.items() if g is not None and not g.is_sparse}


def same(one: Samples, other: Samples) -> bool:
    """Whether two samples are equal in every entry and not all zero."""
    equal = one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    return equal and any(bool(values.any()) for values in one.values())


def changed(origin: Samples, earlier: Samples, grads: Samples, left: Samples, found: Samples) -> list[Outside]:
    """Tensors that are not as the optimizer left them.

    Args:
        origin: when tracking began.
        earlier: before the last step.
        grads: used in the last step.
        left: after it.
        found: before the next one.
    """
    names = [name for name in found if not torch.equal(left[name], found[name])]
    seen = (
        _outside(name, grads.get(name), *(x[name].double() for x in (origin, earlier, left, found))) for name in names
    )
    return [event for event in seen if event is not None]


def cosine(a: Tensor, b: Tensor) -> float:
    """Of the angle between two arrays, 0 where one of them is zero."""
    sizes = float(a.norm() * b.norm())
    return float((a * b).sum()) / sizes if sizes else 0.0


def _outside(
    name: str, grad: Tensor | None, origin: Tensor, earlier: Tensor, left: Tensor, found: Tensor
) -> Outside | None:
    step = found - left
    if not bool(step.isfinite().all()):
        return None  # a diverged run is not surgery
    where = step != 0
    if not bool(where.any()):
        return None
    delta, theta = step[where], left[where]
    square = float(theta.square().sum())
    along = cosine(delta, (left - earlier)[where])
    downhill = 0.0 if grad is None else abs(cosine(delta, grad.double()[where]))
    return Outside(
        name,
        size=float(step.norm()) / (float(left.norm()) or 1.0),
        entries=len(delta),
        along=max(along, downhill, key=abs),
        back=cosine(delta, (origin - left)[where]),
        scaled=cosine(delta, theta),
        factor=1 + float((delta * theta).sum()) / square if square else 1.0,
    )


def _some(x: Tensor) -> Tensor:
    flat = x.reshape(-1)
    stride = -(-flat.numel() // _ENTRIES) | 1  # odd: it runs through all columns of a matrix of even width
    return flat[::stride][:_ENTRIES].clone()
