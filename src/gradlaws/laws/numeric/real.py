"""A copy of the user's module in float64, as potentials ``psi(theta; s) = <c, f(theta, x)>``."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils import _pytree as pytree

from gradlaws.errors import InputError, UnsupportedError
from gradlaws.laws.numeric.elementary import Elementary, Listener


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """One instance s.

    Args:
        inputs: leaves of the inputs of the forward pass.
        cotangents: one for each floating point output.
        seed: of what the forward pass draws itself, such as dropout masks.
    """

    inputs: tuple[Any, ...]
    cotangents: tuple[Tensor, ...]
    seed: int

    def scaled(self, factor: float) -> Sample:
        """The same with longer or shorter cotangents; the potential is linear in them."""
        return Sample(self.inputs, tuple(factor * c for c in self.cotangents), self.seed)


@dataclass(frozen=True, eq=False, slots=True)
class RealModule:
    """The copy, and where each parameter goes.

    Args:
        module: a float64 copy of the user's module, in the mode of the original.
        shapes: names and shapes of the parameters that move, in the order in which theta ``[D]`` is cut.
        fixed: values of all other parameters.
        leaves: example inputs, flattened.
        structure: puts leaves back into ``(args, kwargs)``.
        generic: see Elementary.
    """

    module: nn.Module
    shapes: Mapping[str, tuple[int, ...]]
    fixed: Mapping[str, Tensor]
    leaves: tuple[Any, ...]
    structure: Any
    generic: bool

    @property
    def name(self) -> str:
        """The class of the module."""
        return type(self.module).__name__

    @property
    def dimension(self) -> int:
        """Number of scalars that move."""
        return sum(map(prod, self.shapes.values()))

    def weights(self) -> Tensor:
        """The current values of the parameters that move, ``[D]``."""
        owned = dict(self.module.named_parameters())
        return torch.cat([owned[name].detach().reshape(-1) for name in self.shapes])

    def random_point(self, generator: torch.Generator) -> Tensor:
        """Normal random parameters ``[D]``."""
        return torch.cat([random_values(shape, generator).reshape(-1) for shape in self.shapes.values()])

    def cut(self, theta: Tensor) -> dict[str, Tensor]:
        """Named tensors from flat ones ``[D]``."""
        pieces = theta.split([prod(shape) for shape in self.shapes.values()])
        return {name: piece.view(shape) for piece, (name, shape) in zip(pieces, self.shapes.items(), strict=True)}

    def outputs(
        self, theta: Tensor, inputs: Sequence[Any], seed: int, listener: Listener | None = None
    ) -> list[Tensor]:
        """All floating point outputs; buffers are copied afresh, so that one run does not see another."""
        args, kwargs = pytree.tree_unflatten(list(inputs), self.structure)
        buffers = {name: b.clone() for name, b in self.module.named_buffers()}
        torch.default_generator.manual_seed(seed)
        with Elementary(self.generic, listener):
            result = functional_call(self.module, {**self.cut(theta), **self.fixed, **buffers}, args, kwargs)
        return [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor) and leaf.is_floating_point()]

    def potential(self, theta: Tensor, sample: Sample) -> Tensor:
        """``<c, f(theta, x)>`` over all outputs."""
        outputs = self.outputs(theta, private(sample.inputs), sample.seed)
        pairs = zip(sample.cotangents, outputs, strict=True)
        return torch.stack([(c * output).sum() for c, output in pairs]).sum()


def real_module(
    module: nn.Module, example_inputs: Any, parameters: str | None, generator: torch.Generator | None
) -> RealModule:
    """Copy a module to float64; the original is only read.

    Args:
        module: any module whose parameters and outputs are real.
        example_inputs: a tensor, a tuple of positional or a dict of keyword arguments.
        parameters: only those under this prefix move; None for all that require a gradient.
        generator: for a generic point, where it gives the parameters that do not move random values; None for the
            module as it is.

    Raises:
        InputError: no parameter moves.
        UnsupportedError: the module cannot be copied.
    """
    try:
        duplicate = copy.deepcopy(module).double().cpu()
    except Exception as error:
        raise UnsupportedError(
            f"cannot copy {type(module).__name__} to float64: {first_line(error)}; expected parameters and buffers "
            "that copy.deepcopy can handle"
        ) from None
    shapes, fixed = {}, {}
    for name, p in duplicate.named_parameters():
        if p.requires_grad and (parameters is None or f"{name}.".startswith(f"{parameters.rstrip('.')}.")):
            shapes[name] = tuple(p.shape)
        else:
            fixed[name] = p.detach().clone() if generator is None else random_values(tuple(p.shape), generator)
    if not shapes:
        raise InputError(_nothing_moves(module, parameters))
    keyword = isinstance(example_inputs, dict)
    args = () if keyword else tuple(example_inputs) if isinstance(example_inputs, tuple | list) else (example_inputs,)
    leaves, structure = pytree.tree_flatten((args, example_inputs if keyword else {}))
    return RealModule(duplicate, shapes, fixed, tuple(map(_as_float64, leaves)), structure, generator is not None)


def random_values(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Normal numbers, those of matrices shrunk so that products of random vectors keep their size."""
    return torch.randn(shape, generator=generator, dtype=torch.float64) / max(1, prod(shape[1:])) ** 0.5


def private(inputs: Sequence[Any]) -> tuple[Any, ...]:
    """Copies that the user's code may write to."""
    return tuple(leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in inputs)


def first_line(error: Exception) -> str:
    """What an error of somebody else's says, for use in a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _as_float64(leaf: Any) -> Any:
    """A private copy on the CPU; tokens as int64, so that looking them up needs no cast."""
    if not isinstance(leaf, Tensor):
        return leaf
    wide = {True: torch.float64, False: torch.bool if leaf.dtype == torch.bool else torch.int64}
    return leaf.detach().clone().to("cpu", wide[leaf.is_floating_point()])


def _nothing_moves(module: nn.Module, prefix: str | None) -> str:
    if prefix is None:
        return f"{type(module).__name__} has no parameters that require a gradient: nothing is trained"
    some = ", ".join(list(dict(module.named_parameters()))[:3])
    return f"no trainable parameter of {type(module).__name__} is under {prefix!r}: names are like {some}"
