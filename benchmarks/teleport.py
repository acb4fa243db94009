"""Where teleportation helps and where it does not: the settings of Zhao et al. 2022, losses in one run.

    python benchmarks/teleport.py

Test functions in the plane with the best point of the level set; the regression (widths 5-6-7-8, a batch of 4, leaky
ReLU, all numbers uniform, the seeds of the published code) with gradient descent and AdaGrad, one teleport before step
5: along the symmetries of the function, and along the action that keeps the outputs on the batch, with the published
steps of gradient ascent or with the search of `teleport_`; ``as published`` is the algorithm as its code has it, which
changes the loss and ascends along something else than the gradient. Last, a classifier of the 8 x 8 digits
(64-64-64-10, leaky ReLU, 1200 images, batches of 20, 20 epochs) with teleports on the first 4 batches after the first
epoch, as was done on MNIST. Steps of the optimizer are counted, not those of the teleport; seconds are of both.
"""

from __future__ import annotations

import time
from statistics import mean, stdev
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn

from gradlaws.symmetry.batch_action import batch_actions
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


KINDS = {
    "gradient descent": (torch.optim.SGD, 1e-4, {"steps": 8, "lr": 1e-7}),
    "AdaGrad": (torch.optim.Adagrad, 0.1, {"steps": 2, "lr": 1e-5}),
}
"""Optimizer, its rate and the published steps of ascent."""


def unleaky(z: torch.Tensor) -> torch.Tensor:
    """The inverse of a leaky ReLU of slope 0.1."""
    return torch.where(z > 0, z, 10 * z)


def problem(seed: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """The published numbers, in float64."""
    torch.manual_seed(seed * seed * 12345)
    weights, x, y = [torch.rand(b, a) for a, b in ((5, 6), (6, 7), (7, 8))], torch.rand(5, 4), torch.rand(8, 4)
    layers = [nn.Linear(w.shape[1], w.shape[0], bias=False, dtype=torch.float64) for w in weights]
    with torch.no_grad():
        for layer, w in zip(layers, weights, strict=True):
            layer.weight.copy_(w)
    model = nn.Sequential(layers[0], nn.LeakyReLU(0.1), layers[1], nn.LeakyReLU(0.1), layers[2])
    return model, x.T.double(), y.T.double()


def regression(seed: int, kind: str, way: str) -> tuple[float, float, float, float]:
    """Final loss, seconds, and factors of the squared gradient norm and of the loss by the teleport."""
    model, x, y = problem(seed)
    optimizer, rate, published = KINDS[kind]
    ascent: dict[str, Any] = {"rule": "ascent"}
    options = {**published, **ascent} if way == "batch, published steps" else {"steps": 8}
    started = time.perf_counter()
    training = Teleporting.of(
        optimizer(model.parameters(), lr=rate),
        model,
        lambda m: 0.5 * (m(x) - y).square().sum(),
        couplings(model, x) if way == "function" else batch_actions(model, x, unleaky),
        () if way in ("none", "as published") else (5,),
        **options,
    )
    losses, growth, jump = list[float](), 1.0, 1.0
    for step in range(STEPS):
        if step == 5 and way == "as published":
            growth, jump = as_published(model, x.T, y.T, int(published["steps"]), published["lr"])
        losses.append(training.step())
    for _, moved in training.history:
        growth, jump = moved.objective_after / moved.objective_before, moved.loss_after / moved.loss_before
    return losses[-1], time.perf_counter() - started, growth, jump


def as_published(model: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int, lr: float) -> tuple[float, float]:
    """I - T for the inverse, activations of other weights, slopes by total derivatives; in place."""
    weights, act = [p.detach().clone() for p in model.parameters()], nn.LeakyReLU(0.1)

    def at(weights: list[torch.Tensor]) -> torch.Tensor:
        return 0.5 * (weights[2] @ act(weights[1] @ act(weights[0] @ x)) - y).square().sum()

    def size(weights: list[torch.Tensor], create_graph: bool = False) -> torch.Tensor:
        slopes = torch.autograd.grad(at(weights), weights, create_graph=create_graph)
        return torch.stack([s.square().sum() for s in slopes]).sum()

    def moved(weights: list[torch.Tensor], t: list[torch.Tensor], states: list[torch.Tensor]) -> list[torch.Tensor]:
        new, h = list(weights), x
        for m in range(2):
            eye = torch.eye(len(t[m]), dtype=x.dtype)
            new[m] = unleaky((eye + t[m]) @ act(new[m] @ h)) @ torch.linalg.pinv(h)
            new[m + 1] = new[m + 1] @ (eye - t[m])
            h = states[m] if states else act(new[m] @ h)
        return new

    before = [float(f([w.requires_grad_() for w in weights])) for f in (size, at)]
    for _ in range(steps):
        t = [torch.zeros(n, n, dtype=x.dtype, requires_grad=True) for n in (6, 7)]
        trial = moved([w.detach() for w in weights], t, [])
        slopes = torch.autograd.grad(size(trial, create_graph=True), t)
        states = [act(trial[0] @ x).detach()]
        states += [act(trial[1] @ states[0]).detach()]
        weights = moved([w.detach() for w in weights], [lr * s for s in slopes], states)
    after = [float(f([w.detach().requires_grad_() for w in weights])) for f in (size, at)]
    with torch.no_grad():
        for p, w in zip(model.parameters(), weights, strict=True):
            p.copy_(w)
    return after[0] / before[0], after[1] / before[1]


RATES = {torch.optim.SGD: 0.05, torch.optim.Adagrad: 0.02, torch.optim.Adam: 1e-3}


def classifier(seed: int, kind: type[torch.optim.Optimizer], way: str) -> tuple[float, float, float, float]:
    """Loss on the images of training, accuracy on the others, by what the loss is multiplied at first, seconds."""
    data, random = load_digits(), torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.target), generator=random)
    x, y = torch.tensor(data.data)[order] / 16 - 0.5, torch.tensor(data.target)[order]
    torch.manual_seed(seed)
    sizes = [nn.Linear(a, b) for a, b in ((64, 64), (64, 64), (64, 10))]
    model = nn.Sequential(sizes[0], nn.LeakyReLU(0.1), sizes[1], nn.LeakyReLU(0.1), sizes[2]).double()
    batch = [torch.arange(20)]
    started = time.perf_counter()
    training = Teleporting.of(
        kind(model.parameters(), lr=RATES[kind]),
        model,
        lambda m: nn.functional.cross_entropy(m(x[batch[0]]), y[batch[0]]),
        couplings(model, x[:20]) if way == "function" else lambda m: batch_actions(m, x[batch[0]], unleaky),
        () if way == "none" else range(60, 64),
        steps=10,
        radius=0.1 if way == "batch, radius 0.1" else 1.0,
    )
    losses = []
    for epoch in range(20):
        for i, batch[0] in enumerate(torch.randperm(1200, generator=random).split(20)):
            if epoch == 1 and i in (0, 4):
                losses.append(_of_training(model, x, y))
            training.step()
    with torch.no_grad():
        right = (model(x[1200:]).argmax(1) == y[1200:]).double().mean()
    return _of_training(model, x, y), float(right), losses[1] / losses[0], time.perf_counter() - started


def _of_training(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    with torch.no_grad():
        return float(nn.functional.cross_entropy(model(x[:1200]), y[:1200]))


def classifiers() -> None:
    """Without teleports and with them, along symmetries of the function and on the batch of each step."""
    for kind in RATES:
        for way in ("none", "function", "batch", "batch, radius 0.1"):
            results = [classifier(seed, kind, way) for seed in range(SEEDS)]
            loss, accuracy, jump, seconds = (
                f"{mean(values):.3g} +- {stdev(values):.2g}" for values in zip(*results, strict=True)
            )
            said = f"loss {loss}, accuracy {accuracy}, in the first four steps times {jump}, seconds {seconds}"
            print(f"digits, {kind.__name__:<8} {way:<17} {said}", flush=True)


def main() -> None:
    """All of it."""
    plane()
    for kind in KINDS:
        for way in ("none", "function", "batch, published steps", "batch, search", "as published"):
            results = [regression(seed, kind, way) for seed in range(SEEDS)]
            losses, seconds, growth, jump = (
                [f"{value:.3g}" for value in values] for values in zip(*results, strict=True)
            )
            print(f"{kind}, {way}: losses {' '.join(losses)}; seconds {' '.join(seconds)}")
            if way != "none":
                print(f"    |gradient|^2 times {' '.join(growth)}; loss at the teleport times {' '.join(jump)}")
    classifiers()


if __name__ == "__main__":
    main()
