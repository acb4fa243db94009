"""Affine symmetries the slow way: one equation for each random point and instance, D (D + 1) unknowns."""

from __future__ import annotations

import torch

from gradlaws.exact import linalg
from gradlaws.flows.gradient import GradientFlow
from tests.samplers import FIELD, generator


def dense_symmetries(family, field=FIELD, seed=3):
    """A basis of all ``[B | b]``, in rows of length D (D + 1)."""
    flow, random = GradientFlow(family), generator(seed)
    unknowns = family.dimension * (family.dimension + 1)
    theta = flow.points(unknowns + 8, field, random)
    gradients = flow.velocity(theta.unsqueeze(0), flow.draw(theta, field, random), field)[0]
    homogeneous = torch.cat([theta, torch.ones_like(theta[:, :1])], 1)
    rows = field.reduce(gradients.unsqueeze(2) * homogeneous.unsqueeze(1)).flatten(1)
    return linalg.nullspace(rows, field).T
