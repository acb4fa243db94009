"""Outside truth, frozen in data/ with its citation: counts that this library did not compute."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Case:
    """A network and what is known of it: `lower` explicit laws, `upper` laws in all."""

    spec: str
    parameters: int
    lower: int
    upper: int

    def __str__(self) -> str:
        return self.spec


def counts_7_1() -> list[Case]:
    """The rows of the reference table that describe fully connected networks."""
    rows = _load("counts_7_1.json")["rows"]
    cases = [Case(row["spec"], row["parameters"], row["lower"], row["upper"]) for row in rows]
    assert all(row["parameters"] - row["lie_dimension"] == row["upper"] for row in rows)
    return cases


def published_counts() -> list[Case]:
    """The 50 linear and 50 ReLU architectures whose laws were counted."""
    lists = _load("published_lists.json")
    return _cases("linear", lists["linear_50"]) + _cases("relu", lists["relu_50"])


def published_polynomial() -> list[Case]:
    """The 20 architectures whose laws of degree 2 were computed."""
    lists = _load("published_lists.json")
    return _cases("linear", lists["linear_10_degree_2"]) + _cases("relu", lists["relu_10_degree_2"])


def published_flows() -> list[tuple[str, Case]]:
    """The 20 linear networks under momentum, as published with friction 0, and the factorisations in the entropy."""
    lists = _load("published_lists.json")
    momentum = [("momentum:tau=0", case) for case in _cases("linear", lists["linear_momentum_20"])]
    return momentum + [("mirror:entropy", case) for case in _cases("linear", lists["nmf_mirror_20"])]


def _cases(kind: str, rows: list[dict[str, Any]]) -> list[Case]:
    """The lists have the output dimension first, specs the input width."""
    return [
        Case(
            f"{kind} {'-'.join(map(str, reversed(row['dims'])))}" + " bias" * row.get("bias", False),
            row.get("parameters", 0),
            row["laws"],
            row["laws"],
        )
        for row in rows
    ]


def _load(name: str) -> dict[str, Any]:
    return json.loads((_DATA / name).read_text())
