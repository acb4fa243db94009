"""The symmetry behind a law, in one sentence, with a reference where there is one.

A quadratic law ``theta^T A theta`` comes from the transformations ``theta -> exp(t A) theta`` and a linear one from
shifts along its coefficients (Noether's theorem for gradient flow; Kunin et al. 2021, Zhao et al. 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gradlaws.laws.burg import BurgLaw
from gradlaws.laws.decayed import DecayedLaw
from gradlaws.laws.exponential import ExponentialLaw
from gradlaws.laws.gather import GatherLaw
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import Law
from gradlaws.laws.mirror import MirrorLaw
from gradlaws.laws.rational import RationalLaw
from gradlaws.laws.signs import SignLaw
from gradlaws.laws.skew import SkewLaw
from gradlaws.laws.sums import FrozenLaw, SumLaw

_NEURAL_MECHANICS = "Kunin, Sagastuy-Brena, Ganguli, Yamins, Tanaka 2021, arXiv 2012.04728"
_ABIDE = "Marcotte, Gribonval, Peyre 2023, arXiv 2307.00144"
_MOMENTUM = "Marcotte, Gribonval, Peyre 2024, ICML"
_STRUCTURE = "Marcotte, Gribonval, Peyre 2025, arXiv 2506.06194, theorem 2.1"
_TRANSFORMERS = "Marcotte, Gribonval, Peyre 2025, arXiv 2506.06194"

_BENT: dict[type[Law], tuple[str, str]] = {
    MirrorLaw: ("the metric of the mirror map turns it into this", _MOMENTUM),
    DecayedLaw: ("decay shrinks it at a rate that does not depend on the data", _STRUCTURE),
    BurgLaw: ("a rescaling changes the kinetic energy by a constant only", ""),
}
_PLAIN: dict[type[Law], str] = {
    SignLaw: "the gradients of these two are proportional for every data set, so that they move in step",
    RationalLaw: "numerator and denominator change by the same factor",
    ExponentialLaw: "the drift multiplies the polynomial by a number, and nothing else moves it",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a law holds.

    Args:
        symmetry: one sentence.
        reference: author, year and where, or nothing.
    """

    symmetry: str
    reference: str

    def __str__(self) -> str:
        return f"{self.symmetry} ({self.reference})" if self.reference else self.symmetry


def explain(law: Law) -> Explanation:
    """The symmetry of the potential that a law belongs to."""
    if isinstance(law, FrozenLaw) or (isinstance(law, GatherLaw) and _is_single(law)):
        return Explanation("changing these numbers changes nothing that a loss could see", _TRANSFORMERS)
    if isinstance(law, SumLaw) or (isinstance(law, GatherLaw) and law.selection == "linear"):
        return _of_shift(law)
    if isinstance(law, GramLaw | GatherLaw):
        return _of_scaling(law)
    if isinstance(law, SkewLaw):
        return Explanation(f"a rotation that acts on {_together(law)} at once changes nothing", _MOMENTUM)
    if isinstance(law, MirrorLaw | DecayedLaw | BurgLaw):
        words, reference = _BENT[type(law)]
        return Explanation(f"{words}: {explain(law.base).symmetry}", reference)
    return Explanation(
        _PLAIN.get(type(law), "the potential is constant along the flow of the gradient of this polynomial"), ""
    )


def _is_single(law: GatherLaw) -> bool:
    return law.selection == "linear" and len(law.coefficients) == 1


def _of_shift(law: Law) -> Explanation:
    up, down = _sides(law.terms)
    if down:
        return Explanation(f"adding a number to {up} and taking it from {down} cancels", _NEURAL_MECHANICS)
    return Explanation(f"adding one number to all summed entries of {up} changes nothing", _NEURAL_MECHANICS)


def _of_scaling(law: Law) -> Explanation:
    up, down = _sides(law.terms)
    powers = {abs(int(term["coefficient"])) for term in law.terms}
    if not down:
        return Explanation(f"the scale of {up} is divided out again by a normalisation", _NEURAL_MECHANICS)
    if law.kind == "matrix":
        return Explanation(
            f"an invertible matrix on the shared index of {up} is undone by its inverse on {down}", _ABIDE
        )
    if powers == {1}:
        return Explanation(f"scaling {up} by s > 0 is undone by 1/s on {down}", _ABIDE)
    return Explanation(f"scaling {up} by s > 0 is undone by another power of s on {down}", _ABIDE)


def _together(law: SkewLaw) -> str:
    return ", ".join(dict.fromkeys(part.tensor for pair, _ in law.parts for part in pair))


def _sides(terms: tuple[dict[str, Any], ...]) -> tuple[str, str]:
    """Tensors with positive and with negative coefficients."""
    names = [
        list(dict.fromkeys(term["tensor"] for term in terms if (int(term["coefficient"]) > 0) == positive))
        for positive in (True, False)
    ]
    return ", ".join(names[0]), ", ".join(names[1])
