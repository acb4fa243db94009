"""How many of some laws are functionally independent: the rank of their gradients at a random point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.exact import linalg
from gradlaws.exact.field import PrimeField
from gradlaws.flows.flow import Flow
from gradlaws.laws.law import Law, unflatten

_SLACK = 10
_CHUNK_BYTES = 2**27


@dataclass(frozen=True, slots=True)
class Independent:
    """Laws that add to the rank of those before them, and that rank: a proved lower bound of the generic one."""

    laws: tuple[Law, ...]
    rank: int


def independent(laws: Sequence[Law], flow: Flow, field: PrimeField, generator: torch.Generator) -> Independent:
    """Keep the laws whose gradients are not in the span of the others at a random point.

    Of a law and the finer ones that it is a sum of, the finer ones stay. The gradients are never formed: their rank is
    that of their products with random directions.
    """
    total = sum(law.count for law in laws)
    if not total:
        return Independent((), 0)
    point = flow.place(field, generator)
    theta = unflatten(point, flow.state)
    columns = torch.cat(
        [
            torch.cat([law.derivative(theta, direction, field) for law in laws], dim=-1)
            for direction in _directions(flow, point, min(total, flow.dimension) + _SLACK, field, generator)
        ]
    )
    pivots = linalg.echelon(columns, field).pivots.cpu()
    ends = torch.tensor([law.count for law in laws]).cumsum(0)
    owners = torch.searchsorted(ends, pivots, right=True)
    places = [list(range(int(end) - law.count, int(end))) for law, end in zip(laws, ends, strict=True)]
    kept = [i for i in range(len(laws)) if bool((owners == i).any())]
    for i in tuple(kept):
        others = [place for k in kept if k != i for place in places[k]]
        idle = len(others) >= len(pivots) and len(others) + len(places[i]) > len(pivots)
        if idle and linalg.rank(columns[:, others], field) == len(pivots):
            kept.remove(i)
    return Independent(tuple(laws[i] for i in kept), len(pivots))


def _directions(
    flow: Flow, point: Tensor, count: int, field: PrimeField, generator: torch.Generator
) -> Iterator[dict[str, Tensor]]:
    chunk = max(1, _CHUNK_BYTES // (32 * flow.dimension))
    for start in range(0, count, chunk):
        drawn = field.random((min(chunk, count - start), flow.dimension), generator)
        yield unflatten(flow.tangents(point, drawn, field), flow.state)
