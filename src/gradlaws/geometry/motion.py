"""How a module moves while it is trained in continuous time: gradient flow, weight decay, momentum, modified flow."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np
import torch
from torch import Tensor

from gradlaws.errors import InputError
from gradlaws.flows.damping import FREE, Damping
from gradlaws.flows.decay import WeightDecay
from gradlaws.flows.momentum import Descent, HeavyBall, Nesterov, velocity_of
from gradlaws.flows.read import read_flow
from gradlaws.geometry.objective import Array, Objective
from gradlaws.laws.law import flatten

Friction = Callable[[float], float]

_SHAKE = 1e-3
_LARGEST = 600.0
"""Exponent of the largest weight of a law; its square overflows, and is not needed."""


class Motion(ABC):
    """A state that moves: parameters ``[D]``, for momentum with their velocities behind them ``[2 D]``."""

    objective: Objective

    @property
    @abstractmethod
    def title(self) -> str:
        """What moves it."""

    @abstractmethod
    def start(self, time: float) -> Array:
        """The state at the weights of the module."""

    @abstractmethod
    def slope(self, time: float, state: Array) -> Array:
        """Its derivative in time."""

    @property
    @abstractmethod
    def clock(self) -> Damping:
        """What tells laws the time."""

    def named(self, state: Array) -> dict[str, Tensor]:
        """A state, or several ``[*batch, state]``, by name of the parameter, and of its velocity where it has one."""
        return self.objective.point(state)

    def flat(self, point: Mapping[str, Tensor]) -> Array:
        """The state of a point; the clock has no place in it."""
        return flatten(point, self.objective.shapes).numpy()

    def point(self, time: float, state: Array) -> dict[str, Tensor]:
        """What laws of this flow are functions of."""
        return {self.clock.clock: _told(self.clock, time)} | self.named(state)

    def direction(self, state: Array, speed: float = 0.0) -> dict[str, Tensor]:
        """A direction of points, the clock moving with a speed."""
        return {self.clock.clock: torch.tensor(speed, dtype=torch.float64)} | self.named(state)

    @abstractmethod
    def shaken(self, state: Array) -> Array:
        """A state nearby without special values, velocities that are zero included."""

    def ticking(self, time: float) -> float:
        """The derivative of the clock in time."""
        rate = 0.0 if self.clock.fading else float(self.clock.rate)
        return rate * float(_told(self.clock, time)) if rate else 1.0


@final
@dataclass(frozen=True, eq=False, slots=True)
class GradientMotion(Motion):
    """``theta' = -speed grad (L + penalty |grad L|^2) - lambda(t) theta``.

    Args:
        objective: L.
        decay: lambda.
        penalty: of the modified flow, zero for gradient flow.
        speed: of the modified flow with momentum.
    """

    objective: Objective
    decay: Damping = FREE
    penalty: float = 0.0
    speed: float = 1.0

    @property
    def title(self) -> str:
        modified = f" of L + {self.penalty:.4g} |grad L|^2" if self.penalty else ""
        decayed = f", weight decay {self.decay.text}" if self.decay.rate else ""
        return f"gradient flow{modified}{decayed}"

    def start(self, time: float) -> Array:
        if self.decay.fading and time == 0:
            raise InputError(f"weight decay {self.decay.text} is infinite at t = 0: begin later, as in times=[1, 2]")
        return self.objective.start

    def slope(self, time: float, state: Array) -> Array:
        moved = -self.speed * self.objective.gradient(state, self.penalty)
        return moved - _rate(self.decay, time) * state if self.decay.rate else moved

    def shaken(self, state: Array) -> Array:
        return _shaken(state)

    @property
    def clock(self) -> Damping:
        return self.decay


@final
@dataclass(frozen=True, eq=False, slots=True)
class MomentumMotion(Motion):
    """``theta'' + tau(t) theta' = -grad L``.

    Args:
        objective: L.
        friction: tau, constant, k / t, or any function of time.
        velocity: where it begins, ``[D]``.
    """

    objective: Objective
    friction: Damping | Friction
    velocity: Array

    @property
    def title(self) -> str:
        return f"momentum, friction {self.friction.text if isinstance(self.friction, Damping) else 'tau(t)'}"

    def start(self, time: float) -> Array:
        if self._singular(time) and self.velocity.any():
            raise InputError("friction k/t stops everything at t = 0: begin there without velocity, or begin later")
        return np.concatenate([self.objective.start, self.velocity])

    def slope(self, time: float, state: Array) -> Array:
        theta, v = np.split(state, 2)
        force = -self.objective.gradient(theta)
        if self._singular(time):  # v is about t theta'', so that (1 + k) theta'' = force
            assert isinstance(self.friction, Damping)
            return np.concatenate([v, force / (1 + float(self.friction.rate))])
        tau = _rate(self.friction, time) if isinstance(self.friction, Damping) else float(self.friction(time))
        if not (math.isfinite(tau) and tau >= 0):
            raise InputError(f"the friction is {tau} at t = {time:g}: expected tau(t) >= 0")
        return np.concatenate([v, force - tau * v])

    def shaken(self, state: Array) -> Array:
        theta = _shaken(np.split(state, 2)[0])
        return np.concatenate([theta, _shaken(self.objective.gradient(theta))])

    @property
    def clock(self) -> Damping:
        return self.friction if isinstance(self.friction, Damping) else FREE

    def named(self, state: Array) -> dict[str, Tensor]:
        theta, v = (self.objective.point(x) for x in np.split(state, 2, axis=-1))
        return theta | {velocity_of(name): x for name, x in v.items()}

    def flat(self, point: Mapping[str, Tensor]) -> Array:
        shapes = self.objective.shapes
        moving = flatten({name: point[velocity_of(name)] for name in shapes}, shapes)
        return torch.cat([flatten(point, shapes), moving], dim=-1).numpy()

    def _singular(self, time: float) -> bool:
        return isinstance(self.friction, Damping) and self.friction.fading and time == 0


def read_motion(objective: Objective, flow: str | Friction, velocity: Mapping[str, Tensor] | None) -> Motion:
    """How a text or a friction says that a module moves.

    Args:
        objective: L.
        flow: ``gradient``, ``momentum:tau=1/2``, ``nesterov:k=3``, ``decay:lambda=1/100``, see
            `gradlaws.flows.read`; or a function tau(t), the friction of momentum.
        velocity: by name of the parameter, zero where nothing is said.

    Raises:
        InputError: the flow is not understood or has another metric, or the velocity fits no parameter.
    """
    if not isinstance(flow, str) and not callable(flow):
        raise InputError(f"flow {flow!r} is not understood: expected a text such as 'gradient', or a function tau(t)")
    training = read_flow(flow) if isinstance(flow, str) else None
    metric = getattr(training, "metric", None)
    if training is not None and (metric is None or not metric.euclidean):
        raise InputError(
            f"the flow {flow!r} is not integrated: expected gradient, momentum, nesterov or decay without a metric"
        )
    if isinstance(training, Descent | WeightDecay):
        if velocity is not None:
            raise InputError(f"the flow {flow!r} has no velocity of its own: leave out velocity, or use 'momentum'")
        decay = FREE if isinstance(training, Descent) else _damping(training.rate, training.fading, flow)
        return GradientMotion(objective, decay)
    begin = _velocity(objective, velocity or {})
    if isinstance(training, HeavyBall):
        return MomentumMotion(objective, _damping(training.tau, False, flow), begin)
    if isinstance(training, Nesterov):
        return MomentumMotion(objective, _damping(training.k, True, flow), begin)
    assert callable(flow)
    return MomentumMotion(objective, flow, begin)


def _damping(rate: Fraction | int | None, fading: bool, flow: str | Friction) -> Damping:
    if rate is None:
        raise InputError(
            f"the flow {flow!r} stands for every function of time: expected one, a rate such as momentum:tau=1/2, or "
            "for momentum a function tau(t)"
        )
    return Damping(Fraction(rate), fading)


def _shaken(values: Array) -> Array:
    """Each number moved by about a thousandth."""
    noise = np.random.default_rng(0).standard_normal(len(values))
    return np.asarray(values + _SHAKE * (np.abs(values) + np.abs(values).mean()) * noise)


def _velocity(objective: Objective, velocity: Mapping[str, Tensor]) -> Array:
    shapes = objective.shapes
    for name, x in velocity.items():
        if not isinstance(x, Tensor):
            raise InputError(
                f"velocity {name!r} is {type(x).__name__}: expected a tensor in the shape of the parameter"
            )
        if name not in shapes or tuple(x.shape) != shapes[name]:
            raise InputError(
                f"velocity {name!r} of shape {list(x.shape)} fits no parameter: expected some of "
                + ", ".join(f"{n} {list(s)}" for n, s in shapes.items())
            )
        if not bool(torch.isfinite(x).all()):
            raise InputError(f"velocity {name!r} has entries that are NaN or infinite: expected finite numbers")
    still = objective.point(np.zeros_like(objective.start))
    full = {name: velocity[name].detach().double().cpu() if name in velocity else x for name, x in still.items()}
    return flatten(full, shapes).numpy()


def _rate(damping: Damping, time: float) -> float:
    rate = float(damping.rate)
    return rate / time if damping.fading else rate


def _told(damping: Damping, time: float) -> Tensor:
    """The value of `Damping.clock`."""
    if damping.fading or not damping.rate:
        return torch.tensor(time, dtype=torch.float64)
    if float(damping.rate) * time > _LARGEST:
        raise InputError(f"laws carry the weight {damping.clock}, too large a number at t = {time:g}: end earlier")
    return torch.tensor(math.exp(float(damping.rate) * time), dtype=torch.float64)
