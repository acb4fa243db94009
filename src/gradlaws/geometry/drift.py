"""How far the laws go when steps are finite, foretold from the flow."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gradlaws.errors import InputError
from gradlaws.geometry.fields import VelocityField
from gradlaws.geometry.integrate import Trajectory
from gradlaws.laws.law import Law


def predicted_drift(field: VelocityField, laws: Sequence[Law], eta: float, trajectory: Trajectory) -> Tensor:
    """What gradient descent with steps eta does to linear and quadratic laws up to each time, ``[m, laws]``.

    One step changes a quadratic law by exactly ``eta^2 h(g)``, and over a fixed time by ``eta`` times the integral of
    ``h(g)`` along the flow, up to ``O(eta^2)``: the modified flow moves it at the rate ``eta h(g)``. Linear laws do not
    move. The integral is taken by parabolas where times are evenly spaced, else by trapezes: use many times.

    Args:
        field: of the same module and loss.
        laws: of degree 1 or 2, homogeneous.
        eta: the step.
        trajectory: of gradient flow, or of the modified one.
    """
    if any(law.degree > 2 for law in laws):
        raise InputError(
            "the drift of laws of degree 3 and more is not known in closed form: expected linear or quadratic"
        )
    rates = torch.stack([_rates(field, laws, theta) for theta in trajectory.theta])
    return eta * _integral(rates, trajectory.times)


def _rates(field: VelocityField, laws: Sequence[Law], theta: Tensor) -> Tensor:
    g = field.named(field.gradient(theta))
    return torch.cat([law.value(g) * (law.degree == 2) for law in laws])


def _integral(rates: Tensor, times: Tensor) -> Tensor:
    """From the first time to each, by the parabola through three neighbours."""
    gaps = times.diff()[:, None]
    trapezes = gaps * (rates[:-1] + rates[1:]) / 2
    if len(times) > 2 and bool(((gaps - gaps[0]).abs() <= 1e-9 * gaps[0]).all()):
        bend = rates[2:] - 2 * rates[1:-1] + rates[:-2]
        trapezes = trapezes - gaps / 12 * torch.cat([bend[:1], (bend[:-1] + bend[1:]) / 2, bend[-1:]])
    return torch.cat([torch.zeros_like(rates[:1]), trapezes.cumsum(0)])
