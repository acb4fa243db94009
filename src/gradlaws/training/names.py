"""Which tensors a law touches, and what they are in a live model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gradlaws.laws.law import Law
from gradlaws.training.shards import shard

_WRAPPERS = ("module.", "_orig_mod.")
"""What data parallelism and compilation put before the names of a model."""


@dataclass(frozen=True, eq=False, slots=True)
class Live:
    """One parameter of the model under the name that laws use.

    Args:
        name: as in `Module.named_parameters` of the unwrapped model.
        parameter: the parameter itself, or its master copy in higher precision; two names may share one.
        twins: other names of the same parameter, or of one that shares its memory.
        gain: whether it is the gain of a normalisation.
    """

    name: str
    parameter: Tensor
    twins: tuple[str, ...]
    gain: bool


def touched(law: Law) -> tuple[str, ...]:
    """Names of all tensors that a law must be given, in its own order."""
    shapes = getattr(law, "shapes", None)
    if shapes is not None:
        return tuple(name for name, _ in shapes)
    return entering(law)


def entering(law: Law) -> tuple[str, ...]:
    """Names of the tensors that occur in the formula of a law."""
    names: list[str] = []
    for term in law.terms:
        names += [term["tensor"]] if "tensor" in term else [factor.split("[")[0] for factor in term["factors"]]
    return tuple(dict.fromkeys(names))


def home(names: Sequence[str]) -> str:
    """The innermost module that owns all tensors, empty for the model itself."""
    shared = []
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)


def live_parameters(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer] = ()) -> dict[str, Live]:
    """Every parameter by each of its names, with whom it shares memory.

    Where an optimizer holds master copies in higher precision in place of the parameters, those are taken.
    """
    gains = {
        f"{path}.weight" if path else "weight" for path, part in model.named_modules() if "Norm" in type(part).__name__
    }
    named = {_plain(name): p for name, p in model.named_parameters(remove_duplicate=False)}
    sharing: dict[tuple[int, int], list[str]] = defaultdict(list)
    for name, p in named.items():
        own = shard(p.detach())
        memory = own.untyped_storage().data_ptr() if own.device.type != "meta" else id(p)
        sharing[memory or id(p), int(own.storage_offset())].append(name)
    twins = {name: tuple(n for n in names if n != name) for names in sharing.values() for name in names}
    gains = {_plain(name) for name in gains}
    masters = _masters(list(named.values()), optimizers)
    return {name: Live(name, masters.get(id(p), p), twins[name], name in gains) for name, p in named.items()}


def _masters(parameters: Sequence[nn.Parameter], optimizers: Sequence[torch.optim.Optimizer]) -> dict[int, Tensor]:
    """Master copies by id of their parameters: what an optimizer holds that rounds to exactly a parameter."""
    held = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    known, listed = {id(p) for p in parameters}, {id(p) for p in held}
    spare = [p for p in held if id(p) not in known]
    found: dict[int, Tensor] = {}
    for p in parameters:
        if id(p) in listed or id(p) in found:
            continue
        wider = (x for x in spare if x.shape == p.shape and x.dtype.itemsize > p.dtype.itemsize)
        master = next((x for x in wider if torch.equal(shard(x.detach()).to(p.dtype), shard(p.detach()))), None)
        if master is not None:
            found[id(p)] = master
            spare = [x for x in spare if x is not master]
    return found


def _plain(name: str) -> str:
    while name.startswith(_WRAPPERS):
        name = name.split(".", 1)[1]
    return name
