"""Independence of many laws without an elimination: each owns a piece of a tensor that no other one touches.

Take a vanishing combination of gradients. On a piece that only one bundle touches, that bundle's part of it vanishes
alone; if its gradients are independent there, its coefficients are zero, and it can be put aside. What is left is
treated the same way. On a piece with n rows and m columns the diagonal entries of a Gram matrix are independent
wherever no row vanishes, and all its entries wherever the rows are independent, as at a generic point if n <= m.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from gradlaws.laws.contraction import Contraction
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import Law
from gradlaws.laws.sums import FrozenLaw, SumLaw
from gradlaws.models.family import Shapes


def peeled(laws: Sequence[Law], shapes: Shapes) -> tuple[Law, ...]:
    """Laws, in their order, whose gradients are proved to be independent at a generic point.

    Where no bundle owns a piece, the one with the fewest laws is given up.
    """
    rest = [i for i, law in enumerate(laws) if _pieces(law)]
    kept: list[int] = []
    while rest:
        owner = next((i for i in rest if _owns(laws[i], [laws[j] for j in rest if j != i], shapes)), None)
        if owner is None:
            owner = min(rest, key=lambda i: laws[i].count)
        else:
            kept.append(owner)
        rest.remove(owner)
    return tuple(laws[i] for i in sorted(kept))


def _pieces(law: Law) -> tuple[Contraction, ...]:
    """What a law touches; nothing where that is not known."""
    if isinstance(law, FrozenLaw):
        return (law.slices,)
    if isinstance(law, GramLaw | SumLaw):
        return tuple(part for part, _ in law.parts)
    return ()


def _owns(law: Law, others: list[Law], shapes: Shapes) -> bool:
    own = _pieces(law)
    if any(_meet(a, b, shapes) for i, a in enumerate(own) for b in own[:i]):
        return False
    touched = [piece for other in others for piece in _pieces(other)]
    return any(
        _suffices(law, piece, shapes) and not any(_meet(piece, other, shapes) for other in touched) for piece in own
    )


def _suffices(law: Law, piece: Contraction, shapes: Shapes) -> bool:
    """Whether the gradients of a law are independent on one of its pieces."""
    if not isinstance(law, GramLaw) or law.selection == "diagonal":
        return True
    shape = shapes[piece.tensor]
    if law.selection == "trace":
        return True
    taken = piece.length(shape) * (piece.fold[1] if piece.fold else 1)
    numbers = prod(shape) // (shape[piece.axis] if shape else 1) * taken
    return law.width // law.heads <= numbers // law.width


def _meet(a: Contraction, b: Contraction, shapes: Shapes) -> bool:
    """Whether two pieces share an entry; certain only for ranges of one axis."""
    if a.tensor != b.tensor:
        return False
    if a.axis != b.axis:
        return True
    length = shapes[a.tensor][a.axis] if shapes[a.tensor] else 1
    (p, q, _), (r, s, _) = (slice(x.start, x.stop).indices(length) for x in (a, b))
    return p < s and r < q
