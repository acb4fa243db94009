"""The velocity of training as a function of flat parameters: gradient flow, momentum, modified flow."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from gradlaws.errors import InputError
from gradlaws.geometry.jacobian import refuse_nan

Loss = Callable[[nn.Module], Tensor]
"""Of a module, a scalar: ``lambda m: (m(x) - y).square().mean()``."""


class VelocityField(ABC):
    """``f(t, y)`` for scipy's `solve_ivp` (arrays) and for torchdiffeq (tensors), in float64.

    Args:
        module: it is copied; parameters that need no gradient stay as they are.
        loss: of the copy.

    Raises:
        InputError: nothing is trained, a weight is NaN, or the loss is not a finite scalar.
    """

    def __init__(self, module: nn.Module, loss: Loss) -> None:
        self.module = copy.deepcopy(module).double().cpu()
        self._moving = {name: p for name, p in self.module.named_parameters() if p.requires_grad}
        if not self._moving:
            raise InputError(f"{type(module).__name__} has no parameters that require a gradient: nothing is trained")
        refuse_nan(dict(self.module.named_parameters()), "parameter")
        self._loss, self.evaluations = loss, 0
        value = self._evaluate(self.theta)
        if not (isinstance(value, Tensor) and value.numel() == 1 and bool(torch.isfinite(value))):
            raise InputError("the loss of the module is not one finite number: expected loss(module) -> scalar tensor")
        if not value.requires_grad:
            raise InputError("the loss does not depend on the parameters: compute it from the module it is given")

    @property
    def theta(self) -> Tensor:
        """The parameters of the copy now, ``[D]``."""
        return parameters_to_vector(self._moving.values()).detach().clone()

    @property
    @abstractmethod
    def start(self) -> Tensor:
        """The initial state."""

    @abstractmethod
    def velocity(self, t: float, state: Tensor) -> Tensor:
        """The derivative of the state."""

    def parameters(self, states: Tensor) -> Tensor:
        """The parameters in states ``[..., size]``."""
        return states[..., : sum(p.numel() for p in self._moving.values())]

    def named(self, theta: Tensor) -> dict[str, Tensor]:
        """Named tensors from flat ones ``[D]``."""
        pieces = theta.split([p.numel() for p in self._moving.values()])
        return {name: piece.view_as(p) for piece, (name, p) in zip(pieces, self._moving.items(), strict=True)}

    def loss(self, theta: Tensor) -> float:
        """The loss at parameters ``[D]``."""
        with torch.no_grad():
            return float(self._evaluate(theta))

    def gradient(self, theta: Tensor) -> Tensor:
        """The gradient of the loss, ``[D]``."""
        return self._flat(torch.autograd.grad(self._value(theta), self._list(), materialize_grads=True))

    def gradient_and_bend(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient g and the Hessian times it, ``H g``."""
        parameters = self._list()
        parts = torch.autograd.grad(self._value(theta), parameters, create_graph=True, materialize_grads=True)
        half = torch.stack([part.square().sum() for part in parts]).sum() / 2
        bend = torch.autograd.grad(half, parameters, materialize_grads=True) if half.requires_grad else parts
        g = self._flat(parts).detach()
        return g, self._flat(bend) if half.requires_grad else torch.zeros_like(g)

    def __call__(self, t: Any, y: Any) -> Any:
        if isinstance(y, Tensor):
            return self.velocity(float(t), y.detach().double()).to(y)
        return self.velocity(float(t), torch.as_tensor(np.asarray(y, dtype=np.float64))).numpy()

    def _value(self, theta: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            return self._evaluate(theta)

    def _evaluate(self, theta: Tensor) -> Tensor:
        vector_to_parameters(theta, list(self._moving.values()))
        self.evaluations += 1
        return self._loss(self.module)

    def _list(self) -> list[Tensor]:
        return list(self._moving.values())

    @staticmethod
    def _flat(parts: Any) -> Tensor:
        return torch.cat([part.flatten() for part in parts])


class GradientField(VelocityField):
    """``theta' = -grad L``."""

    @property
    def start(self) -> Tensor:
        return self.theta

    def velocity(self, t: float, state: Tensor) -> Tensor:
        return -self.gradient(state)


class ModifiedField(VelocityField):
    """``theta' = -grad (L + eta |grad L|^2 / 4)``, which gradient descent with steps eta follows to second order.

    Barrett and Dherin 2021.
    """

    def __init__(self, module: nn.Module, loss: Loss, eta: float) -> None:
        if not 0 < eta < float("inf"):
            raise InputError(f"a step of {eta} makes no sense: expected a positive number")
        super().__init__(module, loss)
        self.eta = eta

    @property
    def start(self) -> Tensor:
        return self.theta

    def velocity(self, t: float, state: Tensor) -> Tensor:
        g, bend = self.gradient_and_bend(state)
        return -g - self.eta / 2 * bend


class MomentumField(VelocityField):
    """``theta'' + tau(t) theta' = -grad L`` on states (theta, velocity) ``[2 D]``, at rest at the start."""

    def __init__(self, module: nn.Module, loss: Loss, tau: float | Callable[[float], float]) -> None:
        if not callable(tau) and not 0 <= tau < float("inf"):
            raise InputError(
                f"a friction of {tau} makes no sense: expected a number of at least zero, or a function of t"
            )
        super().__init__(module, loss)
        self._tau = tau

    @property
    def start(self) -> Tensor:
        return torch.cat([self.theta, torch.zeros_like(self.theta)])

    def velocity(self, t: float, state: Tensor) -> Tensor:
        theta, v = state.chunk(2)
        friction = self._tau(t) if callable(self._tau) else self._tau
        return torch.cat([v, -friction * v - self.gradient(theta)])
