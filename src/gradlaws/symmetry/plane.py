"""Teleportation in the plane: losses ``u^2 + v^2`` in curved coordinates, with the rotations of (u, v) as their group.

The test functions of Zhao et al. 2022: the group is transitive on level sets, so the best point can be found exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_ANGLES = 20_000


@dataclass(frozen=True, eq=False, slots=True)
class PlaneLoss:
    """A loss ``u(x, y)^2 + v(x, y)^2`` and the way back.

    Args:
        name: of the function.
        coordinates: points ``[..., 2]`` to (u, v).
        points: (u, v) to points.
    """

    name: str
    coordinates: Callable[[Tensor], Tensor]
    points: Callable[[Tensor], Tensor]

    def loss(self, w: Tensor) -> Tensor:
        """At points ``[..., 2]``."""
        return self.coordinates(w).square().sum(-1)

    def gradient(self, w: Tensor) -> Tensor:
        """At points ``[..., 2]``."""
        w = w.detach().requires_grad_()
        return torch.autograd.grad(self.loss(w).sum(), w)[0]

    def rotated(self, w: Tensor, angle: Tensor | float) -> Tensor:
        """The point moved along its level set by a rotation of (u, v)."""
        u, v = self.coordinates(w).unbind(-1)
        a = torch.as_tensor(angle, dtype=w.dtype)
        return self.points(torch.stack([a.cos() * u - a.sin() * v, a.sin() * u + a.cos() * v], -1))

    def teleported(self, w: Tensor) -> Tensor:
        """The point of the level set with the largest gradient, to a fine grid of angles."""
        every = self.rotated(w, torch.linspace(0, 2 * torch.pi, _ANGLES, dtype=w.dtype))
        return every[int(self.gradient(every).square().sum(-1).argmax())]

    def descent(self, w: Tensor, steps: int, lr: float, teleport_at: tuple[int, ...] = ()) -> list[float]:
        """Losses of gradient descent, the first one before any step."""
        losses = [float(self.loss(w))]
        for step in range(steps):
            if step in teleport_at:
                w = self.teleported(w)
            w = w - lr * self.gradient(w)
            losses.append(float(self.loss(w)))
        return losses


def _booth(w: Tensor) -> Tensor:
    x, y = w.unbind(-1)
    return torch.stack([x + 2 * y - 7, 2 * x + y - 5], -1)


def _booth_back(z: Tensor) -> Tensor:
    u, v = (z + torch.tensor([7.0, 5.0], dtype=z.dtype)).unbind(-1)
    return torch.stack([(2 * v - u) / 3, (2 * u - v) / 3], -1)


def _rosenbrock(w: Tensor) -> Tensor:
    x, y = w.unbind(-1)
    return torch.stack([10 * (x**2 - y), x - 1], -1)


def _rosenbrock_back(z: Tensor) -> Tensor:
    u, v = z.unbind(-1)
    return torch.stack([v + 1, (v + 1) ** 2 - u / 10], -1)


BOOTH = PlaneLoss("Booth", _booth, _booth_back)
ROSENBROCK = PlaneLoss("Rosenbrock", _rosenbrock, _rosenbrock_back)
