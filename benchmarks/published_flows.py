"""The 60 architectures of Marcotte, Gribonval, Peyre (2024) under momentum and mirror maps: counts against theirs.

    python benchmarks/published_flows.py        # linear and ReLU networks under momentum, factorisations under entropy

Each list of 20 runs with friction 0, constant and 3/t; the factorisations also without momentum. A row counts as right
when the number is the published one and it is proved, explicit laws included. Their runs had friction 0 or 1 only, and
the number of laws of Euclidean momentum does not depend on the friction. Their architectures are written output
dimension first; ours input first.
"""

from __future__ import annotations

import argparse
import json
import time
from fractions import Fraction
from pathlib import Path

from gradlaws import Network, Status, laws

LISTS = json.loads((Path(__file__).parent / "data" / "published_lists.json").read_text())
FRICTIONS = ("momentum:tau=0", f"momentum:tau={Fraction(7, 10)}", "nesterov")


def run(name: str, kind: str, flow: str, expected: list[tuple[list[int], int]]) -> tuple[int, float]:
    """Print one line for each row; returns how many are right and proved, and the seconds together."""
    right, total = 0, 0.0
    for dims, count in expected:
        started = time.perf_counter()
        answer = laws(Network(kind, tuple(reversed(dims))), flow=flow)
        seconds = time.perf_counter() - started
        good = answer.status is Status.PROVED and answer.count.lower == count
        right, total = right + good, total + seconds
        print(
            f"{name:<8} {answer.model:<16} {flow:<32} {answer.count.parameters:>4} variables  "
            f"found {answer.count.lower:>2}  published {count:>2}  {answer.status.value:<8} {seconds:6.3f} s"
            f"{'' if good else '   WRONG'}"
        )
    return right, total


def rows(name: str) -> list[tuple[list[int], int]]:
    """Architecture and published number of laws."""
    return [(row["dims"], row["laws"]) for row in LISTS[name]]


def main() -> None:
    """All lists and the totals."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    factorisations = rows("nmf_mirror_20")
    totals = {"NMF, entropy": run("NMF", "linear", "mirror:entropy", factorisations)}
    for flow in FRICTIONS:
        totals[f"linear, {flow}"] = run("linear", "linear", flow, rows("linear_momentum_20"))
        totals[f"relu, {flow}"] = run("relu", "relu", flow, rows("relu_momentum_20"))
        lost = [(dims, 0) for dims, _ in factorisations]
        totals[f"NMF, {flow}, entropy"] = run("NMF", "linear", f"{flow}:mirror:entropy", lost)
    print()
    for name, (right, seconds) in totals.items():
        print(f"{name:<34} {right} of 20 right and PROVED in {seconds:6.2f} s")
    print(f"{sum(seconds for _, seconds in totals.values()):.1f} s together")
    if any(right < 20 for right, _ in totals.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
