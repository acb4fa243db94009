"""Pooling: sums over windows, divided by what torch divides by; maxima are averages with random weights.

Windows are products of intervals, so sums over them are taken axis by axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradlaws.exact.execute import RULES
from gradlaws.exact.formal import RECIPROCAL
from gradlaws.exact.jet import Jet
from gradlaws.exact.rules.structure import apply

Numbers = int | Sequence[int]
Slide = Callable[[Tensor, int], Tensor]
"""Sums over the windows along one axis."""


@dataclass(frozen=True, slots=True)
class Window:
    """Windows along one axis, with the conventions of torch."""

    kernel: int
    stride: int
    padding: int
    dilation: int = 1
    ceil: bool = False

    @property
    def span(self) -> int:
        """Entries from the first to the last of a window."""
        return self.dilation * (self.kernel - 1) + 1

    def outputs(self, length: int) -> int:
        """Number of windows; rounded up, the last one still starts inside the input or its left padding."""
        room = length + 2 * self.padding - self.span
        count = (-(-room // self.stride) if self.ceil else room // self.stride) + 1
        return count - 1 if self.ceil and (count - 1) * self.stride >= length + self.padding else count

    def sums(self, t: Tensor, axis: int) -> Tensor:
        """Sums over the windows along an axis; what lies outside counts as zero."""
        length = t.shape[axis]
        count = self.outputs(length)
        right = max(0, (count - 1) * self.stride + self.span - length - self.padding)
        shape = list(t.shape)
        zeros = [t.new_zeros([*shape[:axis], n, *shape[axis + 1 :]]) for n in (self.padding, right)]
        padded = torch.cat([zeros[0], t, zeros[1]], axis)
        return padded.unfold(axis, self.span, self.stride).narrow(axis, 0, count)[..., :: self.dilation].sum(-1)

    def sizes(self, length: int, padding_counts: bool) -> Tensor:
        """By how much an average over each window is divided."""
        inside = torch.ones(length + 2 * self.padding, dtype=torch.float64)
        if not padding_counts:
            inside[: self.padding] = 0.0
            inside[self.padding + length :] = 0.0
        plain = Window(self.kernel, self.stride, 0, self.dilation)
        missing = (self.outputs(length) - 1) * self.stride + self.span - len(inside)
        return plain.sums(torch.cat([inside, inside.new_zeros(max(0, missing))]), 0)[: self.outputs(length)]


def _along(x: Jet, slides: list[Slide]) -> Jet:
    """Sum over windows of the last axes."""

    def slide(t: Tensor) -> Tensor:
        for i, one in enumerate(slides):
            t = one(t, t.dim() - len(slides) + i)
        return t

    summed: Jet = apply(x, slide)
    return summed


def _each(value: Numbers, axes: int) -> list[int]:
    """One number for each axis, as torch reads its options."""
    numbers = [value] if isinstance(value, int) else list(value)
    return numbers * axes if len(numbers) == 1 else numbers


def _windows(
    axes: int, kernel: Numbers, stride: Numbers, padding: Numbers, dilation: Numbers, ceil: bool
) -> list[Window]:
    options = [_each(value, axes) for value in (kernel, stride or kernel, padding, dilation)]
    return [Window(k, s, p, d, ceil) for k, s, p, d in zip(*options, strict=True)]


def _average(axes: int) -> Callable[..., Jet]:
    def rule(
        site: Any,
        x: Jet,
        kernel: Numbers,
        stride: Numbers = (),
        padding: Numbers = 0,
        ceil: bool = False,
        padding_counts: bool = True,
        divisor: int | None = None,
    ) -> Jet:
        windows = _windows(axes, kernel, stride, padding, 1, ceil)
        sizes = torch.ones((), dtype=torch.float64)
        for window, length in zip(windows, x.shape[-axes:], strict=True):
            sizes = sizes.unsqueeze(-1) * window.sizes(length, padding_counts)
        sizes = torch.full_like(sizes, divisor) if divisor else sizes
        return _along(x, [window.sums for window in windows]) * RECIPROCAL(site.context.jet(sizes))[0]

    return rule


def weighted(site: Any, x: Jet, total: Callable[[Jet], Jet]) -> Jet:
    """A maximum as an average: random weights that add up to one over every window."""
    return total(x * site.choices) * RECIPROCAL(total(site.choices))[0]


def _maximum(axes: int) -> Callable[..., Jet]:
    def rule(
        site: Any,
        x: Jet,
        kernel: Numbers,
        stride: Numbers = (),
        padding: Numbers = 0,
        dilation: Numbers = 1,
        ceil: bool = False,
    ) -> Jet:
        windows = _windows(axes, kernel, stride, padding, dilation, ceil)
        return weighted(site, x, lambda t: _along(t, [window.sums for window in windows]))

    return rule


def _adaptive(count: int) -> Slide:
    """Windows from floor(i n / count) to ceil((i + 1) n / count)."""

    def slide(t: Tensor, axis: int) -> Tensor:
        n = t.shape[axis]
        bounds = [(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
        return torch.stack([t.narrow(axis, a, b - a).sum(axis) for a, b in bounds], axis)

    return slide


def _adaptive_average(axes: int) -> Callable[..., Jet]:
    def rule(site: Any, x: Jet, size: Numbers) -> Jet:
        slides = [_adaptive(n) for n in _each(size, axes)]
        ones = site.context.number(1.0) + x - x
        return _along(x, slides) * RECIPROCAL(_along(ones, slides))[0]

    return rule


def _adaptive_maximum(axes: int) -> Callable[..., tuple[Jet, None]]:
    def rule(site: Any, x: Jet, size: Numbers) -> tuple[Jet, None]:
        slides = [_adaptive(n) for n in _each(size, axes)]
        return weighted(site, x, lambda t: _along(t, slides)), None

    return rule


for _axes in (1, 2, 3):
    RULES |= {
        f"aten.avg_pool{_axes}d": _average(_axes),
        f"aten.max_pool{_axes}d": _maximum(_axes),
        f"aten.adaptive_avg_pool{_axes}d": _adaptive_average(_axes),
        f"aten.adaptive_max_pool{_axes}d": _adaptive_maximum(_axes),
    }
