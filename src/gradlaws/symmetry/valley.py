"""Valleys: curves and families of equal loss from the group, ensembles along them, facts about connectivity."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gradlaws.errors import InputError
from gradlaws.symmetry.coupling import Coupling, State
from gradlaws.symmetry.teleport import along


def curve(state: State, groups: Sequence[Coupling], logs: Sequence[Tensor], times: Sequence[float]) -> list[State]:
    """The states ``exp(t log g) . state``: a curve of equal function through the state at t = 0."""
    return [along(state, groups, [t * log for log in logs]) for t in times]


def members(
    module: nn.Module, groups: Sequence[Coupling], count: int, *, scale: float = 1.0, seed: int = 0
) -> list[State]:
    """So many points of the orbit of a module, at random logarithms of this size; all compute the same function.

    Logarithms are normal, hence symmetric about the module; every coordinate has standard deviation `scale` divided by
    the square root of its block.
    """
    if count < 1:
        raise InputError(f"count {count}: expected at least one member")
    random = torch.Generator().manual_seed(seed)
    state = {name: p.detach() for name, p in module.named_parameters()}
    found = []
    for _ in range(count):
        logs = [scale * torch.randn(g.shape, generator=random, dtype=torch.float64) / _root(g) for g in groups]
        found.append(along(state, groups, logs))
    return found


def _root(group: Coupling) -> float:
    return sqrt(group.shape[-1]) if len(group.shape) > 1 else 1.0


def ensemble(module: nn.Module, states: Sequence[State], x: Tensor) -> Tensor:
    """Average output of a module over several states of its parameters.

    Along symmetries of the function it is the output of the module itself: an ensemble gains only with states that
    agree on some data and differ elsewhere, as those of `gradlaws.symmetry.data_action`.
    """
    if not states:
        raise InputError("an ensemble needs at least one member")
    with torch.no_grad():
        return torch.stack([functional_call(module, state, (x,)) for state in states]).mean(0)


def connected(g: Tensor) -> Tensor:
    """A real logarithm of a matrix of positive determinant without negative eigenvalues: a path ``exp(t log g)`` to it.

    Matrices of negative determinant lie in the other component of GL: no path leads there.

    Raises:
        InputError: there is no real logarithm of this kind; the message says why.
    """
    if g.dim() != 2 or g.shape[0] != g.shape[1]:
        raise InputError(f"group element of shape {tuple(g.shape)}: expected a square matrix")
    if not float(torch.linalg.det(g)) > 0:
        raise InputError("the determinant is not positive: the matrix lies in another component, no path leads there")
    values, vectors = torch.linalg.eig(g.to(torch.float64))
    if bool(((values.imag.abs() < 1e-12) & (values.real <= 0)).any()):
        raise InputError("the matrix has negative eigenvalues: join it by a product of two exponentials instead")
    log = vectors @ torch.diag(values.log()) @ torch.linalg.inv(vectors)
    if float((torch.linalg.matrix_exp(log.real) - g).norm()) > 1e-8 * float(g.norm()):
        raise InputError("the matrix cannot be diagonalised accurately: join it by a product of two exponentials")
    return log.real


def linear_components(layers: int) -> int:
    """Components of ``{W_l ... W_1 = Y}`` for square matrices and an invertible Y of positive determinant: ``2^(l-1)``.

    The signs of the determinants are free but for their product (Zhao et al. 2023); permutations of hidden units join
    those that differ by two signs.
    """
    if layers < 1:
        raise InputError(f"{layers} layers: expected at least one")
    return 2 ** (layers - 1)


def midpoint_factor(m: float, degree: int = 1) -> float:
    """Loss halfway between ``(W_2, W_1)`` and ``(m^-k W_2, m W_1)``, as a multiple of ``|Y|^2``, for degree k.

    ``(1 - 2^-(k+1) (1 + m^-k) (1 + m)^k)^2``: unbounded in m, although a path of zero loss joins the two. Stated for
    every m in the literature; for a leaky ReLU it needs m > 0.
    """
    if not m > 0:
        raise InputError(f"m = {m}: expected a positive number, an activation is homogeneous for those only")
    return float((1 - 2.0 ** -(degree + 1) * (1 + m**-degree) * (1 + m) ** degree) ** 2)


def chord_deviation(distance: float, curvature: float) -> float:
    """How far the chord of a curve of at most this curvature strays from it: ``(1 - sqrt(1 - (k d / 2)^2)) / k``."""
    if not curvature > 0 or not 0 <= curvature * distance <= 2:
        raise InputError(f"distance {distance} and curvature {curvature}: expected their product between 0 and 2")
    return (1 - sqrt(1 - (curvature * distance / 2) ** 2)) / curvature


def curvature(first: Tensor, second: Tensor) -> float:
    """Of a curve with these derivatives: ``sqrt(|a|^2 |b|^2 - (a.b)^2) / |a|^3``."""
    a, b = first.double(), second.double()
    area = float(a.dot(a) * b.dot(b) - a.dot(b) ** 2)
    return sqrt(max(area, 0.0)) / float(a.norm()) ** 3
