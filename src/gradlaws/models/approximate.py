"""Radial networks written down, not trained, that approximate a given function everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil, prod

import torch
from torch import Tensor

from gradlaws.errors import InputError, TooLargeError
from gradlaws.models.radial import RadialMLP

Affine = tuple[Tensor, Tensor]

_MOST = 100_000_000
"""Parameters that are still built."""

_WIDEST, _MARGIN, _SAMPLES = 0.9, 0.999, 2000


def approximate(
    f: Callable[[Tensor], Tensor],
    low: Sequence[float],
    high: Sequence[float],
    tolerance: float,
    lipschitz: float,
    *,
    affine: Affine | None = None,
    constant_width: bool = True,
) -> RadialMLP:
    """A Step-ReLU network F with ``|F(x) - f(x)| < tolerance`` for all x, if f is as it is said to be.

    The box is covered by balls of a radius at which f varies by less than the tolerance; each hidden layer collapses
    one ball to a point where it stores the value (Ganev, Laarhoven, Walters 2021, Theorems 3 and 5). Assumed: f has
    the Lipschitz constant, and differs from the affine map by less than the tolerance outside the box. The first is
    tested at random points.

    Args:
        f: from points ``[count, n]`` to values ``[count, m]``, float64.
        low: lower corner of the box.
        high: upper corner.
        tolerance: Euclidean distance of values.
        lipschitz: a bound on ``|f(x) - f(y)| / |x - y|``, in the box and within 0.9 of it.
        affine: ``(A, b)``: f is about ``A x + b`` outside the box; zero if not given.
        constant_width: hidden layers of width n + m + 1; otherwise n + 1, n + 2, ..., one more for each ball.

    Raises:
        InputError: a box, a tolerance or a constant that makes no sense, or f breaks its promise at a random point.
        TooLargeError: too many balls are needed; their number grows as (lipschitz / tolerance)^n.
    """
    corners = torch.tensor([list(map(float, low)), list(map(float, high))], dtype=torch.float64)
    _refuse_box(corners, tolerance, lipschitz)
    n, widest = corners.shape[1], min(_WIDEST, 0.75 * tolerance / lipschitz)
    cells = [max(1, ceil(side * n**0.5 / (2 * widest * _MARGIN))) for side in (corners[1] - corners[0]).tolist()]
    values = _values(f, corners[:1])
    m = values.shape[1]
    _refuse_size(prod(cells), n, m, constant_width)
    centres = _centres(corners, cells)
    step = tolerance / (2 * m**0.5)
    values = (_values(f, centres) / step).round() * step  # a quarter of the tolerance; equal or well apart
    net = from_balls(centres, torch.full((len(centres),), widest), values, affine, constant_width=constant_width)
    random = torch.Generator().manual_seed(0)
    x = corners[0] + (corners[1] - corners[0]) * torch.rand(_SAMPLES, n, generator=random, dtype=torch.float64)
    with torch.no_grad():
        errors = (net(x) - _values(f, x)).norm(dim=1)
    if not bool((errors < tolerance).all()):
        worst = int(errors.nan_to_num(torch.inf).argmax())
        raise InputError(
            f"at {x[worst].tolist()} the error is {float(errors[worst]):.2g}, tolerance {tolerance:g}: f varies faster "
            f"than lipschitz = {lipschitz:g} says; give a larger constant"
        )
    return net


def from_balls(
    centres: Tensor, radii: Tensor, values: Tensor, affine: Affine | None = None, *, constant_width: bool = True
) -> RadialMLP:
    """A Step-ReLU network that is ``values[i]`` on the ball i, less those before it, and the affine map elsewhere.

    Args:
        centres: ``[count, n]``.
        radii: ``[count]``, between 0 and 1.
        values: ``[count, m]``.
        affine: ``(A, b)``, of shapes ``[m, n]`` and ``[m]``; zero if not given.
        constant_width: hidden layers of width n + m + 1; otherwise n + 1, n + 2, ..., one more for each ball.

    Raises:
        InputError: wrong shapes, or radii out of range.
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
    heights = (1 - radii.to(torch.float64) ** 2).sqrt()
    return _assembled((_constant if constant_width else _growing)(c, heights, v, (a, b)))


def _growing(c: Tensor, heights: Tensor, values: Tensor, affine: Affine) -> list[Affine]:
    """Theorem 3: the ball i is moved to ``c_i + e_i``, e_i a new direction each time."""
    count, n = c.shape
    maps: list[Affine] = []
    matrix, offset = torch.eye(n, dtype=c.dtype), torch.zeros(n, dtype=c.dtype)
    for i in range(count):
        width = n + i + 1
        padded = torch.zeros(width, dtype=c.dtype)
        padded[:n] = -c[i]
        padded[-1] = heights[i]
        padded[:-1] += offset
        maps.append((torch.nn.functional.pad(matrix, (0, 0, 0, 1)), padded))
        matrix, offset = torch.eye(width, dtype=c.dtype), torch.zeros(width, dtype=c.dtype)
        matrix[-1, -1] = -1 / heights[i]
        offset[:n], offset[-1] = c[i], 1.0
    a, b = affine
    out = torch.cat([a, (values - c @ a.T - b).T], 1)
    maps.append((out @ matrix, out @ offset + b))
    return maps


def _constant(c: Tensor, heights: Tensor, values: Tensor, affine: Affine) -> list[Affine]:
    """Theorem 5: a state (x, y, t); the ball i is moved to (0, y_i, 1), where y_i stands for its value."""
    (count, n), m = c.shape, values.shape[1]
    a, b = affine
    scale = _gap(values - b) / 2
    y = (values - b) / scale
    eye = torch.eye(n + m + 1, dtype=c.dtype)
    back: Affine = (eye[:, :n], torch.zeros(n + m + 1, dtype=c.dtype))
    maps: list[Affine] = []
    for i in range(count):
        turn, shift = eye.clone(), torch.zeros(n + m + 1, dtype=c.dtype)
        turn[:n, -1], turn[n:-1, -1], turn[-1, -1] = c[i], -y[i], -heights[i]
        shift[:n], shift[-1] = -c[i], heights[i]
        maps.append((turn @ back[0], turn @ back[1] + shift))
        turned, moved = eye.clone(), torch.zeros(n + m + 1, dtype=c.dtype)
        turned[:n, -1], turned[n:-1, -1], turned[-1, -1] = c[i] / heights[i], -y[i] / heights[i], -1 / heights[i]
        moved[n:-1], moved[-1] = y[i], 1.0
        back = (turned, moved)
    out = torch.cat([a, scale * torch.eye(m, dtype=c.dtype), torch.zeros(m, 1, dtype=c.dtype)], 1)
    maps.append((out @ back[0], out @ back[1] + b))
    return maps


def _gap(values: Tensor) -> Tensor:
    """The smallest difference of different values in one coordinate; 1 if all are equal.

    Raises:
        InputError: it is tiny, and the network would have to blow it up.
    """
    gaps = [column.unique().diff() for column in values.T]
    found = torch.cat(gaps)
    found = found[found > 0]
    if not len(found):
        return torch.ones((), dtype=values.dtype)
    if found.min() < 1e-8 * values.abs().max():
        raise InputError(
            f"two values differ by {found.min():.1e} only: expected equal ones or at least 1e-8 of the largest apart; "
            "round them"
        )
    return found.min()


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


def _refuse_box(corners: Tensor, tolerance: float, lipschitz: float) -> None:
    if not (corners.shape[1] and bool((corners[0] < corners[1]).all()) and bool(corners.isfinite().all())):
        raise InputError(f"a box from {corners[0].tolist()} to {corners[1].tolist()}: expected low < high, finite")
    for name, number in (("tolerance", tolerance), ("lipschitz", lipschitz)):
        if not 0 < number < torch.inf:
            raise InputError(f"{name} = {number!r}: expected a positive number")


def _refuse_size(count: int, n: int, m: int, constant_width: bool) -> None:
    if constant_width:
        size = count * (n + m + 1) * (n + m + 2)
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
