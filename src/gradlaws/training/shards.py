"""Tensors of a model that is spread over processes: DTensor, as FSDP2 and tensor parallelism use it.

Every process sees the same steps. What is elementwise is done on the local shard; what needs a whole tensor gathers it,
in all processes alike, and lets it go again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

Thing = TypeVar("Thing")


def is_sharded(x: Tensor) -> bool:
    """Whether a tensor is one of a model that is spread over processes."""
    module: Any = sys.modules.get("torch.distributed.tensor")  # a second to import, and there if there is a DTensor
    return module is not None and isinstance(x, module.DTensor)


def whole(x: Tensor) -> Tensor:
    """All of a tensor; a collective of all processes if it is sharded."""
    return x.full_tensor() if is_sharded(x) else x  # type: ignore[attr-defined]


def whole_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of an optimizer's state, whole."""
    return {name: whole(x) if isinstance(x, Tensor) else x for name, x in state.items()}


def shard(x: Tensor) -> Tensor:
    """What of a tensor this process holds."""
    return x.to_local() if is_sharded(x) else x  # type: ignore[attr-defined]


def is_first() -> bool:
    """Whether this is the process that writes: the only one, or the first."""
    return not _running() or distributed.get_rank() == 0


def together(own: Thing) -> list[Thing]:
    """What each process has to say; a collective of all processes."""
    if not _running():
        return [own]
    every: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(every, own)
    return every


def _running() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def size(tensors: Iterable[Tensor]) -> float:
    """Euclidean size of several tensors together, without gathering any."""
    norms = [whole(x.detach().float().norm() if x.dtype.itemsize < 4 else x.detach().norm()) for x in tensors]
    return float(torch.stack([norm.double() for norm in norms]).norm()) if norms else 0.0
