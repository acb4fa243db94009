"""The QR recursion: how many dimensions of each vertex of a radial network its data ever reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.models.radial import RadialNetwork


@dataclass(frozen=True, eq=False, slots=True)
class Reduction:
    """A radial network in coordinates in which all but the first entries of each hidden state are zero.

    Args:
        bases: orthogonal Q for each hidden vertex, ``[n, n]``, float64.
        dimensions: the reduced dimension of every vertex.
        weights: the reduced network's parameters by name, float64.
    """

    bases: Mapping[str, Tensor]
    dimensions: Mapping[str, int]
    weights: Mapping[str, Tensor]


def reduction(net: RadialNetwork, reveal_rank: bool = False) -> Reduction:
    """Visit the vertices in order and keep the span of what arrives (Ganev, Laarhoven, Walters 2021; Walters 2022).

    A radial map keeps every subspace, so the state of a vertex stays in the span of its bias and of the images of the
    reduced states before it: at most ``min(n, 1 + sum of the reduced dimensions before)`` dimensions, or with
    ``reveal_rank`` the numerical rank of those columns, which is smaller for weights that are not generic.

    Q is a complete QR decomposition of these columns with R's diagonal >= 0; a zero on the diagonal is left as it is.
    (Dividing by the sign of the diagonal, as published code does, wipes out directions where a bias is zero.)
    """
    theta = {name: p.detach().to("cpu", torch.float64) for name, p in net.named_parameters()}
    dimensions, bases = dict(net.dimensions), dict[str, Tensor]()
    weights: dict[str, Tensor] = {}
    for vertex in dimensions:
        blocks = {net.offsets[vertex]: theta[net.offsets[vertex]].unsqueeze(1)} if vertex in net.offsets else {}
        for (source, target), name in net.arrows.items():
            if target == vertex:
                seen = bases[source][:, : dimensions[source]] if source in bases else None
                blocks[name] = theta[name] if seen is None else theta[name] @ seen
        if vertex in net.hidden:
            columns = torch.cat(list(blocks.values()), 1)
            bases[vertex], triangle = frame(columns, reveal_rank)
            dimensions[vertex] = len(triangle)
            blocks = dict(zip(blocks, triangle.split([b.shape[1] for b in blocks.values()], 1), strict=True))
        weights |= {name: b.squeeze(1) if name in net.offsets.values() else b for name, b in blocks.items()}
    return Reduction(bases, dimensions, weights)


def frame(columns: Tensor, reveal_rank: bool = False) -> tuple[Tensor, Tensor]:
    """Orthogonal Q ``[n, n]`` and upper triangular R ``[k, m]`` with ``Q[:, :k] @ R = columns``, diagonal of R >= 0.

    k is ``min(n, m)``, or the numerical rank (at least 1): singular values above ``max(n, m)`` roundings of the
    largest.
    """
    if not reveal_rank:
        q, r = torch.linalg.qr(columns, mode="complete")
        return _positive(q, r[: min(columns.shape)])
    u, values, _ = torch.linalg.svd(columns)
    rank = max(1, int((values > max(columns.shape) * torch.finfo(values.dtype).eps * values[0]).sum()))
    q, r = torch.linalg.qr(u[:, :rank].T @ columns)
    return _positive(torch.cat([u[:, :rank] @ q, u[:, rank:]], 1), r)


def _positive(q: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the columns of Q over whose diagonal entry is negative."""
    diagonal = r.diagonal()
    signs = torch.where(diagonal < 0, -1.0, 1.0).to(q.dtype)
    turned = q.clone()
    turned[:, : len(signs)] *= signs
    return turned, torch.cat([r[: len(signs)] * signs.unsqueeze(1), r[len(signs) :]])
