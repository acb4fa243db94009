"""Where teleportation helps and where it does not: the settings of Zhao et al. 2022, losses in one run.

    python benchmarks/teleport.py

Test functions in the plane with the best point of the level set; the regression (widths 5-6-7-8 after an input of 4
examples, leaky ReLU) with gradient descent and AdaGrad, five seeds, one teleport before step 5, along the symmetries of
the function. Steps of the optimizer are counted, not those of the teleport; seconds are of both.
"""

from __future__ import annotations

import time

import torch
from torch import nn

from gradlaws.symmetry.couple import couplings
from gradlaws.symmetry.plane import BOOTH, ROSENBROCK
from gradlaws.symmetry.teleport import Teleporting

SEEDS, STEPS = 5, 300


def plane() -> None:
    """Booth and Rosenbrock."""
    every = tuple(range(100, 1000, 100))
    for function, start, steps, lr, schedules in (
        (BOOTH, (5.0, -5.0), 10, 0.08, ((5,),)),
        (ROSENBROCK, (-1.0, -1.0), 1000, 1e-3, (every, (900,), (0,))),
    ):
        w = torch.tensor(start, dtype=torch.float64)
        for schedule in ((), *schedules):
            loss = function.descent(w, steps, lr, schedule)[-1]
            when = f"teleports before steps {schedule}" if schedule else "no teleport"
            print(f"{function.name:<12} {steps:>5} steps, {when:<70} loss {loss:.2e}")


def regression(
    seed: int, kind: type[torch.optim.Optimizer], lr: float, schedule: tuple[int, ...]
) -> tuple[float, float]:
    """Final loss and seconds."""
    torch.manual_seed(seed)
    x, y = torch.rand(4, 5, dtype=torch.float64), torch.rand(4, 8, dtype=torch.float64)
    layers = [nn.Linear(a, b, bias=False, dtype=torch.float64) for a, b in ((5, 6), (6, 7), (7, 8))]
    for layer in layers:
        nn.init.uniform_(layer.weight)
    model = nn.Sequential(layers[0], nn.LeakyReLU(0.1), layers[1], nn.LeakyReLU(0.1), layers[2])
    groups = couplings(model, x)
    started = time.perf_counter()
    training = Teleporting.of(
        kind(model.parameters(), lr=lr),
        model,
        lambda m: (m(x) - y).square().sum(),
        groups,
        schedule,
        steps=8,
    )
    losses = [training.step() for _ in range(STEPS)]
    return losses[-1], time.perf_counter() - started


def main() -> None:
    """Both."""
    plane()
    for kind, lr in ((torch.optim.SGD, 1e-4), (torch.optim.Adagrad, 0.1)):
        for schedule in ((), (5,)):
            results = [regression(seed, kind, lr, schedule) for seed in range(SEEDS)]
            losses = ", ".join(f"{loss:.2e}" for loss, _ in results)
            seconds = sum(s for _, s in results) / SEEDS
            when = "teleport before step 5" if schedule else "no teleport"
            print(f"regression   {kind.__name__:<8} {when:<24} losses {losses}; {seconds:.2f} s each")


if __name__ == "__main__":
    main()
