"""``exp(-t A) x`` for many times t at once: the linear flows of graphs and of linearised training.

The Chebyshev vectors ``T_k x`` do not depend on t: they are made once, for the largest time, and every time is one
weighted sum of them (Marcotte, Barbe, Gribonval, Vayer, Sebban, Borgnat, Goncalves 2022). The order comes from the
exact error of the cut series, see `gradlaws.geometry.chebyshev`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradlaws.errors import InputError, TooLargeError
from gradlaws.geometry.chebyshev import Array, orders, reach, weights
from gradlaws.geometry.operators import Interval, Symmetric, certain_interval, likely_interval, read_operator
from gradlaws.progress import Progress

_BLOCK = 8
_LEAST = 4
"""Chebyshev vectors beyond the first that are made in any case, to see whether they grow."""

_GROWTH = 1e-3
_WIDER, _TRIES = 0.1, 20
_LARGEST = 50_000_000
_EXPONENT = 700.0


class _OutsideError(Exception):
    """Chebyshev vectors grow: the spectrum leaves the interval, near `value`."""

    def __init__(self, value: float) -> None:
        super().__init__(value)
        self.value = value


def diffuse(
    operator: Any,
    x: Any,
    times: float | Sequence[float] | Any,
    *,
    tolerance: float = 1e-12,
    spectrum: tuple[float | None, float | None] | None = None,
    on_progress: Progress | None = None,
) -> Any:
    """``exp(-t A) x`` for every time t.

    Args:
        operator: A, symmetric, ``[n, n]``: a scipy sparse matrix, a torch tensor sparse or dense, a numpy array, a
            linear operator (``.shape`` and ``.matvec`` or a call), or a networkx graph, which stands for its
            combinatorial Laplacian with nodes in their order. Symmetry is tested on random vectors.
        x: where it starts, ``[n]`` or ``[n, k]``.
        times: of at least zero, in any order.
        tolerance: each result is this close, in the Euclidean norm, to the exact one, relative to
            ``exp(-t low) |x|``, low the lower end of the spectrum (0 for a Laplacian): proved but for rounding where
            the entries of A are known and it is diagonally dominant, as Laplacians are, or where `spectrum` is right.
        spectrum: an interval that holds the eigenvalues, either end None if unknown. Otherwise it comes from the
            entries, or, where these leave room for negative eigenvalues or are not known, from Lanczos' method, and is
            widened when the Chebyshev vectors grow, the sign that it was too narrow.
        on_progress: hears the name of the stage and the fraction done.

    Returns:
        Float64 ``[len(times), n, k]``, or ``[len(times), n]`` for x ``[n]``; a tensor if x is one, else a numpy array.

    Raises:
        InputError: A is not symmetric, a time is negative, or a number is NaN.
        TooLargeError: the largest time needs millions of products with A.
    """
    read = read_operator(operator)
    start, scales = _start(x, read.size), _times(times)
    if not isinstance(tolerance, int | float) or not 0 < tolerance < 1:
        raise InputError(
            f"a tolerance of {tolerance!r} makes no sense: expected a number between 0 and 1, such as 1e-12"
        )
    given = (None, None) if spectrum is None else _ends(spectrum)
    longest = float(scales.max(initial=0.0))
    interval, sure = _interval(read, given, start, longest)
    for _ in range(1 if sure else _TRIES):
        try:
            result = _series(read, start, scales, interval, tolerance, on_progress)
        except _OutsideError as grown:
            interval = _widened(interval, grown.value, given, longest)
        else:
            shaped = result.reshape(len(scales), *start.shape)
            return torch.from_numpy(shaped).to(x.device) if isinstance(x, torch.Tensor) else shaped
    raise InputError(
        f"the operator has eigenvalues outside [{interval[0]:.6g}, {interval[1]:.6g}]: pass spectrum=(low, high) that "
        "holds them all, or leave it out"
    )


_NARROWEST = 1e-9


def _series(
    read: Symmetric, start: Array, times: Array, interval: Interval, tolerance: float, on_progress: Progress | None
) -> Array:
    """All weighted sums of the Chebyshev vectors, ``[len(times), n * k]``."""
    low, high = interval
    if -low * times.max(initial=0.0) > _EXPONENT:
        raise InputError(
            f"exp(-t A) overflows: eigenvalues reach down to {low:.3g} and times up to {times.max():.3g}; expected "
            "t * eigenvalue above -700; shift the operator, shorten the times, or pass spectrum=(0, None) if it is "
            "positive semidefinite"
        )
    half = max((high - low) / 2, _NARROWEST * max(abs(low), abs(high)))  # rounding alone is no growth
    high = low + 2 * half
    enough = _orders(times * half, tolerance)
    last = max(int(enough.max(initial=0)), _LEAST)
    table = 2 * weights(times * half, last) * np.exp(-low * times)[:, None]
    table[:, 0] /= 2
    table[:, 1::2] *= -1
    vectors = _Vectors(read, start, (low + high) / 2, half)
    result = np.zeros((len(times), start.size))
    for first in range(0, last + 1, _BLOCK):
        block = vectors.next(min(_BLOCK, last + 1 - first))
        active = np.flatnonzero(enough >= first) if first else np.arange(len(times))
        result[active] += table[active, first : first + len(block)] @ block
        if on_progress:
            on_progress("diffusion", (first + len(block)) / (last + 1))
    return result


class _Vectors:
    """``T_k((A - centre) / half) x`` for k = 0, 1, 2, ..., in blocks."""

    def __init__(self, read: Symmetric, start: Array, centre: float, half: float) -> None:
        self._read, self._centre = read, centre
        self._scale = 1 / half if half > 0 else 0.0
        self._size, self._entries = np.linalg.norm(start), start.size
        self._old: Any = None
        self._new: Any = None
        self._start = read.vector(start)

    def next(self, count: int) -> Array:
        """The next `count` of them, ``[count, n * k]``."""
        block = np.empty((count, self._entries))
        for row in block:
            self._old, self._new = self._new, self._start if self._new is None else self._following()
            row[:] = self._read.array(self._new).reshape(-1)
        if not np.linalg.norm(block[-1]) <= (1 + _GROWTH) * self._size:
            raise _OutsideError(self._rayleigh(block[-1]))
        return block

    def _rayleigh(self, grown: Array) -> float:
        """The eigenvalue that made the vector grow, about."""
        image = self._read.array(self._read.apply(self._new)).reshape(-1)
        return float(grown @ image / (grown @ grown))

    def _following(self) -> Any:
        """``T_1 = s T_0``, then ``T_{k+1} = 2 s T_k - T_{k-1}``."""
        factor = self._scale if self._old is None else 2 * self._scale
        moved = self._read.apply(self._new) * factor
        moved -= (self._centre * factor) * self._new
        if self._old is not None:
            moved -= self._old
        return moved


def _widened(interval: Interval, value: float, given: tuple[float | None, float | None], longest: float) -> Interval:
    """With room for an eigenvalue near `value`; a given end stays."""
    low, high = interval
    if value < (low + high) / 2:
        room = 1 / longest if longest else high - low
        return (min(low, value) - room if given[0] is None else low), high
    return low, (max(high, value) + _WIDER * (high - low) if given[1] is None else high)


def _orders(z: Array, tolerance: float) -> NDArray[np.int64]:
    """As in chebyshev, for orders that are in reach."""
    largest = float(z.max(initial=0.0))
    if not np.isfinite(largest) or reach(largest, 1.0) * max(len(z), 100) > _LARGEST:
        raise TooLargeError(
            f"half the spectrum times the largest time is {largest:.1e}, with {len(z)} times: that takes too many "
            "products with the operator; expected shorter times, for at these only the smallest eigenvectors are left"
        )
    return orders(z, tolerance)


def _interval(
    read: Symmetric, given: tuple[float | None, float | None], start: Array, longest: float
) -> tuple[Interval, bool]:
    """Where the spectrum is, and whether that is certain."""
    low, high = given
    if low is not None and high is not None:
        return (low, high), True
    certain = certain_interval(read)
    if certain is not None and (low is not None or certain[0] >= 0):
        low, high = certain[0] if low is None else low, certain[1] if high is None else high
        return (low, max(low, high)), True
    likely = likely_interval(read, start, longest)
    if certain is not None:
        likely = max(likely[0], certain[0]), min(likely[1], certain[1])
    low, high = likely[0] if low is None else low, likely[1] if high is None else high
    return (min(low, high), max(low, high)), False


def _ends(spectrum: Any) -> tuple[float | None, float | None]:
    try:
        low, high = (None if end is None else float(end) for end in spectrum)
    except (TypeError, ValueError):
        raise InputError(f"cannot read spectrum={spectrum!r}: expected (low, high), numbers or None") from None
    if any(end is not None and not np.isfinite(end) for end in (low, high)) or (
        low is not None and high is not None and low > high
    ):
        raise InputError(f"spectrum={spectrum!r} is no interval: expected finite low <= high")
    return low, high


def _start(x: Any, size: int) -> Array:
    try:
        values = x.detach().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x)
    except ValueError:
        raise InputError(f"the rows of x have different lengths: expected [{size}] or [{size}, k]") from None
    if values.dtype.kind not in "biuf":
        raise InputError(f"x has entries of type {values.dtype}: expected real numbers")
    if values.ndim not in (1, 2) or len(values) != size:
        raise InputError(f"x has shape {list(values.shape)}: expected [{size}] or [{size}, k], one row for each node")
    if not np.isfinite(values).all():
        raise InputError("x has entries that are NaN or infinite: expected finite numbers")
    return np.ascontiguousarray(values, dtype=np.float64)


def _times(times: Any) -> Array:
    values = times.detach().cpu().numpy() if isinstance(times, torch.Tensor) else np.asarray(times)
    if values.dtype.kind not in "biuf" or values.ndim > 1:
        if values.size:
            raise InputError("times are not a list of real numbers: expected such as [0.1, 1, 10]")
        values = np.zeros(0)
    values = np.atleast_1d(values).astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError("a time is NaN or infinite: expected finite numbers of at least zero")
    if (values < 0).any():
        raise InputError(
            f"time {values.min():g} is negative: diffusion runs forward, expected times of at least zero; for "
            "exp(+t A) pass -A"
        )
    return values
