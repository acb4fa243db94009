"""The number of laws of a torch module in float64: its own forward pass, reverse over reverse mode, singular values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from tests.oracles.along import along
from tests.oracles.float_count import extend

_SPARE = 12
_DEEPEST = 4

Field = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Setting:
    """A module at one point, and the shape of its input; classes: whether cotangents add up to zero."""

    module: nn.Module
    shape: tuple[int, ...]
    classes: bool

    def velocity(self, x: Tensor, c: Tensor) -> Field:
        """Gradient of ``<c, f(theta, x)>``."""
        named = {name: p.shape for name, p in self.module.named_parameters() if p.requires_grad}

        def potential(theta: Tensor) -> Tensor:
            pieces = theta.split([prod(shape) for shape in named.values()])
            weights = {name: piece.view(shape) for (name, shape), piece in zip(named.items(), pieces, strict=True)}
            out = functional_call(self.module, weights, (x,), strict=False)
            return (self._restricted(c.view(out.shape)) * out).sum()

        return grad(potential)

    def _restricted(self, c: Tensor) -> Tensor:
        return c - c.mean(-1, keepdim=True) if self.classes else c


def count_laws(module: nn.Module, shape: tuple[int, ...], classes: bool = False, seed: int = 0) -> int:
    """D minus the dimension of the Lie algebra at a random point; raises AssertionError where it is not clear-cut."""
    random = torch.Generator().manual_seed(seed)
    module = module.double()
    setting = Setting(module, shape, classes)
    dimension = sum(p.numel() for p in module.parameters() if p.requires_grad)
    theta = torch.randn(dimension, generator=random, dtype=torch.float64)
    outputs = module(torch.ones(shape, dtype=torch.float64)).numel()
    span = theta.new_empty(0, dimension)
    for length in range(1, _DEEPEST + 1):
        count = dimension - len(span) + _SPARE
        xs, cs = (torch.randn(count, length, n, generator=random).double() for n in (prod(shape), outputs))
        rows = vmap(lambda x, c: _bracket(setting, theta, list(x), list(c))(theta))(xs, cs)
        grown = extend(span, rows)
        if len(grown) in (len(span), dimension):
            return dimension - len(grown)
        span = grown
    raise AssertionError(f"no stagnation up to length {_DEEPEST}")


def _bracket(setting: Setting, theta: Tensor, xs: list[Tensor], cs: list[Tensor]) -> Field:
    """``[X_k, [..., [X_2, X_1]]]`` of fields of length one at theta."""
    x, c = xs[-1].view(setting.shape), cs[-1]
    plain = setting.velocity(x, c)
    size = plain(theta).norm()
    last = lambda at: plain(at) / size  # noqa: E731
    if len(xs) == 1:
        return last
    inner = _bracket(setting, theta, xs[:-1], cs[:-1])
    return lambda at: along(inner, at, last(at))[1] - along(last, at, inner(at))[1]
