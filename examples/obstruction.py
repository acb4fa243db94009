"""A sign that training cannot change: two runs of one ReLU unit, one of them doomed by its initial weights.

    python examples/obstruction.py [FILE.png]

The target is ``-relu(x1 + x2 / 2)``, so that the output weight a must become negative. The law |w|^2 - a^2 = c
holds all along: with c < 0, a^2 is at least -c, and a cannot pass zero. The same network is trained from both starts;
the plot shows the two invariant sets, |w| against a, and the losses. Then the chances that usual initialisers do this.
"""

from __future__ import annotations

import sys

import matplotlib as mpl
import torch
from torch import nn

import gradlaws as gl
from gradlaws.geometry.obstruction import chances

mpl.use("Agg")
from matplotlib import pyplot as plt

X = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).double()
Y = -torch.relu(X @ torch.tensor([[1.0], [0.5]]).double())
STARTS = {"obstructed": ([0.3, 0.2], 1.0), "free": ([1.0, 0.8], 0.2)}
ETA, STEPS, EVERY = 0.05, 1500, 3


def network(start: str) -> nn.Sequential:
    """``a relu(w x)`` at one of the starts."""
    w, a = STARTS[start]
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight[0], model[2].weight[0, 0] = torch.tensor(w), a
    return model


def make_obstructed() -> tuple[nn.Module, torch.Tensor]:
    """For the command line: ``gradlaws components examples/obstruction.py:make_obstructed``."""
    return network("obstructed"), X


def train(model: nn.Sequential) -> list[tuple[float, float, float]]:
    """Length of w, a, and the loss, now and then."""
    optimizer, seen = torch.optim.SGD(model.parameters(), lr=ETA), []
    for step in range(STEPS + 1):
        optimizer.zero_grad()
        loss = 0.5 * (model(X) - Y).square().mean()
        loss.backward()
        if step % EVERY == 0:
            seen.append((model[0].weight.norm().item(), model[2].weight.item(), loss.item()))
        optimizer.step()
    return seen


def plot(runs: dict[str, list[tuple[float, float, float]]], file: str) -> None:
    """The sets and the paths, and the losses."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
    for name, run in runs.items():
        lengths, outputs, losses = zip(*run, strict=True)
        c = lengths[0] ** 2 - outputs[0] ** 2
        a = torch.linspace(-1.5, 1.5, 400)
        inside = a.square() + c >= 0
        length = torch.where(inside, (a.square() + c).clamp_min(0).sqrt(), torch.nan)
        (line,) = left.plot(a, length, "--", linewidth=1)
        left.plot(outputs, lengths, color=line.get_color(), linewidth=3, label=f"{name}, c = {c:.2f}")
        left.plot(outputs[0], lengths[0], "o", color=line.get_color())
        right.semilogy([i * EVERY for i in range(len(losses))], losses, color=line.get_color(), label=name)
    left.set(xlabel="a", ylabel="|w|", title="invariant sets and paths")
    right.set(xlabel="step", ylabel="loss", title="training")
    left.legend()
    right.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main() -> None:
    """Ask, train, compare."""
    file, runs = sys.argv[1] if len(sys.argv) > 1 else "obstruction.png", {}
    for name in STARTS:
        model = network(name)
        found = gl.components(model)
        print(f"{name}:\n{found}")
        runs[name] = train(model)
        _, a, loss = runs[name][-1]
        print(f"  trained: loss {loss:.2e}, a = {a:.3f}\n")
        if (a > 0) != found.obstructed:
            raise SystemExit("the sign of a did what it could not")
    plot(runs, file)
    print(f"wrote {file}\n\nchance that some of 10 hidden units are frozen at the start:")
    for inputs in (2, 5, 10, 30):
        kaiming, xavier = (chances(inputs, 10, name).some for name in ("kaiming", "xavier"))
        print(f"  {inputs:>3} inputs: Kaiming {kaiming:.3f}, Xavier {xavier:.3f}")


if __name__ == "__main__":
    main()
