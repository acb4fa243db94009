"""Control: in which directions a system can be moved, by the rank of the Lie algebra of its fields.

    python examples/control.py

A system that can be moved in every direction conserves nothing, whatever the controls do: the number of laws is the
dimension of the state less the rank of the Lie algebra (Chow 1939; with a drift, accessibility). A unicycle and a car
with trailers are only held by their geometry; a satellite with one wheel is stuck on a surface if the wheel is aligned
with an axis; two tanks on one pipe keep a combination, up to a factor that tells the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import gradlaws
from gradlaws.flows.fields import vector_fields

Fields = Sequence[Sequence[str]]

# c, s are the cosine and sine of the heading; their relation c^2 + s^2 = 1 is the law that remains
UNICYCLE = (["x", "y", "c", "s"], [["c", "s", "0", "0"], ["0", "0", "-s", "c"]])
# in chained form (Murray, Sastry 1993): two controls, any number of trailers
TRAILERS = (["x1", "x2", "x3", "x4", "x5"], [["1", "0", "x2", "x3", "x4"], ["0", "1", "0", "0", "0"]])
# Euler's equations of a turning body with one wheel, about the third axis or about a skew one
ALIGNED = (["a", "b", "c"], [["b*c", "2*a*c", "-3*a*b"], ["0", "0", "1"]])
SKEW = (["a", "b", "c"], [["b*c", "2*a*c", "-3*a*b"], ["1", "1", "1"]])
# two tanks that drain equally fast, filled by one pipe that splits 1 : 2
TANKS = (["t", "a", "b"], [["1", "-a", "-b"], ["0", "1", "2"]])

SYSTEMS: dict[str, tuple[tuple[list[str], Fields], int]] = {
    "unicycle": (UNICYCLE, 3),
    "car with trailers, chained form": (TRAILERS, 5),
    "satellite with a wheel about an axis": (ALIGNED, 2),
    "satellite with a skew wheel": (SKEW, 3),
    "two tanks, one pipe": (TANKS, 2),
}


def main() -> None:
    """One line for each system, and what it conserves."""
    for name, ((variables, fields), rank) in SYSTEMS.items():
        answer = gradlaws.laws(vector_fields(variables, fields))
        count = answer.count
        levels = len(count.evidence.levels)
        print(f"{name}: rank {count.lie_dimension} of {count.parameters}, brackets up to length {levels}")
        for law in answer.laws or ("nothing",):
            print(f"  conserved: {law if isinstance(law, str) else law.text}")
        if count.lie_dimension != rank or not answer.complete:
            raise SystemExit(f"{name}: expected rank {rank}, all laws found")


if __name__ == "__main__":
    main()
