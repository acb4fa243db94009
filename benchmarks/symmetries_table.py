"""The whole Lie algebra of linear symmetries of models that nobody here wrote, and the groups found by gradients.

    python benchmarks/symmetries_table.py [NAME ...]     # the models of transformers_table.py
    python benchmarks/symmetries_table.py --large [NAME ...]

For each model of `transformers_table.py`: the exact count with its status, and the dimension of the groups that
`couplings` finds numerically, which are all but the shifts that other parameters absorb. With ``--large``: models of
thousands of parameters, where bounds from a few points replace the solution for all unknowns.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers

import gradlaws as gl
from gradlaws.laws.answer import as_family
from gradlaws.models.family import Family
from gradlaws.symmetry.couple import couplings
from transformers_table import DECODER, MODELS, SPECIAL


def gpt2(width: int, hidden: int, heads: int) -> Family:
    """One block of GPT-2, untied head, four positions."""
    config = transformers.GPT2Config(
        n_layer=1,
        n_embd=width,
        n_head=heads,
        n_inner=hidden,
        vocab_size=11,
        n_positions=4,
        tie_word_embeddings=False,
        **SPECIAL,
    )
    inputs = {"input_ids": torch.tensor([[0, 1, 2, 3]]), "use_cache": False}
    return as_family(transformers.GPT2LMHeadModel(config).eval(), inputs, {})


def llama() -> Family:
    """Four query heads on two key heads of width 4, rotary positions, gated units."""
    sizes = {"hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 11}
    config = transformers.LlamaConfig(intermediate_size=24, **DECODER | sizes)
    inputs = {"input_ids": torch.tensor([[0, 1, 2]]), "use_cache": False}
    return as_family(transformers.LlamaForCausalLM(config).eval(), inputs, {})


LARGE: dict[str, Callable[[], Any]] = {
    "relu 20-30-10 bias": lambda: "relu 20-30-10 bias",
    "relu 40-60-30-10 bias": lambda: "relu 40-60-30-10 bias",
    "linear 16-32-16": lambda: "linear 16-32-16",
    "linear 32-32-32 bias": lambda: "linear 32-32-32 bias",
    "llama-16": llama,
    "gpt2-16": lambda: gpt2(16, 32, 2),
    "gpt2-32": lambda: gpt2(32, 128, 4),
}


def main() -> None:
    """One line for each model."""
    transformers.logging.set_verbosity_error()
    names = [name for name in sys.argv[1:] if name != "--large"]
    if "--large" in sys.argv:
        for name, make_large in LARGE.items():
            if not names or name in names:
                large(name, make_large())
        return
    for make in MODELS:
        if names and make.__name__ not in names:
            continue
        model, inputs = make()
        started = time.perf_counter()
        found = gl.symmetries(model.eval(), inputs)
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        groups = couplings(model, inputs)
        print(
            f"{found.model:<30} D = {found.count.parameters:>3}, {len(found.translations):>2} directions stand still, "
            f"{found.count!s:<18} symmetries, {found.laws:>2} carry laws ({seconds:.0f} s); groups of dimension "
            f"{sum(group.dimension for group in groups)} ({time.perf_counter() - started:.1f} s)"
        )
        for block in found.blocks:
            print(f"    {block}")


def large(name: str, model: Any) -> None:
    """The bounds, and how long they take."""
    started = time.perf_counter()
    found = gl.symmetries(model)
    print(
        f"{name:<22} D = {found.count.parameters:>5}, {len(found.translations):>3} directions stand still, "
        f"{found.count!s:<22} symmetries, {found.laws:>4} carry laws, rank {found.rank} "
        f"({time.perf_counter() - started:.0f} s)",
        flush=True,
    )
    for block in found.blocks:
        print(f"    {block}")
    print(f"    {found.evidence.notes[0]}")


if __name__ == "__main__":
    main()
