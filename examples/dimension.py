"""In how many directions a network can still move, while it learns digits.

    python examples/dimension.py [FILE.png]

The rank of the Jacobian of all outputs, at checkpoints of two training runs that differ in their step size only: on the
training inputs (batch functional dimension), and on Gaussian inputs that stand for all inputs (computable full
functional dimension; Bona-Pellissier, Malgouyres, Bachoc 2024). At the end, what the laws explain of the rest: the
fibre. One rank is computed once more by the exact engine, which shares no arithmetic.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from itertools import pairwise

import matplotlib as mpl
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import gradlaws as gl
from gradlaws.geometry.dimension import batch_dimension, dimension_course
from gradlaws.geometry.fibre import fibre

mpl.use("Agg")
from matplotlib import pyplot as plt

WIDTHS, TRAINED, BATCH = (64, 8, 8, 8, 10), 300, 32
RATES = (0.1, 0.3)
EPOCHS = (0, 5, 20, 60, 200)
PARAMETERS = sum((a + 1) * b for a, b in pairwise(WIDTHS))
BOUND = PARAMETERS - sum(WIDTHS[1:-1])


def network() -> nn.Sequential:
    """The same at each call."""
    torch.manual_seed(1)
    layers: list[nn.Module] = []
    for a, b in pairwise(WIDTHS):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).double()


def digits() -> tuple[Tensor, Tensor]:
    """In random order, pixels between 0 and 1, and their classes."""
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    return torch.tensor(data.images / 16).flatten(1)[order], torch.tensor(data.target)[order]


def train(model: nn.Module, x: Tensor, y: Tensor, rate: float) -> Iterator[dict[str, Tensor]]:
    """Stochastic gradient descent; the weights at the epochs of interest."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    yield copy.deepcopy(model.state_dict())
    for epoch in range(1, EPOCHS[-1] + 1):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
        if epoch in EPOCHS:
            yield copy.deepcopy(model.state_dict())


def plot(courses: dict[float, dict[str, list[int]]], file: str) -> None:
    """One panel for each step size."""
    figure, panels = plt.subplots(1, len(courses), figsize=(9, 4), sharey=True)
    for panel, (rate, course) in zip(panels, courses.items(), strict=True):
        for name, ranks in course.items():
            panel.plot(ranks, "o-", label=name)
        panel.axhline(BOUND, color="grey", linestyle="--", label=f"{BOUND}, the most of this architecture")
        panel.set_xticks(range(len(EPOCHS)), list(map(str, EPOCHS)))
        panel.set(xlabel="epoch", title=f"step size {rate}", ylim=(0, None))
    panels[0].set_ylabel("functional dimension")
    panels[0].legend()
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main() -> None:
    """Train twice, measure, explain."""
    torch.set_num_threads(1)  # matrices are small: threads would only wait for each other
    file = sys.argv[1] if len(sys.argv) > 1 else "dimension.png"
    x, y = digits()
    gaussian = 0.5 + torch.randn(400, WIDTHS[0], generator=torch.Generator().manual_seed(0)).double()
    inputs = {"training inputs": x[:TRAINED], "Gaussian inputs": gaussian}
    courses: dict[float, dict[str, list[int]]] = {}
    laws = gl.laws(network(), x[:1], lower_only=True).laws
    print(f"{'-'.join(map(str, WIDTHS))}: {PARAMETERS} parameters, at most {BOUND} directions")
    for rate in RATES:
        model = network()
        checkpoints = list(train(model, x[:TRAINED], y[:TRAINED], rate))
        courses[rate] = {n: [d.rank for d in dimension_course(model, z, checkpoints)] for n, z in inputs.items()}
        accuracy = float((model(x[TRAINED:]).argmax(1) == y[TRAINED:]).double().mean())
        print(
            f"\nstep size {rate}: accuracy {accuracy:.3f} in the end\n{'epoch':>18}{''.join(f'{e:>6}' for e in EPOCHS)}"
        )
        for name, ranks in courses[rate].items():
            print(f"{name:>18}{''.join(f'{r:>6}' for r in ranks)}")
        print(fibre(model, gaussian, laws=laws))
    exact, numeric = batch_dimension(model, x[:TRAINED], engine="exact").rank, courses[RATES[-1]]["training inputs"][-1]
    if not exact == numeric <= BOUND:
        raise SystemExit(f"the engines disagree: {exact} exactly, {numeric} by singular values")
    plot(courses, file)
    print(f"\nwrote {file}")


if __name__ == "__main__":
    main()
