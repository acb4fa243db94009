"""Which minima of deep linear networks are joined: components, the permutations that lead across, paths without loss.

The minima ``{W_l ... W_1 = Y}``, square and invertible, are one orbit of GL^(l-1), which has two components for each
factor: signs of determinants tell them apart (Zhao, Ganev, Walters, Yu, Dehmamy 2023; Zhao, Walters, Yu 2025).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import prod

import torch
from torch import Tensor

from gradlaws.errors import InputError

_CLOSE = 1e-8


def linear_components(layers: int) -> int:
    """Components of ``{W_l ... W_1 = Y}`` for square matrices and an invertible Y: ``2^(l-1)``, whatever their size.

    The signs of the determinants are free but for their product; permutations of hidden units join those that differ
    by two signs.
    """
    if layers < 1:
        raise InputError(f"{layers} layers: expected at least one")
    return 2 ** (layers - 1)


def residual_components(layers: int, skip: float) -> int:
    """Components of ``{w_l (w_(l-1) ... w_1 + e) = y}``, numbers, y not 0, with a skip e past all layers but the last.

    The last weight is a function of the others, so the minima are those for which ``p = w_(l-1) ... w_1`` is not -e.
    Where p is on the side of 0 they shrink to 0: one component. Beyond -e no weight can vanish, so every choice of
    signs is one: ``1 + 2^(l-2)``, three for l = 3. Without a skip there are ``2^(l-1)``.
    """
    if layers < 2:
        raise InputError(f"{layers} layers: expected at least two, a skip goes past all but the last")
    return 1 + 2 ** (layers - 2) if skip else linear_components(layers)


def residual_component(weights: Sequence[float], skip: float) -> tuple[int, ...]:
    """Signs of the weights below the last that cannot change along minima; points with equal answers are joined.

    Args:
        weights: all layers, the lowest first.
        skip: e; see `residual_components`.

    Raises:
        InputError: fewer than two weights, or one for which no last weight makes a minimum.
    """
    if len(weights) < 2:
        raise InputError(f"{len(weights)} weights: expected at least two, a skip goes past all but the last")
    inner = weights[:-1]
    value = prod(inner) + skip
    if value == 0:
        raise InputError(f"the inner product is -{skip:g}: the last weight sees 0 and nothing but 0 can be reached")
    frozen = skip == 0 or value * skip < 0
    return tuple(1 if w > 0 else -1 for w in inner) if frozen else ()


def component(weights: Sequence[Tensor]) -> tuple[int, ...]:
    """Signs of the determinants of square layers; minima of one target are joined exactly if these are equal.

    Raises:
        InputError: a layer that is not square, of another size than the others, or singular.
    """
    sizes = {tuple(w.shape) for w in weights}
    if len(sizes) != 1 or any(len(s) != 2 or s[0] != s[1] for s in sizes):
        raise InputError(f"layers of shapes {sorted(sizes)}: expected square matrices of one size")
    found = []
    for i, w in enumerate(weights):
        values = torch.linalg.svdvals(w)
        if not float(values[-1]) > 1e-12 * float(values[0]):
            raise InputError(f"layer {i + 1} is singular: it is no minimum of an invertible target")
        found.append(1 if float(torch.linalg.det(w)) > 0 else -1)
    return tuple(found)


def crossing(first: Sequence[Tensor], second: Sequence[Tensor]) -> list[Tensor]:
    """A permutation for each hidden layer that takes the second network into the component of the first.

    Exchanging two units of a hidden layer turns the signs of the two determinants around it over.

    Raises:
        InputError: layers of one unit, which have nothing to exchange; targets of opposite sign; see `component`.
    """
    mine, its = component(first), component(second)
    if len(mine) != len(its):
        raise InputError(f"{len(mine)} layers and {len(its)}: expected as many")
    units = len(first[0])
    orders = []
    for sign in [a * b for a, b in zip(accumulate(mine, _times), accumulate(its, _times), strict=True)][:-1]:
        order = torch.arange(units)
        if sign < 0:
            if units < 2:
                raise InputError("layers of one unit: permutations do not lead to another component")
            order[:2] = order[:2].flip(0)
        orders.append(order)
    if prod(mine) != prod(its):
        raise InputError("the targets have determinants of opposite sign: they are minima of different losses")
    return orders


def permuted(weights: Sequence[Tensor], orders: Sequence[Tensor]) -> list[Tensor]:
    """The network with the units of each hidden layer in another order."""
    if len(orders) != len(weights) - 1:
        raise InputError(f"{len(orders)} permutations for {len(weights)} layers: expected one for each hidden layer")
    ends = [None, *orders, None]
    rows = [w if above is None else w[above] for w, above in zip(weights, ends[1:], strict=True)]
    return [w if below is None else w[:, below] for w, below in zip(rows, ends[:-1], strict=True)]


def linear_path(first: Sequence[Tensor], second: Sequence[Tensor]) -> Callable[[float], list[Tensor]]:
    """A path of networks from the first, at 0, to the second, at 1, along which the product of the layers stays.

    Raises:
        InputError: the products differ, or the networks lie in different components: `crossing` says how to get over.
    """
    mine, its = component(first), component(second)
    ups, others = (list(accumulate(weights, lambda a, b: b @ a)) for weights in (first, second))
    if mine != its:
        raise InputError(
            f"determinants have signs {mine} and {its}: no path of minima joins the two; exchange units first, "
            "permuted(second, crossing(first, second))"
        )
    if not float((ups[-1] - others[-1]).norm()) <= _CLOSE * float(ups[-1].norm()):
        raise InputError("the products of the layers differ: expected two minima of one target")
    ways = [way(b @ torch.linalg.inv(a)) for a, b in zip(ups[:-1], others[:-1], strict=True)]

    def at(t: float) -> list[Tensor]:
        eye = torch.eye(len(first[0]), dtype=first[0].dtype)
        turns = [eye, *(w(t) for w in ways), eye]
        return [g @ w @ torch.linalg.inv(h) for w, g, h in zip(first, turns[1:], turns[:-1], strict=True)]

    return at


def way(g: Tensor) -> Callable[[float], Tensor]:
    """A path of invertible matrices from the identity, at 0, to a matrix of positive determinant, at 1.

    The matrix is a product of rotations of planes and of a triangle with a positive diagonal: angles grow in
    proportion, the triangle along a straight line. Unlike a logarithm it exists for every such matrix.

    Raises:
        InputError: the determinant is not positive, or the matrix is not square.
    """
    if g.dim() != 2 or g.shape[0] != g.shape[1]:
        raise InputError(f"group element of shape {tuple(g.shape)}: expected a square matrix")
    if not float(torch.linalg.det(g)) > 0:
        raise InputError("the determinant is not positive: the matrix lies in another component, no path leads there")
    n, triangle, turns = len(g), g.clone(), list[tuple[int, int, Tensor]]()
    for j in range(n):
        for i in range(j + 1, n):
            angle = torch.atan2(triangle[i, j], triangle[j, j])
            triangle = _rotation(n, j, i, -angle, g) @ triangle
            turns.append((j, i, angle))
    triangle = triangle.triu()

    def at(t: float) -> Tensor:
        found = (1 - t) * torch.eye(n, dtype=g.dtype) + t * triangle
        for j, i, angle in reversed(turns):
            found = _rotation(n, j, i, t * angle, g) @ found
        return found

    return at


def _rotation(n: int, j: int, i: int, angle: Tensor, like: Tensor) -> Tensor:
    found = torch.eye(n, dtype=like.dtype)
    found[j, j] = found[i, i] = angle.cos()
    found[i, j], found[j, i] = angle.sin(), -angle.sin()
    return found


def _times(a: int, b: int) -> int:
    return a * b
