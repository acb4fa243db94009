"""The functional dimension of a network of 25,720 parameters, without its Jacobian of 38 GiB.

    python benchmarks/dimension.py [digits | full]

784-30-30-30-10 with ReLU and biases, the network of Bona-Pellissier, Malgouyres and Bachoc (2024), at most 25,630
directions: one less than the parameters for each hidden unit. On the digits of scikit-learn scaled up to 28 x 28, at
the weights before and after training, by both engines; then the dimension of the architecture, exactly. Pixels are
repeated, not interpolated: the exact engine would take the rounding of interpolation for information. What the laws
leave of the fibre, D less the dimension, are hidden symmetries. Prints wall time and the peak memory of the process;
fails where the engines disagree, or the architecture has not one dimension less for each hidden unit.
"""

from __future__ import annotations

import resource
import sys
import time
from itertools import pairwise

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy, interpolate

import gradlaws as gl
from gradlaws.geometry.dimension import Dimension, functional_dimension
from gradlaws.geometry.fibre import fibre

WIDTHS = (784, 30, 30, 30, 10)
SPEC = f"relu {'-'.join(map(str, WIDTHS))} bias output-bias"
EPOCHS, BATCH, RATE = 40, 256, 0.1
ATTAINABLE = sum(a * b for a, b in pairwise(WIDTHS)) + WIDTHS[-1]


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Images ``[1797, 784]`` between 0 and 1, and their classes."""
    data = load_digits()
    images = torch.tensor(data.images / 16).unsqueeze(1)
    return interpolate(images, size=(28, 28), mode="nearest").flatten(1), torch.tensor(data.target)


def network() -> nn.Sequential:
    """With PyTorch's initial weights."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for a, b in pairwise(WIDTHS):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).double()


def train(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Stochastic gradient descent; the accuracy on the same digits."""
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return float((model(x).argmax(1) == y).double().mean())


def show(found: Dimension, text: str = "") -> None:
    """One line."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{found}{text}\n    {found.rows} rows, {found.seconds:.0f} s, peak {peak:.1f} GiB so far", flush=True)


def on_digits() -> None:
    """Before and after training."""
    (x, y), model = digits(), network()
    laws = gl.laws(model, x[:1], lower_only=True).laws
    for moment in ("before training", "after training"):
        ranks = set()
        for engine in ("exact", "float64"):
            found = fibre(model, x, engine=engine, laws=laws)
            show(found.dimension, f", {moment}")
            print(f"    fibre of dimension {found.size}: {found.laws} by laws, {found.hidden} hidden", flush=True)
            ranks.add(found.dimension.rank)
        if len(ranks) > 1:
            raise SystemExit(f"the engines disagree {moment}: {ranks}")
        if moment == "before training":
            print(f"trained to an accuracy of {train(model, x, y):.3f}")


def main() -> None:
    """Both parts, or the one that is asked for."""
    started = time.perf_counter()
    asked = sys.argv[1:] or ["digits", "full"]
    if not set(asked) <= {"digits", "full"}:
        raise SystemExit(f"asked for {' '.join(asked)}: expected digits, full, or nothing for both")
    print(f"{SPEC}: at most {ATTAINABLE} directions; {torch.get_num_threads()} threads")
    if "digits" in asked:
        on_digits()
    if "full" in asked:
        found = functional_dimension(SPEC)
        show(found)
        if found.rank != ATTAINABLE:
            raise SystemExit(f"expected {ATTAINABLE}")
    print(f"{time.perf_counter() - started:.0f} s together")


if __name__ == "__main__":
    main()
