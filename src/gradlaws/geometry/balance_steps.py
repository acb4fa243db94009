"""What gradient descent with large steps does to the balance of factors, exactly.

For ``f = |A - X Y^T|^2 / 2`` one step changes the law ``X^T X - Y^T Y`` by a product of known terms; steps beyond
2 / L, L the largest curvature, still converge and balance the factors (Wang, Chen, Zhao, Tao 2022). For chains of
factors the gap between any two shrinks as long as the error lasts (Ghosh, Kwon, Wang, Ravishankar, Qu 2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt

from torch import Tensor

from gradlaws.errors import InputError


def law_after_step(x: Tensor, y: Tensor, target: Tensor, step: float) -> Tensor:
    """The law ``X^T X - Y^T Y`` after one step on ``|A - X Y^T|^2 / 2``, ``[r, r]``: an identity, for any step.

    ``X^T X - Y^T Y + h^2 (Y^T E^T E Y - X^T E E^T X)`` with E = A - X Y^T. For vectors, in whose problem mu - x^T y is
    squared, this is ``(1 - h^2 e^2)`` times the law: see `vector_law_after_step`.

    Args:
        x: X, ``[m, r]``.
        y: Y, ``[n, r]``.
        target: A, ``[m, n]``.
        step: h.
    """
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or target.shape != (len(x), len(y)):
        raise InputError(
            f"X {list(x.shape)}, Y {list(y.shape)} and A {list(target.shape)} do not fit: expected [m, r], [n, r] and "
            "[m, n]"
        )
    error = target - x @ y.mT
    moved_x, moved_y = error @ y, error.mT @ x
    return x.mT @ x - y.mT @ y + step**2 * (moved_x.mT @ moved_x - moved_y.mT @ moved_y)


def vector_law_after_step(x: Tensor, y: Tensor, mu: float, step: float) -> float:
    """``|x|^2 - |y|^2`` after one step on ``(mu - x^T y)^2 / 2``: ``1 - h^2 (mu - x^T y)^2`` times what it was."""
    error = mu - float(x @ y)
    return (1 - step**2 * error**2) * float(x.square().sum() - y.square().sum())


def largest_step(x: Tensor, y: Tensor, mu: float) -> float:
    """The threshold of the step below which descent on ``(mu - x^T y)^2 / 2`` from x, y converges, for mu > 0.

    It converges, but for starts of measure zero, where ``q - h mu p < 4 / h - h mu^2`` and ``h mu < 1``, with
    q = |x|^2 + |y|^2 and p = x^T y; derived and tested numerically, and proved as a smooth ellipsoid by Liang and
    Montufar (2025). The root is that of ``mu (mu - p) h^2 + q h - 4``.
    """
    if not mu > 0:
        raise InputError(f"a target of {mu} is not covered: expected mu > 0 (turn the sign of y for a negative one)")
    p, q = float(x @ y), float(x.square().sum() + y.square().sum())
    a = mu * (mu - p)
    inside = q * q + 16 * a
    root = 8 / (q + sqrt(inside)) if inside >= 0 and q + sqrt(inside) > 0 else float("inf")
    return min(root, 1 / mu)


def converges(x: Tensor, y: Tensor, mu: float, step: float) -> bool:
    """Whether descent on ``(mu - x^T y)^2 / 2`` with this step converges from almost every start like this one."""
    return 0 < step < largest_step(x, y, mu)


def chain_gap_after_step(factors: Sequence[float], sigma: float, step: float, pair: tuple[int, int]) -> float:
    """``s_l^2 - s_m^2`` after one step on ``(prod s - sigma)^2 / 2``: an identity, for any step.

    ``(s_l^2 - s_m^2) (1 - h^2 e^2 P^2)`` with e the error and P the product of all other factors.
    """
    first, second = pair
    if first == second or not all(0 <= i < len(factors) for i in pair):
        raise InputError(f"factors {pair} of {len(factors)}: expected two different ones, counted from 0")
    others = prod(s for i, s in enumerate(factors) if i not in pair)
    error = prod(factors) - sigma
    return (factors[first] ** 2 - factors[second] ** 2) * (1 - step**2 * error**2 * others**2)


def balanced_sharpness(depth: int, sigma: float) -> float:
    """The largest curvature at the balanced, and flattest, minimum of a chain of `depth` factors with product sigma.

    ``depth * sigma^(2 - 2 / depth)``; steps beyond two over it never settle.
    """
    if depth < 1 or not sigma > 0:
        raise InputError(
            f"a chain of {depth} factors with product {sigma}: expected at least one, and a positive product"
        )
    return float(depth * sigma ** (2 - 2 / depth))
