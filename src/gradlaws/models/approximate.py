"""Radial networks written down, not trained, that approximate a given function everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil, prod
from typing import Literal

import torch
from torch import Tensor

from gradlaws.errors import InputError, TooLargeError
from gradlaws.models.collapse import Affine, compact, constant, growing, narrow
from gradlaws.models.radial import RadialMLP

Widths = Literal["constant", "growing", "compact", "narrow"]

_MOST = 100_000_000
"""Parameters that are still built."""

_WIDTHS: tuple[Widths, ...] = ("constant", "growing", "compact", "narrow")
_WIDEST, _MARGIN, _SAMPLES = 0.9, 0.999, 2000


def approximate(
    f: Callable[[Tensor], Tensor],
    low: Sequence[float],
    high: Sequence[float],
    tolerance: float,
    lipschitz: float | None = None,
    *,
    affine: Affine | None = None,
    widths: Widths = "constant",
) -> RadialMLP:
    """A Step-ReLU network F with ``|F(x) - f(x)| < tolerance``, if f is as it is said to be; built, not trained.

    The box is covered by balls in which f varies by less than the tolerance; hidden layers collapse one ball after the
    other to a point where its value is stored (Ganev, van Laarhoven, Walters 2021, Theorems 3 and 5). Assumed: f has
    the Lipschitz constant, which is tested at random points; and for all x outside the box, with ``constant`` and
    ``growing``, f differs from the affine map by less than the tolerance.

    Args:
        f: from points ``[count, n]`` to values ``[count, m]``, float64.
        low: lower corner of the box.
        high: upper corner.
        tolerance: Euclidean distance of values.
        lipschitz: a bound on ``|f(x) - f(y)| / |x - y|``, in the box and within 0.9 of it. Where it is not given, it
            is estimated, and raised until no random point has a larger error than the tolerance.
        affine: ``(A, b)``: f is about ``A x + b`` outside the box; zero if not given.
        widths: of the hidden layers: ``constant`` n + m + 1; ``growing`` n + 1, n + 2, ..., one more for each ball;
            ``compact`` max(n, m) + 1, for x in the box only; ``narrow`` max(n, m), two or three layers for each ball,
            for x in the box only, if that is at least 2 and n at most 3.

    Raises:
        InputError: a box, a tolerance or a constant that makes no sense, or f breaks its promise at a random point.
        TooLargeError: too many balls are needed; their number grows as (lipschitz / tolerance)^n.
    """
    corners = torch.tensor([list(map(float, low)), list(map(float, high))], dtype=torch.float64)
    _refuse_box(corners, tolerance, lipschitz)
    constant_ = _slope(f, corners) if lipschitz is None else lipschitz
    while True:
        net = _covered(f, corners, tolerance, constant_, affine, widths)
        worst, error = _worst(net, f, corners)
        if error < tolerance:
            return net
        if lipschitz is not None:
            raise InputError(
                f"at {worst} the error is {error:.2g}, tolerance {tolerance:g}: f varies faster than lipschitz = "
                f"{lipschitz:g} says; give a larger constant"
            )
        constant_ *= 2


def _covered(
    f: Callable[[Tensor], Tensor],
    corners: Tensor,
    tolerance: float,
    lipschitz: float,
    affine: Affine | None,
    widths: Widths,
) -> RadialMLP:
    """Balls around the cells of a grid, with the values at their centres."""
    n, widest = corners.shape[1], min(_WIDEST, 0.75 * tolerance / lipschitz)
    cell = 2 * widest * _MARGIN / n**0.5
    cells = [max(1, ceil(side / cell)) for side in (corners[1] - corners[0]).tolist()]
    m = _values(f, corners[:1]).shape[1]
    _refuse_size(prod(cells), n, m, widths)
    if widths == "narrow" and n > 3:
        raise InputError(f"widths 'narrow' with {n} inputs: expected at most 3, balls around a grid hold other centres")
    if widths == "narrow":  # equal sides, so that no ball holds a second centre
        middle, reach = corners.mean(0), cell * torch.tensor(cells, dtype=torch.float64) / 2
        corners = torch.stack([middle - reach, middle + reach])
    centres = _centres(corners, cells)
    step = tolerance / (2 * m**0.5)
    values = (_values(f, centres) / step).round() * step  # a quarter of the tolerance; equal or well apart
    return from_balls(centres, torch.full((len(centres),), widest), values, affine, widths=widths)


def _slope(f: Callable[[Tensor], Tensor], corners: Tensor) -> float:
    """The largest slope between random points close to each other, and half as much again."""
    random = torch.Generator().manual_seed(1)
    x = corners[0] + (corners[1] - corners[0]) * torch.rand(
        _SAMPLES, corners.shape[1], generator=random, dtype=torch.float64
    )
    y = x + 1e-3 * (corners[1] - corners[0]) * torch.randn(x.shape, generator=random, dtype=torch.float64)
    found = (_values(f, x) - _values(f, y)).norm(dim=1) / (x - y).norm(dim=1)
    return 1.5 * float(found.max()) or 1.0


def _worst(net: RadialMLP, f: Callable[[Tensor], Tensor], corners: Tensor) -> tuple[list[float], float]:
    """Where the error is largest among random points of the box, and how large."""
    random = torch.Generator().manual_seed(0)
    n = corners.shape[1]
    x = corners[0] + (corners[1] - corners[0]) * torch.rand(_SAMPLES, n, generator=random, dtype=torch.float64)
    with torch.no_grad():
        errors = (net(x) - _values(f, x)).norm(dim=1).nan_to_num(torch.inf)
    worst = int(errors.argmax())
    return x[worst].tolist(), float(errors[worst])


def from_balls(
    centres: Tensor, radii: Tensor, values: Tensor, affine: Affine | None = None, *, widths: Widths = "constant"
) -> RadialMLP:
    """A Step-ReLU network that is ``values[i]`` on the ball i, less those before it, and the affine map elsewhere.

    Args:
        centres: ``[count, n]``.
        radii: ``[count]``, between 0 and 1.
        values: ``[count, m]``.
        affine: ``(A, b)``, of shapes ``[m, n]`` and ``[m]``; zero if not given.
        widths: see `approximate`; with ``compact`` and ``narrow`` nothing is meant elsewhere, and there is no affine
            map.

    Raises:
        InputError: wrong shapes, radii out of range, an affine map that cannot be kept, or with ``narrow`` n = m = 1 or
            a centre in another ball.
    """
    (count, n), m = _shape(centres, "centres"), _shape(values, "values")[1]
    matrix, offset = affine or (torch.zeros(m, n), torch.zeros(m))
    shapes = [tuple(t.shape) for t in (radii, values, matrix, offset)]
    if not count or shapes != [(count,), (count, m), (m, n), (m,)]:
        raise InputError(
            f"radii, values, A and b have shapes {shapes}: expected {[(count,), (count, m), (m, n), (m,)]}, count >= 1"
        )
    if not bool(((radii > 0) & (radii < 1)).all()):
        raise InputError(f"radii from {radii.min():g} to {radii.max():g}: expected numbers between 0 and 1")
    c, v, a, b = (t.to(torch.float64) for t in (centres, values, matrix, offset))
    if widths not in _WIDTHS:
        raise InputError(f"unknown widths {widths!r}: expected one of {', '.join(_WIDTHS)}")
    if affine is not None and widths in ("compact", "narrow"):
        raise InputError(f"widths {widths!r} keep no affine map outside the balls: expected constant or growing")
    r = radii.to(torch.float64)
    heights = (1 - r**2).sqrt()
    if widths == "narrow":
        return _assembled(narrow(c, r, v))
    if widths == "compact":
        return _assembled(compact(c, heights, v))
    return _assembled((constant if widths == "constant" else growing)(c, heights, v, (a, b)))


def _assembled(maps: list[Affine]) -> RadialMLP:
    widths = [maps[0][0].shape[1], *(len(offset) for _, offset in maps)]
    with torch.random.fork_rng():
        net = RadialMLP(widths, "step_relu", dtype=torch.float64)
    with torch.no_grad():
        for layer, (matrix, offset) in zip(net.layers, maps, strict=True):
            layer.get_parameter("weight").copy_(matrix)
            layer.get_parameter("bias").copy_(offset)
    return net


def _centres(corners: Tensor, cells: Sequence[int]) -> Tensor:
    """Middles of the cells that a box is cut into."""
    axes = [
        low + (high - low) * (torch.arange(k, dtype=torch.float64) + 0.5) / k
        for low, high, k in zip(*corners, cells, strict=True)
    ]
    return torch.cartesian_prod(*axes).reshape(-1, len(cells))


def _values(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    found = f(x)
    if not (isinstance(found, Tensor) and found.dim() == 2 and len(found) == len(x) and bool(found.isfinite().all())):
        given = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise InputError(f"f returned {given} for {len(x)} points: expected finite values of shape ({len(x)}, m)")
    return found.to(torch.float64)


def _refuse_box(corners: Tensor, tolerance: float, lipschitz: float | None) -> None:
    if not (corners.shape[1] and bool((corners[0] < corners[1]).all()) and bool(corners.isfinite().all())):
        raise InputError(f"a box from {corners[0].tolist()} to {corners[1].tolist()}: expected low < high, finite")
    for name, number in (("tolerance", tolerance), ("lipschitz", lipschitz)):
        if number is not None and not 0 < number < torch.inf:
            raise InputError(f"{name} = {number!r}: expected a positive number")


def _refuse_size(count: int, n: int, m: int, widths: Widths) -> None:
    width = {"constant": n + m + 1, "compact": max(n, m) + 1, "narrow": max(n, m)}.get(widths)
    if width is not None:
        size = count * (1 + (widths == "narrow")) * width * (width + 1)
    else:
        size = sum((a + 1) * b for a, b in pairwise(range(n, n + count + 1))) if count < 10_000 else count**3 // 3
    if size > _MOST:
        raise TooLargeError(
            f"{count:,} balls are needed, about {size:,} parameters: expected at most {_MOST:,}; take a larger "
            "tolerance or a smaller box"
        )


def _shape(points: Tensor, name: str) -> tuple[int, int]:
    if points.dim() != 2:
        raise InputError(f"{name} have shape {tuple(points.shape)}: expected two axes")
    return points.shape[0], points.shape[1]
