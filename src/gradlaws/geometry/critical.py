"""How many flat families of critical points a wide two-layer network has, because its units can be exchanged.

A network of r distinct units is written in m >= r units by giving units copies, which share their outgoing weight, and
by adding groups of equal units whose outgoing weights add up to zero. Each way of labelling the m units gives an affine
subspace of parameters with one function (Simsek, Ged, Jacot, Spadaro, Hongler, Gerstner, Brea 2021). Assumed: the units
are distinct, and the activation makes no further identities (odd and even ones do).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb, factorial, prod

import torch
from torch import Tensor

from gradlaws.errors import InputError


@dataclass(frozen=True, slots=True)
class Expansion:
    """The subspaces with groups of these sizes.

    Args:
        copies: for each of the r units how many times it occurs, in order.
        zeros: sizes of the groups whose outgoing weights add up to zero, ascending.
    """

    copies: tuple[int, ...]
    zeros: tuple[int, ...]

    @property
    def units(self) -> int:
        """The width m."""
        return sum(self.copies) + sum(self.zeros)

    @property
    def subspaces(self) -> int:
        """How many ways there are to choose the units of each group; groups of zeros have no names."""
        named = factorial(self.units) // prod(map(factorial, (*self.copies, *self.zeros)))
        return named // prod(factorial(self.zeros.count(size)) for size in set(self.zeros))

    def dimension(self, inputs: int, outputs: int) -> int:
        """Of each subspace, for units with that many incoming and outgoing weights; a bias counts as incoming."""
        groups = len(self.copies) + len(self.zeros)
        return (self.units - groups) * outputs + len(self.zeros) * inputs


def critical_subspaces(r: int, m: int) -> int:
    """G(r, m): subspaces of critical points of width m that come from one critical point of r distinct units.

    These are the ways to make each of m units a copy of one of r, each of which occurs.

    Raises:
        InputError: not 1 <= r <= m.
    """
    _refuse(r, m)
    return _onto(r, m)


def minimum_subspaces(r: int, m: int) -> int:
    """T(r, m): subspaces of global minima of width m, where r units are the fewest that reach the minimum.

    Raises:
        InputError: not 1 <= r <= m.
    """
    _refuse(r, m)
    return sum(comb(m, u) * _onto(r, m - u) * _partitions(u) for u in range(m - r + 1))


def expansions(r: int, m: int) -> tuple[Expansion, ...]:
    """All sizes of groups; their subspaces together are T(r, m), those without zeros G(r, m).

    Raises:
        InputError: not 1 <= r <= m.
    """
    _refuse(r, m)
    return tuple(
        Expansion(copies, zeros)
        for spare in range(m - r + 1)
        for copies in _compositions(r, m - spare)
        for zeros in _ascending(spare, 1)
    )


def expand(
    incoming: Tensor, outgoing: Tensor, labels: Sequence[int], generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """A random point of one subspace: the same function in more units.

    Args:
        incoming: weights and biases of the r units, ``[r, inputs]``.
        outgoing: their weights to the outputs, ``[outputs, r]``.
        labels: for each new unit the unit 0, ..., r - 1 that it copies; a larger number is the name of a group of equal
            units, drawn at random, whose outgoing weights add up to zero.
        generator: source of the point.

    Returns:
        Weights ``[m, inputs]`` and ``[outputs, m]``.

    Raises:
        InputError: shapes that do not fit, a unit without a copy, or a negative label.
    """
    r = len(incoming)
    if incoming.dim() != 2 or outgoing.dim() != 2 or outgoing.shape[1] != r:
        raise InputError(
            f"expected weights [r, inputs] and [outputs, r], got {list(incoming.shape)} and {list(outgoing.shape)}"
        )
    if min(labels, default=-1) < 0 or not set(range(r)) <= set(labels):
        raise InputError(f"labels {list(labels)}: expected each of 0 to {r - 1} at least once, and no negative number")
    wide_in = incoming.new_empty(len(labels), incoming.shape[1])
    wide_out = outgoing.new_empty(len(outgoing), len(labels))
    for label in set(labels):
        group = [i for i, other in enumerate(labels) if other == label]
        unit = incoming[label] if label < r else torch.randn(incoming.shape[1], generator=generator).to(incoming)
        total = outgoing[:, label] if label < r else outgoing.new_zeros(len(outgoing))
        parts = torch.randn(len(outgoing), len(group), generator=generator).to(outgoing)
        wide_in[group] = unit
        wide_out[:, group] = parts + ((total - parts.sum(1)) / len(group)).unsqueeze(1)
    return wide_in, wide_out


def _refuse(r: int, m: int) -> None:
    if not 1 <= r <= m:
        raise InputError(f"a network of {r} distinct units in {m} units: expected 1 <= r <= m")


def _onto(r: int, m: int) -> int:
    """Maps of m things onto r, by inclusion and exclusion."""
    return sum((-1) ** (r - i) * comb(r, i) * i**m for i in range(r + 1))


def _partitions(u: int) -> int:
    """Ways to part u things into groups (Bell)."""
    return sum(_onto(j, u) // factorial(j) for j in range(u + 1))


def _compositions(parts: int, total: int) -> Iterator[tuple[int, ...]]:
    """Positive numbers in order with a given sum."""
    if parts == 1:
        yield (total,)
        return
    for first in range(1, total - parts + 2):
        yield from ((first, *rest) for rest in _compositions(parts - 1, total - first))


def _ascending(total: int, least: int) -> Iterator[tuple[int, ...]]:
    """Positive numbers with a given sum, each at least as large as the one before."""
    if not total:
        yield ()
    for first in range(least, total + 1):
        yield from ((first, *rest) for rest in _ascending(total - first, first))
