"""What tracking costs: the time it takes as a part of the time of a training step, in one run.

    python benchmarks/tracking_overhead.py

A model of the shape of GPT-2, small enough that two cores train it at about one second a step, learns random tokens.
The clock runs from the moment before the tracker looks at a step to the moment after, before and after the optimizer.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

import gradlaws as gl

LAYERS, HEADS, WIDTH, VOCABULARY, POSITIONS, BATCH = 4, 4, 256, 4096, 256, 8
EXAMPLE = {"input_ids": torch.tensor([[0, 1]]), "use_cache": False}
PLANS = {(1, 1): 6, (1, 12): 13, (50, 1): 51}
"""Steps between records and turns that laws take, and for how many steps."""

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


def optimizers(model: nn.Module) -> dict[str, torch.optim.Optimizer]:
    """The usual one, and one with an exact identity."""
    return {
        "AdamW": torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.0),
        "SGD with momentum": torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
    }


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """One step on one batch of random tokens."""
    tokens = torch.randint(VOCABULARY, (BATCH, POSITIONS))
    optimizer.zero_grad()
    logits = model(input_ids=tokens).logits
    cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    optimizer.step()


def measured(
    model: nn.Module, optimizer: torch.optim.Optimizer, laws: Any, every: int, turns: int
) -> tuple[float, float, float]:
    """Seconds of a step without the tracker, seconds of the tracker a step, and the largest unexplained part."""
    watch, plain, spent = Stopwatch(), [], []
    tracker = gl.track(model, optimizer, laws=laws, every=every, turns=turns)
    outer = [optimizer.register_step_pre_hook(watch.start), optimizer.register_step_post_hook(watch.start)]
    with tracker:
        outer += [optimizer.register_step_pre_hook(watch.stop), optimizer.register_step_post_hook(watch.stop)]
        for _ in range(PLANS[every, turns]):
            before, started = watch.seconds, time.perf_counter()
            step(model, optimizer)
            whole, own = time.perf_counter() - started, watch.seconds - before
            plain.append(whole - own)
            spent.append(own)
    for hook in outer:
        hook.remove()
    assert tracker.findings == [], tracker.findings
    if turns > 1:
        own = sum(spent[:turns]) / turns  # one cycle: each law once
    else:
        recorded, other = spent[::every], [x for i, x in enumerate(spent) if i % every]
        own = (median(recorded) + (every - 1) * median(other or [0.0])) / every
    return median(plain), own, max(record.unexplained or 0.0 for record in tracker.latest)


def main() -> None:
    """Print one line for each optimizer and interval."""
    model = small_gpt2()
    size = sum(p.numel() for p in model.parameters())
    started = time.perf_counter()
    laws = gl.track(model, torch.optim.SGD(model.parameters(), lr=0.1), EXAMPLE).laws
    found = (
        f"{sum(law.count for law in laws)} laws in {len(laws)} formulas, found in {time.perf_counter() - started:.1f} s"
    )
    print(f"{size / 1e6:.1f} million parameters, {found}; {torch.get_num_threads()} threads")
    print(
        f"{'optimizer':<20}{'every':>6}{'turns':>6}{'step':>10}{'tracker':>11}{'overhead':>10}{'target':>8}{'unexplained':>13}"
    )
    for name, optimizer in optimizers(model).items():
        step(model, optimizer)  # the first step makes the state
        for every, turns in PLANS:
            plain, own, rest = measured(model, optimizer, laws, every, turns)
            line = f"{name:<20}{every:>6}{turns:>6}{plain:>8.2f} s{1000 * own:>8.1f} ms{own / plain:>10.2%}"
            print(f"{line}{TARGET[every]:>8.0%}{rest:>13.1e}", flush=True)


if __name__ == "__main__":
    main()
