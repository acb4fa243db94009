"""Valleys: curves and families of equal loss from the group, ensembles along them, how far chords stray from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import pi, sqrt

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gradlaws.errors import InputError
from gradlaws.symmetry.along import Action, along
from gradlaws.symmetry.group_action import State


def curve(state: State, groups: Sequence[Action], logs: Sequence[Tensor], times: Sequence[float]) -> list[State]:
    """The states ``exp(t log g) . state``: a curve of equal function through the state at t = 0."""
    return [along(state, groups, [t * log for log in logs]) for t in times]


def members(
    module: nn.Module, groups: Sequence[Action], count: int, *, scale: float = 1.0, seed: int = 0
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
        found.append(along(state, groups, [log.to(next(iter(state.values())).device) for log in logs]))
    return found


def _root(group: Action) -> float:
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
        raise InputError(
            "the matrix has negative eigenvalues and no such logarithm: gradlaws.symmetry.connectivity.way leads to it"
        )
    log = vectors @ torch.diag(values.log()) @ torch.linalg.inv(vectors)
    if float((torch.linalg.matrix_exp(log.real) - g).norm()) > 1e-8 * float(g.norm()):
        raise InputError("the matrix cannot be diagonalised accurately: gradlaws.symmetry.connectivity.way leads to it")
    return log.real


def midpoint_factor(m: float, degree: int = 1) -> float:
    """Loss halfway between ``(W_2, W_1)`` and ``(m^-k W_2, m W_1)``, as a multiple of ``|Y|^2``, for degree k.

    ``(1 - 2^-(k+1) (1 + m^-k) (1 + m)^k)^2``: unbounded in m, although a path of zero loss joins the two. Stated for
    every m in the literature; for a leaky ReLU it needs m > 0.
    """
    if not m > 0:
        raise InputError(f"m = {m}: expected a positive number, an activation is homogeneous for those only")
    return float((1 - 2.0 ** -(degree + 1) * (1 + m**-degree) * (1 + m) ** degree) ** 2)


@dataclass(frozen=True, slots=True)
class Chord:
    """A curve ``exp(t log g) . state`` of equal loss for t in [0, 1], and the straight line between its ends.

    Args:
        distance: of the ends.
        length: of the curve.
        curvature: the largest, at the points that were looked at.
        deviation: how far the line can stray from the curve: `chord_deviation` of the two; infinity where the curve
            is so long or so curved that this says nothing.
        strays: how far it does, measured in its middle from the points of the curve.
    """

    distance: float
    length: float
    curvature: float
    deviation: float
    strays: float

    def loss_bound(self, lipschitz: float) -> float:
        """By how much the loss on the line can differ from that of the valley, for a loss with this constant there."""
        return lipschitz * self.deviation

    def __str__(self) -> str:
        """One line."""
        return (
            f"ends {self.distance:.3g} apart, length {self.length:.3g}, curvature {self.curvature:.3g}: the chord "
            f"strays {self.strays:.2g}, at most {self.deviation:.2g}"
        )


def chord(state: State, groups: Sequence[Action], logs: Sequence[Tensor], points: int = 33) -> Chord:
    """Measure a curve of a valley and its chord, by exact derivatives at some points.

    Args:
        state: named parameters, where the curve starts.
        groups: what moves along it.
        logs: of the element at the other end, one for each group.
        points: on the curve, at equal distances in t.

    Raises:
        InputError: fewer than three points, or a curve that stays where it is.
    """
    if points < 3:
        raise InputError(f"{points} points: expected at least three, the ends and the middle")

    def at(t: Tensor) -> Tensor:
        return torch.cat([x.double().flatten() for x in along(state, groups, [t * log for log in logs]).values()])

    times = torch.linspace(0, 1, points, dtype=torch.float64)
    where, curved, speeds = [], list[float](), list[float]()
    for t in times:
        place, first, second = _derivatives(at, t)
        if not float(first.norm()) > 0:
            raise InputError("the curve stays where it is: expected a logarithm that moves something")
        where.append(place)
        speeds.append(float(first.norm()))
        curved.append(curvature(first, second))
    distance, most = float((where[-1] - where[0]).norm()), max(curved)
    length = float(torch.trapezoid(torch.tensor(speeds, dtype=torch.float64), times))
    short = most * distance < 2 and most * length <= pi
    straight = most * distance < 1e-12
    bound = 0.0 if straight else chord_deviation(distance, most) if short else float("inf")
    middle = (where[0] + where[-1]) / 2
    strays = min(_from_segment(middle, a, b) for a, b in pairwise(where))
    return Chord(distance, length, most, bound, strays)


def _derivatives(at: Callable[[Tensor], Tensor], t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value, first and second derivative of a curve."""
    one = torch.ones_like(t)

    def slope(t: Tensor) -> Tensor:
        return torch.autograd.functional.jvp(at, t, one, create_graph=True)[1]

    first, second = torch.autograd.functional.jvp(slope, t, one)
    return at(t).detach(), first.detach(), second.detach()


def _from_segment(x: Tensor, a: Tensor, b: Tensor) -> float:
    """Distance of a point from the segment between two others."""
    step = b - a
    share = ((x - a).dot(step) / step.dot(step)).clamp(0, 1)
    return float((x - a - share * step).norm())


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
