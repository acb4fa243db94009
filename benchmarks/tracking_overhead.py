"""What tracking costs: steps with and without the tracker in turn, in one run.

    python benchmarks/tracking_overhead.py [--turns 12]

Two equal models of the shape of GPT-2, small enough that two cores train them at one to two seconds a step, learn the
same random tokens: one tracked, the other not, step by step in turn, so that whatever else the machine does slows both.
The overhead is the time from the moment before the tracker looks at a step to the moment after, on both sides of the
optimizer, as a part of the untracked step of the same turn; the median over the run. The last column is the cruder
figure that needs no clock in hooks: tracked over untracked step, less one.

With every=1 each step costs what a recorded one costs; with every=50 a fiftieth of that and the
look at the steps between.
"""

from __future__ import annotations

import sys
import time
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

import gradlaws as gl

LAYERS, HEADS, WIDTH, VOCABULARY, POSITIONS, BATCH = 4, 4, 256, 4096, 256, 20
EXAMPLE = {"input_ids": torch.tensor([[0, 1]]), "use_cache": False}
PAIRS, EVERY = 11, 2
"""Steps of each model, of which every second one is recorded."""

TARGET = {1: 0.10, 50: 0.02}


class Stopwatch:
    """Sums the time between the hooks that stand right before and right after the tracker's."""

    def __init__(self) -> None:
        self.seconds, self.since = 0.0, 0.0

    def start(self, *_: Any) -> None:
        """Before the tracker."""
        self.since = time.perf_counter()

    def stop(self, *_: Any) -> None:
        """After it."""
        self.seconds += time.perf_counter() - self.since


def small_gpt2() -> nn.Module:
    """The model with random weights, without dropout."""
    torch.manual_seed(0)
    shape = GPT2Config(
        n_layer=LAYERS,
        n_head=HEADS,
        n_embd=WIDTH,
        n_positions=POSITIONS,
        vocab_size=VOCABULARY,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,
    )
    return GPT2LMHeadModel(shape)


OPTIMIZERS = {
    "AdamW": lambda model: torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.0),
    "SGD with momentum": lambda model: torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
}
"""The usual one, and one with an exact identity."""


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """One step on one batch of random tokens."""
    tokens = torch.randint(VOCABULARY, (BATCH, POSITIONS))
    optimizer.zero_grad()
    logits = model(input_ids=tokens).logits
    cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    optimizer.step()


def measured(models: list[nn.Module], make: Any, laws: Any, turns: int) -> dict[str, float]:
    """Medians over the run: seconds of an untracked step, and parts of it that the tracker takes."""
    (tracked, plain), watch = models, Stopwatch()
    optimizers = [make(model) for model in models]
    for model, optimizer in zip(models, optimizers, strict=True):
        timed(model, optimizer, -1)  # the first step makes the state
    tracker = gl.track(tracked, optimizers[0], laws=laws, every=EVERY, turns=turns)
    outer = [optimizers[0].register_step_pre_hook(watch.start), optimizers[0].register_step_post_hook(watch.start)]
    seconds, own, cruder = [], ([], []), []
    with tracker:
        outer += [optimizers[0].register_step_pre_hook(watch.stop), optimizers[0].register_step_post_hook(watch.stop)]
        for turn in range(PAIRS):
            before = watch.seconds
            with_it, without = (timed(model, o, turn) for model, o in zip(models, optimizers, strict=True))
            seconds.append(without)
            own[turn % EVERY].append((watch.seconds - before) / without)
            if turn % EVERY == 0:
                cruder.append(with_it / without - 1)
    for hook in outer:
        hook.remove()
    assert tracker.findings == [], tracker.findings
    same = zip(tracked.parameters(), plain.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in same), "tracking changed the training"
    rest = max(record.unexplained or 0.0 for record in tracker.latest)
    recorded, other = map(median, own)
    return {"step": median(seconds), "recorded": recorded, "other": other, "cruder": median(cruder), "rest": rest}


def timed(model: nn.Module, optimizer: torch.optim.Optimizer, turn: int) -> float:
    """Seconds of one step; twins draw the same tokens."""
    torch.manual_seed(turn + 1)
    started = time.perf_counter()
    step(model, optimizer)
    return time.perf_counter() - started


def main() -> None:
    """Print one line for each optimizer and interval."""
    turns = int(sys.argv[2]) if sys.argv[1:2] == ["--turns"] else 1
    models = [small_gpt2(), small_gpt2()]
    size = sum(p.numel() for p in models[0].parameters())
    started = time.perf_counter()
    laws = gl.track(models[0], torch.optim.SGD(models[0].parameters(), lr=0.1), EXAMPLE).laws
    spent = time.perf_counter() - started
    print(f"{size / 1e6:.1f} million parameters, {BATCH * POSITIONS} tokens a step, {torch.get_num_threads()} threads")
    print(f"{sum(law.count for law in laws)} laws in {len(laws)} formulas, found in {spent:.1f} s; turns={turns}")
    heads = ("optimizer", "every", "step", "overhead", "target", "unexplained", "tracked/untracked - 1")
    print("{:<20}{:>6}{:>9}{:>10}{:>8}{:>13}{:>23}".format(*heads))
    for name, make in OPTIMIZERS.items():
        found = measured(models, make, laws, turns)
        for every, target in TARGET.items():
            overhead = (found["recorded"] + (every - 1) * found["other"]) / every
            cruder = f"{found['cruder']:.1%}" if every == 1 else ""
            print(
                f"{name:<20}{every:>6}{found['step']:>7.2f} s{overhead:>10.2%}{target:>8.0%}"
                f"{found['rest']:>13.1e}{cruder:>23}",
                flush=True,
            )


if __name__ == "__main__":
    main()
