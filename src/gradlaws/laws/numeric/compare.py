"""The two engines confronted."""

from __future__ import annotations

from gradlaws.errors import ContradictionError, InputError
from gradlaws.laws.count import Count
from gradlaws.laws.numeric.count import NumericCount


def compare(exact: Count, numeric: NumericCount) -> None:
    """Fail loudly where the answers of the exact and the float64 engine exclude each other.

    Laws of the architecture hold at every point and on all data, so a numeric count is never below the exact lower
    bound. It may be above the upper bound only where it answers another question: at the current weights, on given
    data, or with those pieces of piecewise functions only that occur at one point (`NumericCount.pieces`).

    Args:
        exact: from `gradlaws.count`, with the same module, loss and parameters, and ``eps="generic"``.
        numeric: from `numeric_count`.

    Raises:
        ContradictionError: the counts exclude each other.
        InputError: they count laws of different sets of parameters.
    """
    if exact.parameters != numeric.parameters:
        raise InputError(
            f"counts of {exact.parameters} and of {numeric.parameters} parameters cannot be compared: expected "
            "both for the same module and the same `parameters`"
        )
    above = numeric.of_the_architecture and numeric.count > exact.upper
    if above or numeric.count < exact.lower:
        raise ContradictionError(
            f"the engines disagree about {numeric.model}: {numeric.count} laws in floating point (seed {numeric.seed}, "
            f"gap {numeric.gap.ratio:.1e}), but {exact} exactly (seed {exact.evidence.seed}, primes "
            f"{exact.evidence.primes}); please report this with the seeds"
        )
