"""The rank of a Jacobian that is never formed: products with random cotangents until they bring nothing new."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.geometry.diffusion import Progress
from gradlaws.geometry.jacobian import Jacobian

_BLOCK = 256
_CHUNK_NUMBERS = 2**25
_SPARE = 10
_CLEAR = 1e3


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A rank in floating point and the singular values it rests on.

    Args:
        rank: how many exceed ``max(shape) * eps`` times the largest (numpy's convention).
        largest: of all.
        last: the smallest that counts; 0 where none does.
        next: the largest that does not; 0 where all do.
    """

    rank: int
    largest: float
    last: float
    next: float

    @property
    def clear(self) -> bool:
        """Whether they fall by a thousand or more there; otherwise the rank is a matter of the threshold."""
        return self.next == 0 or self.last >= _CLEAR * self.next

    def __str__(self) -> str:
        numbers = f"singular values {self.last:.1e} | {self.next:.1e}"
        return numbers if self.clear else f"{numbers}, not clear: use the exact engine"


def rank_of(rows: Tensor) -> Spectrum:
    """The rank of rows ``[N, D]``."""
    values = torch.linalg.svdvals(rows)
    if not len(values) or float(values[0]) == 0:
        return Spectrum(0, 0.0, 0.0, 0.0)
    rank = int((values > values[0] * max(rows.shape) * torch.finfo(values.dtype).eps).sum())
    following = float(values[rank]) if rank < len(values) else 0.0
    return Spectrum(rank, float(values[0]), float(values[rank - 1]), following)


def find_range(jacobian: Jacobian, generator: torch.Generator, on_progress: Progress | None = None) -> Spectrum:
    """Rows of J themselves where they are few, else Gaussian combinations of all, until the rank stops growing."""
    most = min(jacobian.rows, jacobian.columns)
    if jacobian.rows <= min(2 * jacobian.columns, 2 * _BLOCK):
        return rank_of(_pulled(jacobian, torch.eye(jacobian.rows, dtype=torch.float64)))
    basis, triangle = torch.zeros(0, jacobian.columns, dtype=torch.float64), torch.zeros(0, 0, dtype=torch.float64)
    largest = 0.0
    while len(triangle) < most + _SPARE:
        count = min(_BLOCK, most + _SPARE - len(triangle))
        random = torch.randn(count, jacobian.rows, generator=generator, dtype=torch.float64)
        rows = _pulled(jacobian, random)
        largest = max(largest, float(rows.norm(dim=1).max()))
        basis, triangle, rest = _orthogonalised(basis, triangle, rows)
        if on_progress:
            on_progress("Jacobian", len(triangle) / (most + _SPARE))
        if rest <= 1e-13 * largest:
            break
    return rank_of(triangle)


def _orthogonalised(basis: Tensor, triangle: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, float]:
    """An orthonormal basis of all rows so far, their coordinates, and the least of what the new rows added."""
    inside = rows @ basis.T
    rows = rows - inside @ basis
    again = rows @ basis.T
    rows, inside = rows - again @ basis, inside + again
    rest = float(rows.norm(dim=1).min())
    q, r = torch.linalg.qr(rows.T)
    grown = torch.zeros(len(triangle) + len(rows), len(basis) + q.shape[1], dtype=rows.dtype)
    grown[: len(triangle), : len(basis)] = triangle
    grown[len(triangle) :, : len(basis)], grown[len(triangle) :, len(basis) :] = inside, r.T
    return torch.cat([basis, q.T]), grown, rest


def _pulled(jacobian: Jacobian, cotangents: Tensor) -> Tensor:
    """In chunks that fit in memory."""
    chunk = max(1, _CHUNK_NUMBERS // (jacobian.columns + 8 * jacobian.rows))
    return torch.cat([jacobian.pull(part) for part in cotangents.split(chunk)])
