"""Which groups still hold elsewhere: at other weights and at inputs of other sizes than those that they were found at.

A unit that is open on all inputs of one size looks linear, one that saturates nowhere looks homogeneous. A random
element of every group is tried at small and large inputs, and at weights far from those of the module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gradlaws.symmetry.coupling import Coupling
from gradlaws.symmetry.group_action import GroupAction, State
from gradlaws.symmetry.precise import Precise
from gradlaws.symmetry.trial import arguments, duplicate_of, fresh_inputs, outputs, perturb

SIZES = (0.1, 1.0, 10.0, 100.0)
"""Of random inputs."""

_LARGE = 20_000_000
"""Parameters beyond which a trial takes seconds, and no layer is so narrow that it is open or dead as a whole."""

_CLOSE = 1e-6

Inputs = tuple[tuple[Any, ...], dict[str, Any]]
Kind = TypeVar("Kind", bound=GroupAction)


def holding(module: nn.Module, example_inputs: Any, groups: Sequence[Kind], seed: int) -> tuple[Kind, ...]:
    """Those that change something, but no output; of modules of more than 20 million parameters all, untried.

    Raises:
        InputError: the module fails on the inputs.
    """
    if not groups or sum(p.numel() for p in module.parameters()) > _LARGE:
        return tuple(groups)
    duplicate = duplicate_of(module)
    parameters = {name: p for name, p in duplicate.named_parameters() if p.requires_grad}
    places = list(_places(parameters, *arguments(example_inputs), torch.Generator().manual_seed(seed + 1)))
    elements = [_element(group, torch.Generator().manual_seed(number)) for number, group in enumerate(groups)]
    moving = [
        (group, element)
        for group, element in zip(groups, elements, strict=True)
        if any(not torch.equal(x, places[0][0][name]) for name, x in group.act(places[0][0], element).items())
    ]
    if all(_stays(duplicate, parameters, place, moving) for place in places):
        return tuple(group for group, _ in moving)
    return tuple(one[0] for one in moving if all(_stays(duplicate, parameters, place, [one]) for place in places))


def _places(
    parameters: dict[str, nn.Parameter], args: tuple[Any, ...], kwargs: dict[str, Any], random: torch.Generator
) -> Iterator[tuple[State, Inputs]]:
    """Weights and inputs: around nothing, then around those of the module with inputs of several sizes."""
    origin = {name: p.detach().clone() for name, p in parameters.items()}
    nothing = {name: torch.zeros_like(x) for name, x in origin.items()}
    sizes = SIZES if any(map(_real, pytree.tree_leaves((args, kwargs)))) else (1.0,)
    for centre, size in [(nothing, 1.0), *((origin, size) for size in sizes)]:
        perturb(parameters, centre, random)
        drawn = fresh_inputs(args, kwargs, random)
        inputs = pytree.tree_map(lambda x, size=size: size * x if _real(x) else x, drawn)
        yield {name: p.detach().clone() for name, p in parameters.items()}, inputs


def _stays(
    duplicate: nn.Module,
    parameters: dict[str, nn.Parameter],
    place: tuple[State, Inputs],
    moving: Sequence[tuple[GroupAction, Tensor]],
) -> bool:
    """Whether no output changes; numbers that overflow before say nothing."""
    state, (args, kwargs) = place
    moved = dict(state)
    for group, element in moving:
        moved |= group.act(moved, element)
    with torch.no_grad(), Precise():
        seen = []
        for each in (state, moved):
            for name, p in parameters.items():
                p.data.copy_(each[name])
            seen.append(outputs(duplicate, args, kwargs))
    return all(_alike(a, b) for a, b in zip(*seen, strict=True) if bool(a.isfinite().all()))


def _alike(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    return not a.numel() or float((a - b).abs().max()) <= _CLOSE * max(1e-300, float(a.abs().max()))


def _element(group: GroupAction, random: torch.Generator) -> Tensor:
    """A random element near one, or near zero."""
    noise = 0.3 * torch.randn(group.shape, generator=random, dtype=torch.float64)
    if not isinstance(group, Coupling):
        return noise
    if group.group == "complex":
        return torch.exp(torch.complex(noise, noise.flip(0)))
    if group.group == "positive":
        return noise.exp()
    if group.group == "orthogonal":
        noise = noise - noise.mT
    return torch.linalg.matrix_exp(noise / group.shape[-1] ** 0.5)


def _real(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()
