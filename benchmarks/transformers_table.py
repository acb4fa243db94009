"""The laws of models that nobody here wrote: configs of `transformers`, shrunk in width but not in structure.

    python benchmarks/transformers_table.py             # a line for each model
    python benchmarks/transformers_table.py --markdown  # the table and the laws of docs/models.md

Random weights, no download. Two tokens are enough; every class is the library's own, unchanged.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from torch import nn

from gradlaws import laws
from gradlaws.models.load import load_factory
from gradlaws.report.text import laws_text

TOKENS = torch.tensor([[0, 1]])
SPECIAL = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
DECODER = {
    "num_hidden_layers": 1,
    "hidden_size": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 5,
    "max_position_embeddings": 4,
    "tie_word_embeddings": False,
    **SPECIAL,
}
ENCODER = {"num_hidden_layers": 1, "hidden_size": 4, "num_attention_heads": 2, "intermediate_size": 3}
Made = tuple[nn.Module, dict]


def gpt2() -> Made:
    """One block, untied head, learned positions, tanh-GELU: D = 226."""
    config = transformers.GPT2Config(
        n_layer=1, n_embd=4, n_head=2, n_inner=6, vocab_size=7, n_positions=2, tie_word_embeddings=False, **SPECIAL
    )
    return transformers.GPT2LMHeadModel(config), {"input_ids": TOKENS, "use_cache": False}


def llama() -> Made:
    """Grouped-query attention, rotary positions, SwiGLU, RMSNorm."""
    config = transformers.LlamaConfig(intermediate_size=3, **DECODER)
    return transformers.LlamaForCausalLM(config), {"input_ids": TOKENS, "use_cache": False}


def mixtral() -> Made:
    """A mixture of two experts with top-2 routing."""
    config = transformers.MixtralConfig(
        intermediate_size=4, num_local_experts=2, num_experts_per_tok=2, experts_implementation="batched_mm", **DECODER
    )
    return transformers.MixtralForCausalLM(config), {"input_ids": TOKENS, "use_cache": False}


def bert() -> Made:
    """Post-norm encoder."""
    config = transformers.BertConfig(vocab_size=5, max_position_embeddings=2, type_vocab_size=1, **ENCODER)
    return transformers.BertModel(config, add_pooling_layer=False), {"input_ids": TOKENS}


def vit() -> Made:
    """Patches of an image through a pre-norm encoder."""
    config = transformers.ViTConfig(image_size=2, patch_size=2, num_channels=1, **ENCODER)
    return transformers.ViTModel(config, add_pooling_layer=False), {"pixel_values": torch.zeros(1, 1, 2, 2)}


def t5() -> Made:
    """Encoder and decoder, relative positions, cross attention."""
    config = transformers.T5Config(
        num_layers=1,
        num_decoder_layers=1,
        d_model=4,
        d_kv=2,
        num_heads=1,
        d_ff=3,
        vocab_size=5,
        relative_attention_num_buckets=4,
        tie_word_embeddings=False,
        decoder_start_token_id=0,
    )
    inputs = {"input_ids": TOKENS, "decoder_input_ids": TOKENS, "use_cache": False}
    return transformers.T5ForConditionalGeneration(config), inputs


def resnet() -> Made:
    """Convolutions, batch normalisation in evaluation mode, skips."""
    config = transformers.ResNetConfig(
        num_channels=1, embedding_size=2, hidden_sizes=[2, 3], depths=[1, 1], layer_type="basic", num_labels=2
    )
    return transformers.ResNetForImageClassification(config), {"pixel_values": torch.zeros(1, 1, 16, 16)}


def block() -> Made:
    """A whole pre-norm transformer block with biases and normalisations, written in plain PyTorch."""
    return load_factory(f"{Path(__file__).parent.parent / 'examples' / 'transformer_block.py'}:make_block")


MODELS: tuple[Callable[[], Made], ...] = (gpt2, llama, mixtral, bert, vit, t5, resnet, block)


def main() -> None:
    """One line for each model, or the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", action="store_true")
    markdown = parser.parse_args().markdown
    transformers.logging.set_verbosity_error()
    details = []
    if markdown:
        print("| model | parameters | laws | status | brackets | seconds |\n|---|---|---|---|---|---|")
    for make in MODELS:
        model, inputs = make()
        started = time.perf_counter()
        answer = laws(model.eval(), inputs)
        seconds, count = time.perf_counter() - started, answer.count
        row = (answer.model, count.parameters, count.lower, count.verdict, len(count.evidence.levels), f"{seconds:.0f}")
        line = "| {} | {} | {} | {} | {} | {} |" if markdown else "{:<30} {:>4} {:>3} {:<16} {} {:>4} s"
        print(line.format(*row))
        details.append(f"\n## {answer.model}\n\n{(make.__doc__ or '').strip()}\n\n```\n{laws_text(answer)}\n```")
    if markdown:
        print("\n".join(details))


if __name__ == "__main__":
    main()
