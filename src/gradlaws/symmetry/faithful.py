"""Two networks compared on random inputs: what is called lossless is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils import _pytree as pytree

from gradlaws.errors import InputError, UnclearError, UnsupportedError

SCALES = (0.0, 0.1, 1.0, 1.0, 10.0)
"""Sizes of the random inputs."""


def measured(
    run: Callable[[nn.Module, Any], Any], original: nn.Module, compressed: nn.Module, probes: Sequence[Any]
) -> tuple[float, float]:
    """The largest difference of the outputs and the largest output.

    Raises:
        InputError: the original fails on the inputs, or returns numbers that are not finite.
        UnclearError: they differ by more than half of the digits: rounding decides a jump of an activation.
    """
    error = scale = 0.0
    with torch.no_grad():
        for probe in probes:
            try:
                expected = pytree.tree_leaves(run(original, probe))
            except Exception as failure:
                raise InputError(f"{type(original).__name__} fails on the example inputs: {failure}") from None
            for a, b in zip(expected, pytree.tree_leaves(run(compressed, probe)), strict=True):
                if not bool(a.isfinite().all()):
                    raise InputError(f"{type(original).__name__} returns numbers that are not finite on random inputs")
                error = max(error, float((a - b).abs().nan_to_num(torch.inf).max()))
                scale = max(scale, float(a.abs().max()))
                eps = torch.finfo(a.dtype).eps
    if not error <= eps**0.5 * scale:
        raise UnclearError(
            f"the new network differs by {error:.1e}, the largest output is {scale:.1e}: in {a.dtype} rounding "
            "decides on which side of a jump or a kink a state falls; use a copy in float64"
        )
    return error, scale


def random_like(example: Tensor, scale: float, generator: torch.Generator) -> Tensor:
    """Normal numbers of this size in the shape of the example; whole numbers stay as they are."""
    if not example.is_floating_point():
        return example
    drawn = torch.randn(example.shape, generator=generator, dtype=torch.float64)
    return (scale * drawn).to(example)


def refuse_weights(net: nn.Module) -> None:
    """See that the parameters are plain tensors of finite real numbers, each used once.

    Raises:
        InputError: they are not finite, or shared.
        UnsupportedError: there is a hook or a parametrisation.
    """
    for name, part in net.named_modules():
        if parametrize.is_parametrized(part) or part._forward_pre_hooks or part._forward_hooks:
            raise UnsupportedError(
                f"{name or type(net).__name__} has a parametrisation or a hook, which a smaller copy would lose: "
                "remove it first (torch.nn.utils.parametrize.remove_parametrizations)"
            )
    seen: dict[int, str] = {}
    for name, p in net.named_parameters(remove_duplicate=False):
        if p.is_meta or not p.is_floating_point():
            raise InputError(
                f"the parameter {name} holds {p.dtype} on {p.device}: expected real floating point numbers"
            )
        if not bool(p.detach().isfinite().all()):
            raise InputError(f"the parameter {name} has entries that are not finite: expected numbers")
        if id(p) in seen:
            raise InputError(
                f"{seen[id(p)]} and {name} are one parameter: untie them, for they shrink in different ways"
            )
        seen[id(p)] = name
