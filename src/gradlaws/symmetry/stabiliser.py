"""Which rotations of the hidden states leave the very weights of a radial network where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gradlaws.errors import TooLargeError
from gradlaws.models.radial import RadialNetwork

_MOST = 3000
"""Unknowns of the dense linear system for the maps between invisible parts."""

_TINY = 1e-10
"""Taken for zero, of weights whose norm is one."""


@dataclass(frozen=True, slots=True)
class Stabiliser:
    """The subgroup of the product of O(n) over the hidden vertices that fixes the weights of a point.

    Args:
        dimension: of the group.
        visible: for each hidden vertex the dimension of the part that biases, inputs and outputs reach through the
            weights and their transposes; the group acts on it as the identity.
        invisible: the dimensions of the rest.
        free: whether no arrow joins invisible parts: then the group is the product of O(invisible).
    """

    dimension: int
    visible: Mapping[str, int]
    invisible: Mapping[str, int]
    free: bool

    def __str__(self) -> str:
        """The group in words."""
        factors = [f"O({n})" for n in self.invisible.values() if n] or ["trivial"]
        group = " x ".join(factors)
        return group if self.free else f"a subgroup of dimension {self.dimension} of {group}"


def stabiliser(net: RadialNetwork) -> Stabiliser:
    """The stabiliser of the weights under ``W_e -> Q_target W_e Q_source^-1``, ``b -> Q b``, by numerical ranks.

    An orthogonal Q that fixes all weights and biases also commutes with the transposes, so it fixes everything that
    biases, inputs and outputs reach, going both ways. On the orthogonal complement it is any tuple of orthogonal
    matrices that commutes with the arrows that are left there. So with one hidden layer and
    generic weights it is O(max(0, n_1 - n_0 - 1 - n_2)), and with more hidden layers as a rule trivial. The group
    O(n - n_reduced), published as the stabiliser, only contains it; they are equal at the zero-padded compressed point.

    Raises:
        TooLargeError: the invisible parts are joined by arrows and too large for a dense system.
    """
    theta = {name: _normed(p.detach().to("cpu", torch.float64)) for name, p in net.named_parameters()}
    maps = {arrow: theta[name] for arrow, name in net.arrows.items()}
    seen = _visible(net, maps, {v: theta[name].unsqueeze(1) for v, name in net.offsets.items()})
    rest = {v: _complement(basis) for v, basis in seen.items()}
    left = {(s, t): rest[t].T @ w @ rest[s] for (s, t), w in maps.items() if s in rest and t in rest}
    left = {arrow: w for arrow, w in left.items() if w.numel() and float(w.norm()) > _TINY}
    unknown = {v: n * (n - 1) // 2 for v, n in ((v, basis.shape[1]) for v, basis in rest.items())}
    dimension = sum(unknown.values()) - (_conditions(left, {v: b.shape[1] for v, b in rest.items()}) if left else 0)
    return Stabiliser(
        dimension, {v: b.shape[1] for v, b in seen.items()}, {v: b.shape[1] for v, b in rest.items()}, not left
    )


def _visible(
    net: RadialNetwork, maps: Mapping[tuple[str, str], Tensor], biases: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Orthonormal bases of what biases, inputs and outputs reach at each hidden vertex."""
    seen = {v: torch.zeros(net.dimensions[v], 0, dtype=torch.float64) for v in net.hidden}
    while True:
        before = [b.shape[1] for b in seen.values()]
        for v, basis in list(seen.items()):
            columns = [basis, biases[v]] if v in biases else [basis]
            columns += [w @ seen[s] if s in seen else w for (s, t), w in maps.items() if t == v]
            columns += [w.T @ seen[t] if t in seen else w.T for (s, t), w in maps.items() if s == v]
            seen[v] = _span(torch.cat(columns, 1))
        if [b.shape[1] for b in seen.values()] == before:
            return seen


def _span(columns: Tensor) -> Tensor:
    """An orthonormal basis of the columns together, by singular values."""
    u, values, _ = torch.linalg.svd(columns, full_matrices=False)
    return u[:, : int((values > _TINY * max(columns.shape) ** 0.5).sum())]


def _normed(parameter: Tensor) -> Tensor:
    """Of norm one, unless it is zero: what fixes a multiple fixes the tensor."""
    size = float(parameter.norm())
    return parameter / size if size else parameter


def _complement(basis: Tensor) -> Tensor:
    q, _ = torch.linalg.qr(basis, mode="complete")
    return q[:, basis.shape[1] :]


def _conditions(maps: Mapping[tuple[str, str], Tensor], sizes: Mapping[str, int]) -> int:
    """Rank of ``X -> (X_target W - W X_source)`` on tuples of skew matrices, one for each vertex."""
    starts, total = {}, 0
    for v, n in sizes.items():
        starts[v], total = total, total + n * (n - 1) // 2
    if total > _MOST:
        raise TooLargeError(
            f"the stabiliser has {total} unknowns: expected at most {_MOST}; compress the network first"
        )
    rows = []
    for (s, t), w in maps.items():
        block = torch.zeros(w.numel(), total, dtype=torch.float64)
        for v, act in ((t, lambda x, w=w: x @ w), (s, lambda x, w=w: -w @ x)):
            for k, (i, j) in enumerate(torch.combinations(torch.arange(sizes[v])).tolist()):
                x = torch.zeros(sizes[v], sizes[v], dtype=torch.float64)
                x[i, j], x[j, i] = 1.0, -1.0
                block[:, starts[v] + k] += act(x).flatten()
        rows.append(block)
    return int(torch.linalg.matrix_rank(torch.cat(rows))) if total else 0
