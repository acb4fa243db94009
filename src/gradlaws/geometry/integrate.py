"""The flows of training, integrated for a real module: ``theta' = -grad L``, with momentum or weight decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.geometry.motion import Friction, Motion, read_motion
from gradlaws.geometry.objective import Array, Loss, Objective
from gradlaws.geometry.projection import Projection
from gradlaws.geometry.steps import Method
from gradlaws.laws.law import Law
from gradlaws.progress import Progress


@dataclass(frozen=True, eq=False, slots=True)
class Trajectory:
    """Where a module went.

    Args:
        times: ``[T]``.
        states: ``[T, D]``, with momentum ``[T, 2 D]``: parameters, then velocities.
        losses: ``[T]``.
        steps: how many steps were taken.
        evaluations: how many gradients that took, those of rejected steps included.
        method: of integration.
        motion: what moved it.
    """

    times: Array
    states: Array
    losses: Array
    steps: int
    evaluations: int
    method: str
    motion: Motion

    @property
    def parameters(self) -> dict[str, Tensor]:
        """Every trainable parameter by name, ``[T, *shape]``, float64; with momentum ``W'`` is the velocity of W."""
        return self.motion.named(self.states)

    def law(self, law: Law) -> Tensor:
        """Values of a law at each time, ``[T, count]``.

        Args:
            law: of this flow; under momentum or weight decay laws depend on time and velocity.
        """
        return torch.stack([law.value(self.motion.point(*at)) for at in zip(self.times, self.states, strict=True)])

    def drift(self, law: Law) -> Tensor:
        """How far a law has gone from its first value at each time, ``[T, count]``: the error of integration."""
        values = self.law(law)
        return values - values[0]

    def load_into(self, model: nn.Module, index: int = -1) -> None:
        """Give a module the parameters of one of the times, in its own precision.

        Raises:
            InputError: it is another module.
        """
        named, found = dict(model.named_parameters()), self.parameters
        for name, shape in self.motion.objective.shapes.items():
            if name not in named or tuple(named[name].shape) != shape:
                raise InputError(f"the module has no parameter {name!r} of shape {list(shape)}: expected the one moved")
        with torch.no_grad():
            for name in self.motion.objective.shapes:
                named[name].copy_(found[name][index])

    def __str__(self) -> str:
        return (
            f"{self.motion.title}, t = {self.times[0]:g} to {self.times[-1]:g} by {self.method}: loss "
            f"{self.losses[0]:.6g} -> {self.losses[-1]:.6g}, {self.steps} steps, {self.evaluations} gradients"
        )


def integrate(
    model: nn.Module,
    loss: Loss,
    times: float | Sequence[float] | Any,
    *,
    flow: str | Friction = "gradient",
    method: str = "RK45",
    rtol: float = 1e-8,
    atol: float = 1e-10,
    step: float | None = None,
    max_steps: int = 3_000,
    laws: Sequence[Law] = (),
    velocity: Mapping[str, Tensor] | None = None,
    on_progress: Progress | None = None,
) -> Trajectory:
    """Follow a module along the flow of its training, from where it is; the module itself is left as it is.

    Args:
        model: in the mode that is meant, without randomness: a private float64 copy of it is moved.
        loss: of the copy, ``lambda f: (f(x) - y).square().mean()``; what f takes is turned into float64.
        times: increasing, of at least zero; the module is where it is at the first of them. One number t stands for
            ``[0, t]``.
        flow: as for `gradlaws.laws`: ``gradient``, ``momentum:tau=1/2``, ``nesterov:k=3``, ``decay:lambda=1/100``; or
            a function tau(t), the friction of ``theta'' + tau(t) theta' = -grad L``.
        method: of scipy ``RK23``, ``RK45``, ``DOP853``, for stiff flows ``Radau``, ``BDF``, ``LSODA`` (they cost D
            gradients now and then); of fixed step ``euler``, which is gradient descent, ``midpoint``, ``rk4``.
        rtol: error allowed to a step of adaptive methods, relative to each number of the state.
        atol: the same, absolute.
        step: of methods of fixed step.
        max_steps: of adaptive methods. Where gradient flow of a ReLU network slides along a kink of the loss, their
            steps become very short.
        laws: to be kept: after each step the state is projected onto the set where they have their first values, to
            rounding. Those of `gradlaws.laws(model, ..., flow=flow)`, for the same flow.
        velocity: at the first time, by name of the parameter; zero where nothing is said.
        on_progress: hears the name of the flow and the fraction of time done.

    Returns:
        A Trajectory: states, losses and laws at the times asked for.

    Raises:
        InputError: a weight or time is NaN, times do not increase, method or flow are unknown, the loss is no number.
        UnclearError: the flow cannot be followed.
    """
    how, when = Method(method, rtol, atol, step, max_steps), read_times(times)
    motion = read_motion(Objective(model, loss), flow, velocity)
    return follow(motion, when, how, laws, on_progress)


def follow(
    motion: Motion, times: Array, method: Method, laws: Sequence[Law] = (), on_progress: Progress | None = None
) -> Trajectory:
    """Integrate a motion; see `integrate`."""
    start = motion.start(float(times[0]))
    settle = Projection(motion, laws, float(times[0]), start, float(times.mean())) if laws else None
    states, steps, length = [start], 0, times[-1] - times[0]
    for reached, passed in method.march(motion.slope, times, start, settle):
        states += passed
        steps += 1
        if on_progress:
            on_progress(motion.title, (reached - times[0]) / length)
    losses = np.array([motion.objective.value(state[: len(motion.objective.start)]) for state in states])
    return Trajectory(times, np.stack(states), losses, steps, motion.objective.evaluations, method.name, motion)


def read_times(times: Any) -> Array:
    """Increasing times of at least zero, ``[T]``.

    Raises:
        InputError: they are not that.
    """
    values = times.detach().cpu().numpy() if isinstance(times, Tensor) else np.asarray(times)
    if values.dtype.kind not in "iuf" or values.ndim > 1 or not values.size:
        raise InputError(f"times {times!r} are not understood: expected numbers such as [0, 1, 10], or one, the last")
    values = values.astype(np.float64)
    values = np.array([0.0, values]) if values.ndim == 0 else values
    if not np.isfinite(values).all():
        raise InputError("a time is NaN or infinite: expected finite numbers of at least zero")
    if (values < 0).any():
        raise InputError(f"time {values.min():g} is negative: training runs forward, expected times of at least zero")
    if (np.diff(values) <= 0).any():
        raise InputError("times do not increase: expected each one later than the one before, such as [0, 1, 10]")
    return values
