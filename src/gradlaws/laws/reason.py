"""Why the bounds of a count do not meet, in words."""

from __future__ import annotations

from gradlaws.flows.flow import Flow
from gradlaws.laws.closure import Closure, memory_needed
from gradlaws.models.family import Family
from gradlaws.models.network import Network

UNASKED = "no upper bound was asked for"


def why_open(subject: Family | Flow, lower: int, closure: Closure | None) -> tuple[str, ...]:
    """One sentence where the bounds differ; nothing where they meet."""
    if closure is None:
        need = memory_needed(subject.dimension) / 2**30
        return (
            f"no upper bound at this size: the closure in dimension {subject.dimension} needs about {need:.0f} GiB",
        )
    if closure.upper == lower:
        return ()
    if not closure.stagnated:
        return (f"the closure was stopped after brackets of length {len(closure.levels)} with rank still growing",)
    missing = closure.upper - lower
    sentence = (
        f"brackets of length {len(closure.levels)} add nothing, so {missing} more independent "
        f"{'law exists' if missing == 1 else 'laws exist'} near a generic point (Frobenius), but not in a form "
        "that was searched"
    )
    if isinstance(subject, Network) and subject.activation == "linear" and subject.widths.count(1) > 1:
        sentence += "; a linear chain between two layers of width 1 moves along one field and keeps non-polynomial laws"
    return (sentence,)
