"""The laws of GPT-2 small, 124 million parameters, at full size, with the time and memory of the whole process.

    python benchmarks/gpt2_small.py
    gradlaws laws benchmarks/gpt2_small.py:gpt2_small --lower-only

The model is built from its published configuration with random weights: laws do not depend on them.
"""

from __future__ import annotations

import resource
import time

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

import gradlaws as gl
from gradlaws.report.text import answer_text

LAYERS, HEADS, WIDTH, INNER, POSITIONS = 12, 12, 768, 3072, 1024


def gpt2_small() -> tuple[nn.Module, dict[str, object]]:
    """The model and two tokens: every block sees attention between them."""
    return GPT2LMHeadModel(GPT2Config()).eval(), {"input_ids": torch.tensor([[0, 1]]), "use_cache": False}


def expected() -> int:
    """Laws by hand: unused positions, then for each block heads, key biases, gains of norms and sums of outputs.

    LayerNorm removes the mean over channels, so sums over the channels that a block writes never move.
    """
    head = WIDTH // HEADS
    gram = HEADS * head * (head + 1) // 2
    block = 2 * gram + WIDTH + 2 * WIDTH + (WIDTH + 1) + (INNER + 1)
    return (POSITIONS - 2) * WIDTH + 2 + LAYERS * block


def main() -> None:
    """Find and print them."""
    started = time.perf_counter()
    answer = gl.laws(*gpt2_small(), lower_only=True)
    print(answer_text(answer))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{answer.count.lower} laws, {expected()} by hand; {time.perf_counter() - started:.0f} s, {memory:.1f} GiB")
    assert answer.count.lower == expected()


if __name__ == "__main__":
    main()
