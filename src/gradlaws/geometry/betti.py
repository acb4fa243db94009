"""Betti numbers of the invariant sets of ReLU networks of any depth.

In squares of the weights the invariant set H is a convex polyhedron P, and H is P once for each choice of signs, glued
where a weight is zero. The group of signs acts on the chains of H; its characters split the rational homology into
``H_*(P, P_w)``, one for each set w of weights, P_w the part of P where one of them is zero (Davis 1987). P is
contractible and P_w a union of convex faces, so up to homotopy it is the complex K_w of those sets of weights in w that
can vanish together (nerve theorem):

    b_k(H) = sum over w of dim H~_{k-1}(K_w)

By Hochster's formula that is the sum of row k of the Betti table of the ideal of the minimal cuts (`cuts`), computed
here over the rationals from Lyubeznik's resolution (1988). Where the cuts are disjoint H is a product of spheres up to
homotopy; that is the case of two layers (Nurisso, Leroy, Vaccarino 2024), and of every network where no unit with c < 0
lies below one with c > 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from random import Random

from torch import Tensor

from gradlaws.errors import InputError
from gradlaws.geometry.cuts import MOST_UNITS, Cuts, minimal_cuts
from gradlaws.laws.count import Status

MOST_CELLS = 100_000
"""Sets of cuts of one part, up to which their resolution is taken."""

_ORDERS = 5

_LONGEST = 100_000

Polynomial = Counter[int]
"""Coefficients by degree."""


@dataclass(frozen=True, slots=True)
class Betti:
    """Rational Betti numbers of an invariant set.

    Args:
        lower: each is at least this; proved.
        exact: whether they are equal, all of them.
        evidence: what that rests on, or why more is not known.
    """

    lower: tuple[int, ...]
    exact: bool
    evidence: str

    @property
    def status(self) -> Status:
        """PROVED if they are known, BOUNDED from below otherwise."""
        return Status.PROVED if self.exact else Status.BOUNDED

    @property
    def numbers(self) -> tuple[int, ...] | None:
        """b_0, b_1, ..., if known."""
        return self.lower if self.exact else None

    def __str__(self) -> str:
        return f"{'' if self.exact else 'at least '}{_shown(self.lower)}, {self.status.value} ({self.evidence})"


def invariant_betti(
    widths: Sequence[int], biased: Sequence[bool], values: Sequence[Tensor], frozen: Sequence[tuple[int, int, int]]
) -> Betti:
    """Betti numbers of the invariant set of a ReLU network.

    Args:
        widths: input first.
        biased: of each layer of weights, whether it has biases.
        values: c, for each hidden layer.
        frozen: layer, row and column of the weights that are nowhere zero, see `components.frozen_places`.
    """
    spheres = _product(widths, biased, values)
    if spheres is not None:
        return _answer(_spheres(spheres), True, "a product of spheres, one for each unit with c != 0")
    units = sum(map(len, values))
    if units <= MOST_UNITS:
        cuts = minimal_cuts(widths, biased, values)
        found = by_cuts(cuts)
        if found is not None:
            return _answer(found, True, f"the ideal of its {len(cuts.minimal)} minimal cuts")
        largest = max(map(len, cuts.parts()))
        why = f"open: {largest} minimal cuts that meet, in more than {MOST_CELLS:,} ways"
    else:
        why = f"open: {units} hidden units, more than {MOST_UNITS}, whose signs of c have no closed form"
    return _answer(_least(widths, biased, values, frozen), False, f"{why}; b_0 is exact")


def betti_numbers(inner: int, outer: int, positive: int, negative: int) -> tuple[int, ...]:
    """Betti numbers of the product of the quadrics ``|w|^2 - |a|^2 = c`` of two-layer networks.

    Args:
        inner: d, weights into a unit, its bias included.
        outer: e, weights out of it.
        positive: units with c > 0, each a sphere of dimension d - 1 up to homotopy.
        negative: units with c < 0, each a sphere of dimension e - 1; those with c = 0 are contractible.
    """
    for number, least in ((inner, 1), (outer, 1), (positive, 0), (negative, 0)):
        if not isinstance(number, int) or number < least:
            raise InputError(f"{(inner, outer, positive, negative)} are no sizes: expected d, e > 0 and counts >= 0")
    return _dense(_spheres([inner] * positive + [outer] * negative))


def by_cuts(cuts: Cuts) -> Polynomial | None:
    """The Poincare polynomial: the product over groups of cuts without a common edge; None where one is too large."""
    total = Polynomial({0: 1})
    for part in cuts.parts():
        cells = _cells(part)
        if cells is None:
            return None
        total = _times(total, _resolved(cuts, cells))
    return total


def _cells(part: Sequence[int]) -> dict[int, int] | None:
    """The cells of Lyubeznik's resolution, sets of cuts as bits, with the union of each; None if they are too many.

    With the cuts in some order, a set is one if no cut before its first lies in its union, nor one before its second in
    the union without the first, and so on. Small cuts first is often good.
    """
    order = sorted(part, key=int.bit_count)
    for seed in range(_ORDERS):
        cells, waiting = {0: 0}, [(0, 0, len(order))]
        while waiting and len(cells) <= MOST_CELLS:
            chosen, union, first = waiting.pop()
            for i in range(first):
                more = union | order[i]
                if all(other & ~more for other in order[:i]):
                    cells[chosen | 1 << i] = more
                    waiting.append((chosen | 1 << i, more, i))
        if not waiting:
            return cells
        order = list(part)
        Random(seed).shuffle(order)
    return None


def _resolved(cuts: Cuts, cells: dict[int, int]) -> Polynomial:
    """``sum t^(size of w - i)`` over Tor_i in degree w: homology of the cells, one block for each union w of cuts."""
    found, pivots = Polynomial(), dict[int, dict[int, int | Fraction]]()
    for chosen, edges in cells.items():
        degree, column = cuts.weight(edges) - chosen.bit_count(), _boundary(chosen, cells)
        while column and (pivot := max(column)) in pivots:
            _eliminate(column, pivots[pivot], pivot)
        if column:
            pivots[max(column)] = column
            found[degree + 1] -= 1  # it kills a cycle of one cut less in the same block
        else:
            found[degree] += 1
    return +found


def _boundary(chosen: int, cells: dict[int, int]) -> dict[int, int | Fraction]:
    """Sets of one cut less with the same union, with their signs."""
    column, sign, left = dict[int, int | Fraction](), 1, chosen
    while left:
        face = chosen ^ (left & -left)
        if cells[face] == cells[chosen]:
            column[face] = sign
        sign, left = -sign, left & left - 1
    return column


def _eliminate(column: dict[int, int | Fraction], other: dict[int, int | Fraction], pivot: int) -> None:
    """Subtract a multiple of another column so that the pivot vanishes."""
    ratio = Fraction(column[pivot]) / other[pivot]
    factor = ratio.numerator if ratio.denominator == 1 else ratio
    for row, x in other.items():
        value = column.get(row, 0) - factor * x
        if value:
            column[row] = value
        else:
            del column[row]


def _product(widths: Sequence[int], biased: Sequence[bool], values: Sequence[Tensor]) -> list[int] | None:
    """Sizes of the cuts where they are those around single units, else None.

    The lowest units of a set that swallows on balance are then swallowing ones, and weights into them enter the set.
    """
    swallowing = [i for i, c in enumerate(values) if bool((c > 0).any())]
    shedding = [i for i, c in enumerate(values) if bool((c < 0).any())]
    still = len(values) > 1 and any(bool((c == 0).any()) for c in values)
    if still or (swallowing and shedding and max(swallowing) > min(shedding)):
        return None
    sizes = []
    for i, c in enumerate(values):
        sizes += [widths[i] + biased[i]] * int((c > 0).sum()) + [widths[i + 2]] * int((c < 0).sum())
    return sizes


def _least(
    widths: Sequence[int], biased: Sequence[bool], values: Sequence[Tensor], frozen: Sequence[tuple[int, int, int]]
) -> Polynomial:
    """A product of spheres that the invariant set retracts to homologically: a bound from below.

    Leaving out weights from w only leaves out terms of the sum. Of each layer of weights, all those into its swallowing
    units are kept, or all those out of the shedding units below it. The only cuts among these are around single units,
    if the other layer of units is not swallowing, or shedding, as a whole.
    """
    sizes, rest = [], list(frozen)
    for i in range(len(widths) - 1):
        into = widths[i] + biased[i] if i < len(values) else 0
        swallowing = values[i] > 0 if i < len(values) else None
        shedding = values[i - 1] < 0 if i else None
        gain = [0, 0]
        if swallowing is not None and (i == 0 or not bool(swallowing.all())):
            gain[0] = int(swallowing.sum())
        if shedding is not None and (i == len(values) or not bool(shedding.all())):
            gain[1] = int(shedding.sum())
        better = gain[0] >= gain[1]
        sizes += [into if better else widths[i + 1]] * max(gain)
        if not max(gain):
            continue
        kept = swallowing if better else shedding
        assert kept is not None
        rest = [at for at in rest if at[0] != i or not bool(kept[at[1] if better else at[2]])]
    return _spheres(sizes + [1] * len(rest))


def _spheres(sizes: Sequence[int]) -> Polynomial:
    """Of a product of spheres, each in a space of so many dimensions."""
    total = Polynomial({0: 1})
    for size, number in Counter(sizes).items():
        total = _times(total, Polynomial(_powers(size, number)))
    return total


def _powers(size: int, number: int) -> dict[int, int]:
    """``(1 + t^(size - 1))^number``."""
    return {0: 2**number} if size == 1 else {i * (size - 1): comb(number, i) for i in range(number + 1)}


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
    total = Polynomial()
    for i, x in a.items():
        for j, y in b.items():
            total[i + j] += x * y
    return total


def _dense(polynomial: Polynomial) -> tuple[int, ...]:
    return tuple(polynomial[k] for k in range(max(polynomial) + 1))


def _answer(polynomial: Polynomial, exact: bool, evidence: str) -> Betti:
    if max(polynomial) > _LONGEST:
        return Betti((polynomial[0],), False, f"{evidence}; only b_0 is listed of more than {_LONGEST:,} numbers")
    return Betti(_dense(polynomial), exact, evidence)


def _shown(numbers: Sequence[int]) -> str:
    """All of them, or the first that are not zero."""
    if len(numbers) <= 12:
        return " ".join(map(str, numbers))
    some = [f"b_{k} = {b}" for k, b in enumerate(numbers) if b]
    return ", ".join(some[:6]) + (f" and {len(some) - 6} more" if len(some) > 6 else "")
