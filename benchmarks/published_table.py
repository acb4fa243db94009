"""The 100 architectures of Marcotte, Gribonval, Peyre (2023): every count and list of degree-2 laws, against theirs.

    python benchmarks/published_table.py            # 50 linear and 50 ReLU networks, then 20 lists of polynomials

Their architectures are written output dimension first; ours input first.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from gradlaws import Network, Status, laws

LISTS = json.loads((Path(__file__).parent / "data" / "published_lists.json").read_text())


def network(kind: str, row: dict) -> Network:
    """The network of one row of the published lists."""
    return Network(kind, tuple(reversed(row["dims"])), bias=row.get("bias", False))


def run(kind: str, rows: list[dict], degree: int | None = None) -> tuple[int, float]:
    """Print one line for each row; returns how many are right and proved, and the seconds together."""
    right, total = 0, 0.0
    for row in rows:
        started = time.perf_counter()
        answer = laws(network(kind, row), degree=degree)
        seconds = time.perf_counter() - started
        good = answer.status is Status.PROVED and answer.count.lower == row["laws"]
        right, total = right + good, total + seconds
        print(
            f"{answer.model:<28} {answer.count.parameters:>4} parameters  found {answer.count.lower:>3}  "
            f"published {row['laws']:>3}  {answer.status.value:<8} {seconds:6.3f} s{'' if good else '   WRONG'}"
        )
    return right, total


def main() -> None:
    """Both tables and the totals."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    totals = {}
    for kind in ("linear", "relu"):
        totals[f"{kind}, counts"] = (*run(kind, LISTS[f"{kind}_50"]), 50)
    for kind in ("linear", "relu"):
        totals[f"{kind}, degree 2"] = (*run(kind, LISTS[f"{kind}_10_degree_2"], degree=2), 10)
    print()
    for name, (right, seconds, count) in totals.items():
        print(f"{name:<18} {right} of {count} right and PROVED in {seconds:.2f} s")
    if any(right < count for right, _, count in totals.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
