"""A small transformer learns three sonnets of Shakespeare, letter by letter, while its laws are watched.

    python examples/sonnets.py [FILE.db [FILE.html]]

The embeddings are trained by SGD, the rest by AdamW: adaptive directions move the laws at first order, and the report
says by how much. In the second run the decay acts on the gains of the normalisations too, which the tracker points out.
Both end in one report.
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy, relu, scaled_dot_product_attention

import gradlaws as gl
from gradlaws.report.html import write_report
from gradlaws.training.find import laws_to_track

WIDTH, HEADS, LAYERS, CONTEXT, BATCH, STEPS, EVERY = 16, 2, 1, 32, 16, 160, 4
TEXT = (Path(__file__).parent / "data" / "sonnets.txt").read_text()
LETTERS = sorted(set(TEXT))


class Block(nn.Module):
    """Attention and two layers with ReLU, each after a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of shape [batch, position, width]."""
        y = self.norm1(x)
        q, k, v = (part(y).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (self.query, self.key, self.value))
        x = x + self.out(scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.down(relu(self.up(self.norm2(x))))


class Poet(nn.Module):
    """Says the next letter."""

    def __init__(self) -> None:
        super().__init__()
        self.letters, self.positions = nn.Embedding(len(LETTERS), WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(LETTERS))

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        """Scores [batch, position, letter] of the letter after each."""
        places = torch.arange(letters.shape[1], device=letters.device)
        return self.head(self.norm(self.blocks(self.letters(letters) + self.positions(places))))


def optimizers(model: Poet, decay_gains: bool) -> list[torch.optim.Optimizer]:
    """One for the embeddings and one for the rest, whose matrices decay."""
    tables = [*model.letters.parameters(), *model.positions.parameters()]
    rest = [p for p in model.parameters() if all(p is not table for table in tables)]
    groups = [
        {"params": [p for p in rest if p.dim() > 1 or decay_gains], "weight_decay": 0.1},
        {"params": [p for p in rest if p.dim() < 2 and not decay_gains], "weight_decay": 0.0},
    ]
    return [torch.optim.SGD(tables, lr=0.1), torch.optim.AdamW([g for g in groups if g["params"]], lr=2e-3)]


def train(name: str, store: Path, decay_gains: bool, laws: tuple[gl.Law, ...]) -> list[str]:
    """Train once; the causes that the tracker names."""
    torch.manual_seed(0)
    model, data = Poet(), torch.tensor([LETTERS.index(letter) for letter in TEXT])
    both, losses = optimizers(model, decay_gains), []
    with gl.track(model, both, laws=laws, every=EVERY, store=store, name=name) as tracker:
        for _ in range(STEPS):
            starts = torch.randint(len(data) - CONTEXT, (BATCH, 1))
            window = data[starts + torch.arange(CONTEXT + 1)]
            model.zero_grad()
            loss = cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in both:
                optimizer.step()
            losses.append(loss.item())
    letter = f"{losses[0] / math.log(2):.2f} to {losses[-1] / math.log(2):.2f} bits a letter"
    print(f"{name}: {letter}\n{tracker.summary()}\n")
    return [finding.cause for finding in tracker.findings]


def main() -> None:
    """Two runs in one store, and their report."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "sonnets.db"
        page = Path(sys.argv[2]) if len(sys.argv) > 2 else store.with_suffix(".html")
        laws = laws_to_track(Poet(), torch.tensor([[0, 1]]))
        sound = train("decay on matrices", store, decay_gains=False, laws=laws)
        fault = train("decay on everything", store, decay_gains=True, laws=laws)
        print(f"report: {write_report(store, page)}, {page.stat().st_size / 1e3:.0f} kB")
    if sound or set(fault) != {"decay on a gain"}:
        raise SystemExit(f"expected a sound run and one with decay on gains, but found {sound} and {fault}")


if __name__ == "__main__":
    main()
