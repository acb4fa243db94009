"""Balance of a GPT-2-small-sized model in float32: time, norms, and how much the logits change.

    python benchmarks/balance_gpt2.py

Random weights from the published configuration, made uneven by random group elements first, so that there is something
to balance. Nothing is known of the architecture: the groups are found from gradients of the module itself.
"""

from __future__ import annotations

import resource
import time

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from gradlaws.symmetry.balance import balance_

TOKENS = 16
LARGEST_SECONDS, LARGEST_ERROR = 30.0, 1e-4
GROUPS = 4 * 12
"""In each layer the gains of two normalisations, queries with keys, values with outputs."""


def main() -> None:
    """Build, balance, compare."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config()).eval()
    with torch.no_grad():
        for block in model.transformer.h:
            for norm in (block.ln_1, block.ln_2):
                norm.weight.mul_(torch.exp(0.5 * torch.randn_like(norm.weight)))
    probe = torch.randint(0, model.config.vocab_size, (1, TOKENS))
    with torch.no_grad():
        before = model(probe).logits.clone()
    started, busy = time.perf_counter(), time.process_time()
    result = balance_(model, {"input_ids": torch.tensor([[0, 1, 2]]), "use_cache": False}, tolerance=1e-6)
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    with torch.no_grad():
        error = float((model(probe).logits - before).abs().max())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(result)
    print(
        f"{model.num_parameters()} parameters, {seconds:.1f} s ({busy:.1f} s of processor), {memory:.1f} GiB, "
        f"largest change of a logit {error:.1e} (largest logit {float(before.abs().max()):.2f})"
    )
    assert len(result.couplings) == GROUPS
    assert seconds < LARGEST_SECONDS
    assert error < LARGEST_ERROR


if __name__ == "__main__":
    main()
