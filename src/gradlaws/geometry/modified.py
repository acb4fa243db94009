"""What steps of finite size do to laws: the modified flow that gradient descent follows, and the drift it predicts.

Gradient descent of step size eta follows, up to order eta^3 a step, the flow of ``L + (eta/4) |grad L|^2`` (Barrett,
Dherin 2021). Heavy ball of momentum beta follows, after a short transient and in time eta * steps, that of
``(1 / (1 - beta)) (L + eta (1 + beta) / (4 (1 - beta)^2) |grad L|^2)``. The mean of an epoch over random orders of its
batches follows that of ``L + (eta/4) mean_k |grad L_k|^2`` (Smith, Dherin, Barrett, De 2021).

A law h of gradient flow, ``<grad h, grad L> = 0``, moves along a modified flow, for ``|grad L|^2`` is not invariant
under rescaling: ``h' = (eta/2) g^T H_h g``, H_h its Hessian, which for a quadratic law is ``eta h(g)``. That is of
order eta^2 for each step, but over a fixed time the drift is of order eta.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradlaws.errors import InputError, UnclearError
from gradlaws.geometry.integrate import Trajectory, follow, read_times
from gradlaws.geometry.motion import GradientMotion
from gradlaws.geometry.objective import Array, Loss, Objective
from gradlaws.geometry.projection import Projection
from gradlaws.geometry.steps import Method
from gradlaws.laws.law import Law
from gradlaws.progress import Progress

_METHOD = Method("DOP853", 1e-9, 1e-12)


def modified_flow(
    model: nn.Module,
    loss: Loss | Sequence[Loss],
    times: float | Sequence[float] | Any,
    *,
    eta: float,
    beta: float = 0.0,
    method: Method = _METHOD,
    on_progress: Progress | None = None,
) -> Trajectory:
    """Follow the modified flow of gradient descent; the module is left as it is.

    Args:
        model: as for `gradlaws.geometry.integrate.integrate`; twice differentiable in its parameters, or nearly.
        loss: one, or the losses of the batches of an epoch, whose mean is L.
        times: eta times the number of steps; increasing, one number t stands for ``[0, t]``.
        eta: step size that the flow imitates.
        beta: momentum, of one loss.
        method: of integration.
        on_progress: hears the name of the flow and the fraction of time done.

    Returns:
        A Trajectory. Where gradient descent goes to after K steps is at the time K eta, up to order eta^2.

    Raises:
        InputError: eta is not positive, beta not in [0, 1), or as for `integrate`.
        UnclearError: the flow cannot be followed.
    """
    _check(eta, beta)
    if beta and isinstance(loss, Sequence):
        raise InputError("the modified flow of batches is known without momentum: leave out beta, or pass one loss")
    return follow(_modified(Objective(model, loss), eta, beta), read_times(times), method, (), on_progress)


@dataclass(frozen=True, eq=False, slots=True)
class LawDrift:
    """How far one law goes in gradient descent, found in four ways; float64 ``[count]``.

    Args:
        law: of gradient flow.
        measured: change of the law in a real descent.
        identity: the exact recursion, from the gradients of that descent; None for laws of degree above 2.
        predicted: without any descent: `modified`, plus, without momentum, ``(eta/2) (r(0) - r(T))`` with r the rate at
            which the law moves there, for descent adds up rates at the beginning of each step (Euler, Maclaurin). That
            leaves an error of order eta^3 over a fixed time.
        modified: change of the law along the modified flow, right to order eta.
        leading: eta times the integral of ``(1/2) g^T H_h g`` along gradient flow, with momentum times
            ``(1 + beta) / (1 - beta)^3``: what the others tend to for small eta.
    """

    law: Law
    measured: Tensor
    identity: Tensor | None
    predicted: Tensor
    modified: Tensor
    leading: Tensor

    def __str__(self) -> str:
        size = {name: float(getattr(self, name).abs().max()) for name in ("measured", "predicted", "leading")}
        told = ", ".join(f"{name} {x:.4g}" for name, x in size.items())
        return f"{self.law.text}: largest drift {told}"


def descent_drift(
    model: nn.Module,
    loss: Loss,
    laws: Sequence[Law],
    *,
    eta: float,
    steps: int,
    beta: float = 0.0,
    on_progress: Progress | None = None,
) -> tuple[LawDrift, ...]:
    """Train a copy by gradient descent, and compare how far its laws went with what the modified flow says.

    Args:
        model: left as it is; a float64 copy is trained by ``torch.optim.SGD``.
        loss: of the copy, on the same data at each step.
        laws: of gradient flow, which is tested.
        eta: step size.
        steps: how many.
        beta: momentum.
        on_progress: hears a name and the fraction done.

    Returns:
        One LawDrift for each law.

    Raises:
        InputError: a number makes no sense, or as for `integrate`.
        UnclearError: descent diverges, or the flow cannot be followed.
    """
    _check(eta, beta)
    if not (isinstance(steps, int) and steps > 0):
        raise InputError(f"{steps!r} steps make no sense: expected a whole number of at least 1")
    objective = Objective(model, loss)
    if not laws:
        return ()
    Projection(GradientMotion(objective), laws, 0.0, objective.start, 1.0)  # refuses what is no law of gradient flow
    measured, identity = _descend(objective, laws, eta, beta, steps, on_progress)
    times = np.array([0.0, eta * steps])
    along = follow(_modified(objective, eta, beta), times, _METHOD, (), on_progress)
    leading = _leading(objective, laws, beta, times) * (eta * (1 + beta) / (1 - beta) ** 3)
    ends = torch.zeros_like(measured)
    if not beta:
        first, last = (_rate(objective, laws, state) for state in along.states)
        ends = eta**2 / 2 * (first - last)
    sizes = [law.count for law in laws]
    parts = zip(*(x.split(sizes) for x in (measured, identity, ends, leading)), strict=True)
    return tuple(
        LawDrift(law, seen, exact if law.degree <= 2 else None, along.drift(law)[-1] + end, along.drift(law)[-1], limit)
        for law, (seen, exact, end, limit) in zip(laws, parts, strict=True)
    )


def bend(law: Law, theta: Mapping[str, Tensor], along: Mapping[str, Tensor]) -> Tensor:
    """``(1/2) v^T H_h v`` for a direction v, ``[count]``: for quadratic laws h(v), for linear ones zero.

    Args:
        law: h.
        theta: where its Hessian is taken.
        along: v.
    """
    with torch.inference_mode(False), torch.enable_grad():
        s = torch.zeros((), dtype=torch.float64, requires_grad=True)
        slope = law.derivative({name: x + s * along[name] for name, x in theta.items()}, along)
        if not slope.requires_grad:
            return torch.zeros_like(slope)
        weights = torch.zeros_like(slope, requires_grad=True)
        (pulled,) = torch.autograd.grad(slope, s, weights, create_graph=True, materialize_grads=True)
        if not pulled.requires_grad:
            return torch.zeros_like(slope).detach()
        return torch.autograd.grad(pulled, weights, materialize_grads=True)[0] / 2


def _modified(objective: Objective, eta: float, beta: float) -> GradientMotion:
    return GradientMotion(objective, penalty=eta * (1 + beta) / (4 * (1 - beta) ** 2), speed=1 / (1 - beta))


def _values(laws: Sequence[Law], point: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([law.value(point).reshape(-1) for law in laws])


def _bends(objective: Objective, laws: Sequence[Law], theta: Array, along: Array) -> Tensor:
    at, direction = objective.point(theta), objective.point(along)
    return torch.cat([bend(law, at, direction) for law in laws])


def _rate(objective: Objective, laws: Sequence[Law], theta: Array) -> Tensor:
    """``(1/2) g^T H_h g``: the rate of all laws along the modified flow, divided by eta."""
    return _bends(objective, laws, theta, objective.gradient(theta))


def _descend(
    objective: Objective, laws: Sequence[Law], eta: float, beta: float, steps: int, on_progress: Progress | None
) -> tuple[Tensor, Tensor]:
    """Change of all laws, and what their recursion says.

    With u the update of a step and ``q = (1/2) u^T H_h u``: ``p <- beta p + q``, ``h <- h + p_new + beta p_old``.
    """
    theta = torch.as_tensor(objective.start).clone().requires_grad_()
    optimizer = torch.optim.SGD([theta], lr=eta, momentum=beta)
    first = _values(laws, objective.point(objective.start))
    told, p = torch.zeros_like(first), torch.zeros_like(first)
    for k in range(steps):
        before = theta.detach().clone()
        theta.grad = torch.as_tensor(objective.gradient(before.numpy()))
        optimizer.step()
        if not bool(torch.isfinite(theta).all()):
            raise UnclearError(
                f"gradient descent diverges, infinite after {k + 1} steps of {eta:g}: pass a smaller eta"
            )
        q = _bends(objective, laws, before.numpy(), (theta.detach() - before).numpy())
        told, p = told + beta * p, beta * p + q
        told = told + p
        if on_progress:
            on_progress("gradient descent", (k + 1) / steps)
    return _values(laws, objective.point(theta.detach().numpy())) - first, told


def _leading(objective: Objective, laws: Sequence[Law], beta: float, times: Array) -> Tensor:
    """Integral of ``(1/2) g^T H_h g`` along ``theta' = -g / (1 - beta)``, as further numbers of the state."""
    size = len(objective.start)

    def slope(time: float, state: Array) -> Array:
        g = objective.gradient(state[:size])
        return np.concatenate([-g / (1 - beta), _bends(objective, laws, state[:size], g).numpy()])

    start = np.concatenate([objective.start, np.zeros(sum(law.count for law in laws))])
    (last,) = [state for _, passed in _METHOD.march(slope, times, start) for state in passed]
    return torch.as_tensor(last[size:])


def _check(eta: float, beta: float) -> None:
    if not 0 < eta < np.inf:
        raise InputError(f"a step size of {eta} makes no sense: expected eta > 0")
    if not 0 <= beta < 1:
        raise InputError(f"a momentum of {beta} makes no sense: expected beta from 0 to below 1")
