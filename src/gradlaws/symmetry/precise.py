"""Float64 all the way through a module that casts to lower precision inside, as normalisations often do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_LOWER = (torch.float32, torch.float16, torch.bfloat16)
_CASTS = {Tensor.float: torch.float32, Tensor.half: torch.float16, Tensor.bfloat16: torch.bfloat16}


class Precise(TorchFunctionMode):
    """While it is entered, no cast makes a float64 tensor less precise."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Leave out what is a cast to lower precision."""
        kwargs = kwargs or {}
        if args and isinstance(args[0], Tensor) and args[0].dtype == torch.float64:
            if func in _CASTS:
                return args[0]
            if func in (Tensor.to, Tensor.type):
                args = tuple(torch.float64 if _lower(a) else a for a in args)
                kwargs = {name: torch.float64 if _lower(a) else a for name, a in kwargs.items()}
        return func(*args, **kwargs)


def _lower(a: Any) -> bool:
    """Whether it is a lower precision, or a tensor of one, given as a pattern."""
    return (a.dtype if isinstance(a, Tensor) else a) in _LOWER
