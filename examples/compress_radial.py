"""A radial classifier of the Iris flowers, made smaller without changing what it computes, then trained both ways.

    python examples/compress_radial.py

The activation rescales a whole vector by a function of its norm, so rotations pass through it. Of the 64 dimensions of
a hidden layer the data then reach only one more than of the layer before. Gradient descent on the small network is
projected gradient descent on the large one, loss by loss; plain descent on the large one goes its own way.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_iris

import gradlaws as gl
from gradlaws.symmetry.projected import projected
from gradlaws.symmetry.stabiliser import stabiliser

WIDTHS, RATE, STEPS, EVERY = (4, 64, 64, 3), 0.2, 600, 150


def iris() -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised measurements and one-hot species."""
    data = load_iris()
    x = torch.tensor(data.data)
    return (x - x.mean(0)) / x.std(0), torch.nn.functional.one_hot(torch.tensor(data.target)).double()


def main() -> None:
    """Compress, compare, train three networks and compare again."""
    x, y = iris()
    torch.manual_seed(0)
    net = gl.RadialMLP(WIDTHS, "squashing", dtype=torch.float64)
    found = gl.compress(net)
    print(found)
    print(f"rotations that fix the weights: {stabiliser(net)}")
    small, turned = found.module, projected(net, found)
    print(f"on the flowers the outputs differ by {(net(x) - small(x)).abs().max().item():.1e}\n")
    networks = {"original": net, "projected": turned, "compressed": small}
    optimizers = {name: torch.optim.SGD(each.parameters(), lr=RATE) for name, each in networks.items()}
    print(f"{'step':>5} {'original':>10} {'projected':>10} {'compressed':>10} {'projected - compressed':>23}")
    worst = 0.0
    for step in range(STEPS + 1):
        losses = {name: (each(x) - y).square().mean() for name, each in networks.items()}
        apart = abs(losses["projected"].item() - losses["compressed"].item())
        worst = max(worst, apart)
        if step % EVERY == 0:
            print(f"{step:>5}" + "".join(f" {loss.item():>10.5f}" for loss in losses.values()) + f" {apart:>23.1e}")
        for name, optimizer in optimizers.items():
            optimizer.zero_grad()
            losses[name].backward()
            optimizer.step()
    accuracy = (small(x).argmax(1) == y.argmax(1)).double().mean().item()
    print(f"accuracy of the compressed network {accuracy:.3f}")
    if worst > 1e-9 or found.error > 1e-12 or accuracy < 0.9:
        raise SystemExit(f"expected equal losses, equal outputs and a good fit: {worst:.1e}, {found.error:.1e}")


if __name__ == "__main__":
    main()
