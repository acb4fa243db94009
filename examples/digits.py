"""A classifier of handwritten digits, trained as ever while its laws are watched; then the same with a fault in it.

    python examples/digits.py [FILE.db [FILE.html]]

Two lines are added to an ordinary training loop. Every law drifts by what momentum and step size make of it and by
nothing else, and the tracker says so. In the second run each gradient is clipped by itself instead of all together,
which no loss curve shows; the tracker names it, and a report shows both.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

import gradlaws as gl
from gradlaws.report.html import write_report
from gradlaws.training.store import runs, steps

EPOCHS, BATCH, EVERY = 12, 64, 20


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures as rows of 64 numbers between 0 and 1, and which digits they are."""
    data = load_digits()
    return torch.tensor(data.data, dtype=torch.float32) / 16, torch.tensor(data.target)


def classifier() -> nn.Sequential:
    """Two hidden layers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))


def train(name: str, store: Path, clip_each: bool) -> list[str]:
    """Train once; the causes that the tracker names."""
    model, (x, y) = classifier(), digits()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    options = {"every": EVERY, "store": store, "name": name, "loss": "cross_entropy"}
    with gl.track(model, optimizer, x[:2], **options) as tracker:
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(x)).split(BATCH):
                optimizer.zero_grad()
                cross_entropy(model(x[rows]), y[rows]).backward()
                for group in [[p] for p in model.parameters()] if clip_each else [list(model.parameters())]:
                    nn.utils.clip_grad_norm_(group, 0.5)
                optimizer.step()
    accuracy = (model(x).argmax(1) == y).float().mean().item()
    print(f"{name}: accuracy {accuracy:.3f}\n{tracker.summary()}\n")
    return [finding.cause for finding in tracker.findings]


def main() -> None:
    """Two runs in one store, and what it holds."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "run.db"
        sound = train("clipped together", store, clip_each=False)
        fault = train("clipped one by one", store, clip_each=True)
        for run in runs(store):
            print(f"run {run.number}, {run.name}: {len(steps(store, run.number))} records in the store")
        page = write_report(store, Path(sys.argv[2]) if len(sys.argv) > 2 else store.with_suffix(".html"))
        print(f"report: {page}, {page.stat().st_size / 1e3:.0f} kB")
    if sound or set(fault) != {"gradients rescaled per tensor"}:
        raise SystemExit(f"expected a sound run and a clipped one, but found {sound} and {fault}")


if __name__ == "__main__":
    main()
