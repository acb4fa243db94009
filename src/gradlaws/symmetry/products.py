"""Linear layers with nothing in between are one, multiplied out or through their narrowest point."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from gradlaws.symmetry.between import Between
from gradlaws.symmetry.recursion import frame
from gradlaws.symmetry.sequential import Layer


def without_chains(layers: list[Layer]) -> tuple[list[Layer], list[str]]:
    """Replace neighbours without an activation between by their product, or by its factors, where that is smaller.

    The inner width of a factored pair becomes the numerical rank of the product; the second factor gets orthonormal
    columns, so that nothing grows. Returns what was done in words too.
    """
    notes: list[str] = []
    done = layers[:1]
    for layer in layers[1:]:
        before = done[-1]
        if not (before.after.linear and _alike(before, layer)):
            done.append(layer)
            continue
        bias = _product_bias(before, layer)
        product = replace(layer, weight=layer.weight @ before.weight, bias=bias)
        q, r = frame(product.weight, reveal_rank=True)
        thin = [
            replace(before, weight=r, bias=None, after=Between(), embedding=None),
            replace(layer, weight=q[:, : len(r)], bias=bias),
        ]
        now = _size(before, layer)
        if _size(product) <= min(now, _size(*thin)):
            done[-1] = product
            notes.append(f"{before.name} and {layer.name}: one linear layer")
        elif _size(*thin) < now:
            done[-1:] = thin
            notes.append(f"{before.name} and {layer.name}: a product of rank {len(r)}")
        else:
            done.append(layer)
    return done, notes


def _alike(before: Layer, layer: Layer) -> bool:
    """Whether both are linear layers, and both are trained or frozen."""
    kinds = (before.kind, layer.kind)
    return all(isinstance(kind, nn.Linear) for kind in kinds) and len({k.weight.requires_grad for k in kinds}) == 1


def _product_bias(before: Layer, layer: Layer) -> Tensor | None:
    if before.bias is None:
        return layer.bias
    return layer.offset + layer.weight @ before.bias


def _size(*layers: Layer) -> int:
    return sum(layer.weight.numel() + (0 if layer.bias is None else layer.bias.numel()) for layer in layers)
