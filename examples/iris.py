"""A ReLU classifier of the Iris flowers: its laws with a proof, then what training does to them.

    python examples/iris.py

The network is trained by plain gradient descent on the mean squared error. A law h is conserved by gradient flow; a
step of size eta changes it by exactly eta**2 h(g), g the gradient, and by nothing else. A quantity that is not a law
(the norm of the incoming weights alone) is shown beside it.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_iris

import gradlaws
from gradlaws.report.text import answer_text

SPEC, ETA, STEPS, EVERY = "relu 4-8-3 bias output-bias", 0.05, 2000, 400


def classifier() -> torch.nn.Sequential:
    """The network of SPEC in PyTorch."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).double()


def named(model: torch.nn.Sequential, pick: str) -> dict[str, torch.Tensor]:
    """Weights, or their gradients, under the names that the laws use."""
    tensors = dict(zip(("W1", "b1", "W2", "b2"), model.parameters(), strict=True))
    return {name: (p.detach() if pick == "value" else p.grad).clone() for name, p in tensors.items()}


def iris() -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised measurements and one-hot species."""
    data = load_iris()
    x = torch.tensor(data.data)
    return (x - x.mean(0)) / x.std(0), torch.nn.functional.one_hot(torch.tensor(data.target)).double()


def main() -> None:
    """Print the laws, train, and compare the drift of each law with its exact prediction."""
    answer = gradlaws.laws(SPEC)
    print(answer_text(answer))
    (law,) = answer.laws
    model, (x, y) = classifier(), iris()
    optimizer = torch.optim.SGD(model.parameters(), lr=ETA)
    start = law.value(named(model, "value"))
    control = named(model, "value")["W1"].square().sum(1)
    predicted = torch.zeros_like(start)
    print(f"\nTraining that network on Iris, gradient descent with eta = {ETA}:")
    print(f"{'step':>6} {'loss':>9} {'largest drift of a law':>23} {'drift - eta^2 prediction':>25} {'not a law':>10}")
    for step in range(STEPS + 1):
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        theta = named(model, "value")
        if step % EVERY == 0:
            drift = law.value(theta) - start
            moved = (theta["W1"].square().sum(1) - control).abs().max()
            print(
                f"{step:>6} {loss.item():>9.5f} {drift.abs().max().item():>23.2e} "
                f"{(drift - predicted).abs().max().item():>25.2e} {moved.item():>10.4f}"
            )
        predicted += ETA**2 * law.value(named(model, "gradient"))
        optimizer.step()
    accuracy = (model(x).argmax(1) == y.argmax(1)).double().mean().item()
    print(f"accuracy {accuracy:.3f}; every law moved by its eta^2 term and by nothing else")
    worst = (law.value(named(model, "value")) - start - predicted).abs().max().item()
    if worst > 1e-12:
        raise SystemExit(f"a law moved by {worst:.1e} beyond its prediction")


if __name__ == "__main__":
    main()
