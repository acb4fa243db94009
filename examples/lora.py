"""Low-rank adapters on a trained classifier of digits, and the law that pairs their two factors.

    python examples/lora.py [FILE.db [FILE.html]]

A classifier learns digits; then its weights are frozen and adapters W + B A learn the same digits upside down.
Training conserves B^T B - A A^T, whatever the frozen weights. With one rate for both factors a step moves it at second
order only; with a larger rate for B, as LoRA+ has it (Hayou, Ghosh, Yu 2024), at first order. Nothing is wrong in
either run, and the report shows them side by side.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy, linear

import gradlaws as gl
from gradlaws.report.html import write_report

RANK, RATE, RATIO, STEPS, BATCH, EVERY = 4, 0.01, 4.0, 300, 64, 10


class Adapted(nn.Module):
    """A frozen layer with a trained product of rank 4 beside it."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.frozen = layer.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(RANK, layer.in_features) / layer.in_features**0.5)
        self.B = nn.Parameter(torch.zeros(layer.out_features, RANK))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The layer, and what is added to it."""
        return self.frozen(x) + 2 * linear(linear(x, self.A), self.B)


def digits(upside_down: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures as rows of 64 numbers between 0 and 1, and which digits they are."""
    data = load_digits()
    x = torch.tensor(data.data, dtype=torch.float32) / 16
    return (x.flip(1) if upside_down else x), torch.tensor(data.target)


def fit(model: nn.Module, optimizer: torch.optim.Optimizer, upside_down: bool) -> float:
    """An ordinary loop; the accuracy at its end."""
    x, y = digits(upside_down)
    for _ in range(STEPS):
        rows = torch.randint(len(x), (BATCH,))
        optimizer.zero_grad()
        cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return (model(x).argmax(1) == y).float().mean().item()


def pretrained() -> nn.Sequential:
    """A classifier of digits."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 10))
    accuracy = fit(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), upside_down=False)
    print(f"before: accuracy {accuracy:.3f}\n")
    return model


def adapt(name: str, base: nn.Sequential, ratio: float, store: Path) -> tuple[float, list[str]]:
    """Train the adapters once; the largest drift of a law, and the causes that the tracker names."""
    torch.manual_seed(1)
    model = nn.Sequential(*(Adapted(part) if isinstance(part, nn.Linear) else part for part in base))
    factors = {letter: [p for n, p in model.named_parameters() if n.endswith(letter)] for letter in "AB"}
    groups = [{"params": factors["A"], "lr": RATE}, {"params": factors["B"], "lr": ratio * RATE}]
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    with gl.track(model, optimizer, torch.zeros(2, 64), every=EVERY, store=store, name=name) as tracker:
        accuracy = fit(model, optimizer, upside_down=True)
    print(f"{name}: accuracy {accuracy:.3f} upside down\n{tracker.summary()}\n")
    return max(record.drift for record in tracker.latest), [finding.cause for finding in tracker.findings]


def main() -> None:
    """Two runs in one store, and their report."""
    base = pretrained()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "lora.db"
        page = Path(sys.argv[2]) if len(sys.argv) > 2 else store.with_suffix(".html")
        one, found = adapt("one rate", base, 1.0, store)
        plus, found_too = adapt(f"LoRA+, B {RATIO:.0f} times as fast", base, RATIO, store)
        print(f"report: {write_report(store, page)}, {page.stat().st_size / 1e3:.0f} kB")
    print(f"LoRA+ moved the law {plus / one:.1f} times as far")
    if found or found_too or plus < one:
        raise SystemExit(f"expected two sound runs, the second with more drift: {one}, {plus}, {found}, {found_too}")


if __name__ == "__main__":
    main()
