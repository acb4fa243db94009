"""A copy of a module at random weights and inputs, to experiment with."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils import _pytree as pytree

from gradlaws.errors import InputError


def arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments.

    Raises:
        InputError: a tensor is empty.
    """
    if any(isinstance(x, Tensor) and not x.numel() for x in pytree.tree_leaves(example_inputs)):
        raise InputError("an example input is empty: expected at least one row")
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    return (tuple(example_inputs) if isinstance(example_inputs, list | tuple) else (example_inputs,)), {}


def outputs(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The floating point tensors that a module returns.

    Raises:
        InputError: it fails.
    """
    try:
        leaves = pytree.tree_leaves(module(*args, **kwargs))
    except Exception as error:
        raise InputError(f"{type(module).__name__} fails on the example inputs: {_line(error)}") from None
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def refuse_module(module: nn.Module) -> None:
    """See that this is a module with finite numbers in it.

    Raises:
        InputError: it is not.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"{type(module).__name__} is not understood: expected a torch.nn.Module")
    for name, p in module.named_parameters():
        if is_lazy(p) or p.is_meta:
            raise InputError(f"{name} has no values yet: run the module once, or load its weights")
        if p.is_complex() or not p.numel():
            raise InputError(f"{name} is {'complex' if p.is_complex() else 'empty'}: expected real numbers")
        if not bool(p.detach().isfinite().all()):
            raise InputError(f"{name} has entries that are NaN or infinite: expected finite weights")


def duplicate_of(module: nn.Module) -> nn.Module:
    """A copy in float64, on the CPU, in evaluation mode.

    Raises:
        InputError: it cannot be copied, or `refuse_module` refuses it.
    """
    refuse_module(module)
    try:
        return copy.deepcopy(module).to("cpu", torch.float64).eval()
    except Exception as error:
        raise InputError(f"cannot copy {type(module).__name__}: {_line(error)}") from None


def perturb(parameters: Mapping[str, Tensor], origin: Mapping[str, Tensor], random: torch.Generator) -> None:
    """Set parameters to generic values near others."""
    for name, p in parameters.items():
        usual = p.shape[-1] ** -0.5 if p.dim() > 1 else 0.6
        p.data = torch.rand(p.shape, generator=random, dtype=p.dtype).sub_(0.5).mul_(2 * usual)
        p.data += origin[name].detach().cpu()


def fresh_inputs(
    args: tuple[Any, ...], kwargs: dict[str, Any], random: torch.Generator
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Random numbers for floats, in float64; whole numbers as they are."""
    draw = [_fresh(leaf, random) for leaf in pytree.tree_leaves((args, kwargs))]
    return pytree.tree_unflatten(draw, pytree.tree_structure((args, kwargs)))


def _fresh(leaf: Any, random: torch.Generator) -> Any:
    """Random numbers for floats; the rest as it is."""
    if isinstance(leaf, Tensor) and leaf.is_floating_point():
        return torch.randn(leaf.shape, generator=random, dtype=torch.float64)
    return leaf.cpu() if isinstance(leaf, Tensor) else leaf


def _line(error: Exception) -> str:
    """The first line of what an error says, or its name."""
    return (str(error).splitlines() or [type(error).__name__])[0]
