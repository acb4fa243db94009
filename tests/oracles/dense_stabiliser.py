"""The Lie algebra of a stabiliser as the kernel of one dense matrix: slow, and nothing is assumed of its shape."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch


def dense_dimension(net: Any) -> int:
    """Tuples of skew matrices X with X_target W - W X_source = 0 and X b = 0, counted."""
    theta = {name: p.detach() for name, p in net.named_parameters()}
    columns = []
    for vertex in net.hidden:
        for i, j in combinations(range(net.dimensions[vertex]), 2):
            x = torch.zeros(net.dimensions[vertex], net.dimensions[vertex], dtype=torch.float64)
            x[i, j], x[j, i] = 1.0, -1.0
            moved = []
            for (source, target), name in net.arrows.items():
                change = torch.zeros_like(theta[name])
                if target == vertex:
                    change = change + x @ theta[name]
                if source == vertex:
                    change = change - theta[name] @ x
                moved.append(change.flatten())
            for target, name in net.offsets.items():
                moved.append(x @ theta[name] if target == vertex else torch.zeros_like(theta[name]))
            columns.append(torch.cat(moved))
    matrix = torch.stack(columns, 1)
    return matrix.shape[1] - int(torch.linalg.matrix_rank(matrix, rtol=1e-10))
