"""The conservation laws of a whole pre-norm transformer block: attention, MLP, biases and normalisations.

    python examples/transformer_block.py

Whether the known laws of such a block are all was left open in the literature (Marcotte, Gribonval, Peyre 2025 treat
blocks without normalisation). At small width the closure answers: they are.

    gradlaws laws examples/transformer_block.py:make_block
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import gradlaws
from gradlaws.report.text import answer_text


class Block(nn.Module):
    """``x + Attention(LN(x))``, then ``x + MLP(LN(x))``."""

    def __init__(self, width: int = 3, heads: int = 1, head: int = 2, hidden: int = 2) -> None:
        """Separate projections of `heads` heads of width `head`."""
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, heads * head) for _ in range(3))
        self.out = nn.Linear(heads * head, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens ``[batch, time, width]`` to the same shape."""
        batch, time, _ = x.shape
        normal = self.norm1(x)
        q, k, v = (
            p(normal).view(batch, time, self.heads, -1).transpose(1, 2) for p in (self.query, self.key, self.value)
        )
        attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, time, -1))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


def make_block() -> tuple[nn.Module, Tensor]:
    """A small block and the shape of its inputs: two tokens are enough."""
    return Block(), torch.zeros(1, 2, 3)


def main() -> None:
    """Print the laws and the count."""
    answer = gradlaws.laws(*make_block())
    print(answer_text(answer))
    if not answer.complete:
        raise SystemExit("the laws of the block are not complete")


if __name__ == "__main__":
    main()
