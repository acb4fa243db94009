"""Two networks that look nothing alike and are the same: balance both, align, measure.

    python examples/same_network.py

A classifier is trained on two moons. A copy is scaled and permuted beyond recognition; its distance up to symmetry is
zero. Balancing it changes no output, makes every conservation law zero, and what is left after training from there
tells how far the run has come.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

import gradlaws as gl
from gradlaws.symmetry.couple import couplings
from gradlaws.symmetry.permute import permutations
from gradlaws.symmetry.teleport import Teleporting


def moons(count: int, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Points on two half circles, with noise, and their side."""
    side = torch.arange(count) % 2
    angle = torch.pi * torch.rand(count, generator=random, dtype=torch.float64)
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    points = torch.where(side.unsqueeze(1) == 0, upper, torch.tensor([1.0, 0.4]) - upper)
    return points + 0.1 * torch.randn(count, 2, generator=random, dtype=torch.float64), side


def network() -> nn.Module:
    """A small rectified network in float64."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 2)).double()


def trained(x: torch.Tensor, y: torch.Tensor, schedule: tuple[int, ...]) -> tuple[nn.Module, float]:
    """Gradient descent, with teleportation before some steps."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    training = Teleporting.of(
        optimizer,
        model,
        lambda m: nn.functional.cross_entropy(m(x), y),
        couplings(model, x),
        schedule,
        steps=5,
        radius=1.5,
    )
    losses = [training.step() for _ in range(300)]
    return model, losses[-1]


def main() -> None:
    """Train, disguise, recognise, balance."""
    random = torch.Generator().manual_seed(1)
    x, y = moons(200, random)
    model, plain = trained(x, y, ())
    _, jumped = trained(x, y, (0,))
    print(f"loss after 300 steps: {plain:.4f} without teleportation, {jumped:.4f} with one before the first step")

    disguised = copy.deepcopy(model)
    parameters = dict(disguised.named_parameters())
    for group in (*couplings(model, x), *permutations(model, x)):
        some = torch.rand(group.shape, generator=random, dtype=torch.float64) + 0.2
        order = torch.randperm(group.width, generator=random)
        for name, values in group.act(parameters, order if group.group == "permutation" else some).items():
            parameters[name].data = values
    apart = sum(
        float((a - b).detach().square().sum()) for a, b in zip(model.parameters(), parameters.values(), strict=True)
    )
    print(f"a disguised copy: parameters {apart**0.5:.1f} away, outputs {_differ(model, disguised, x):.1e} away")
    distance = gl.orbit_distance(model, disguised, x)
    print(f"distance up to symmetry: {distance:.1e}; of a network before training: {_untrained(model, x):.2f}")
    print(gl.balance_(disguised, x))
    if distance > 1e-6:
        raise SystemExit("the disguised copy was not recognised")


def _differ(a: nn.Module, b: nn.Module, x: torch.Tensor) -> float:
    return float((a(x) - b(x)).detach().abs().max())


def _untrained(model: nn.Module, x: torch.Tensor) -> float:
    return gl.orbit_distance(model, network(), x)


if __name__ == "__main__":
    main()
