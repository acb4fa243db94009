"""Why the bounds of a count do not meet, in words."""

from __future__ import annotations

from gradlaws.laws.closure import Closure, memory_needed
from gradlaws.models.family import Family
from gradlaws.models.network import Network


def why_open(family: Family, lower: int, closure: Closure | None) -> tuple[str, ...]:
    """One sentence where the bounds differ; nothing where they meet."""
    if closure is None:
        need = memory_needed(family.dimension) / 2**30
        return (
            f"no upper bound at this size: the closure of {family.dimension} parameters needs about {need:.0f} GiB",
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
    if isinstance(family, Network) and family.activation == "linear" and family.widths.count(1) > 1:
        sentence += "; a linear chain between two layers of width 1 moves along one field and keeps non-polynomial laws"
    return (sentence,)
