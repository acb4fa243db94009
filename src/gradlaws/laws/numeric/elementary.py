"""A forward pass in float64 from operations that torch can differentiate as often as one likes.

The third derivatives of torch's fused layer, batch and instance normalisation are wrong without a warning (by about 1%
in torch 2.13; second ones are right), so all normalisations are replaced by their definitions. Casts to a narrower
float are replaced by casts to float64, for a product rounded to float32 would hide every gap below 1e-7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from gradlaws.laws.numeric.gates import GATED
from gradlaws.laws.numeric.norms import NORMS, as_given, generic_small

Listener = Callable[[str, tuple[Any, ...]], None]
"""Hears the name and the positional arguments of every operation before it runs."""

_NARROW = frozenset({torch.float32, torch.float16, torch.bfloat16})
_CASTS = frozenset({torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16})
_SUMS = frozenset({torch.add, torch.Tensor.add, torch.Tensor.__add__, torch.Tensor.__radd__})


class Elementary(TorchFunctionMode):
    """While active, torch computes in float64 and normalises by definition; values are those of the usual operations.

    Args:
        generic: give piecewise linear functions random pieces, and small constants that are added a moderate size; see
            `gradlaws.laws.numeric.gates` and `gradlaws.laws.numeric.norms`.
        listener: see Listener.
    """

    def __init__(self, generic: bool = False, listener: Listener | None = None) -> None:
        super().__init__()
        self.listener = listener
        self.generic = generic

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self.listener:
            self.listener(getattr(func, "__name__", ""), args)
        if func in _CASTS:
            return args[0].double()
        args = tuple(map(_wide, args))
        named = {name: _wide(value) for name, value in (kwargs or {}).items()}
        if func in NORMS:
            return NORMS[func](*args, **named, small=generic_small if self.generic else as_given)
        if self.generic and func in GATED and args[0].is_floating_point():
            return GATED[func](*args, **named)
        if self.generic and func in _SUMS:
            args = tuple(generic_small(value) if isinstance(value, float) else value for value in args)
        return func(*args, **named)


@contextmanager
def quiet_float64() -> Iterator[None]:
    """Float64 by default and attention by its definition; torch's settings and random state are put back."""
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        with sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_rng_state(state)


def _wide(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value in _NARROW else value
