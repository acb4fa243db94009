"""Random instances for the float64 engine: inputs, tokens, cotangents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradlaws.errors import InputError, UnsupportedError
from gradlaws.laws.numeric.gates import PIECES
from gradlaws.laws.numeric.real import RealModule, Sample, first_line, private

_LOOKUPS = ("embedding", "embedding_bag")


@dataclass(frozen=True, eq=False, slots=True)
class Sampler:
    """Where instances come from.

    Args:
        inputs: example inputs, flattened.
        outputs: shapes of the outputs.
        vocabularies: rows of the table that each input of tokens looks up, by its number among the inputs.
        loss: ``cross_entropy`` makes cotangents sum to zero over the last axis.
        keep: use the example inputs as they are.
        data: rows to take the tensors among the inputs from, in their order; None for random ones.
        pieces: functions in pieces that the forward pass calls and that have no random gates.
    """

    inputs: tuple[Any, ...]
    outputs: tuple[tuple[int, ...], ...]
    vocabularies: dict[int, int]
    loss: str
    keep: bool
    data: tuple[Tensor, ...] | None
    pieces: tuple[str, ...]

    def draw(self, generator: torch.Generator) -> Sample:
        """A random instance with normal cotangents."""
        inputs = self.draw_inputs(generator)
        cotangents = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in self.outputs]
        if self.loss == "cross_entropy":
            cotangents = [c - c.mean(-1, keepdim=True) if c.dim() else 0 * c for c in cotangents]
        return Sample(inputs, tuple(cotangents), int(torch.randint(2**31, (), generator=generator)))

    def draw_inputs(self, generator: torch.Generator) -> tuple[Any, ...]:
        """Inputs only."""
        if self.data is not None:
            return self._rows(self.data, generator)
        if self.keep:
            return self.inputs
        return tuple(self._random(i, leaf, generator) for i, leaf in enumerate(self.inputs))

    def _random(self, i: int, leaf: Any, generator: torch.Generator) -> Any:
        if isinstance(leaf, Tensor) and i in self.vocabularies:
            return torch.randint(self.vocabularies[i], leaf.shape, generator=generator)
        if isinstance(leaf, Tensor) and leaf.is_floating_point():
            return torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
        return leaf

    def _rows(self, data: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Any, ...]:
        """The same random rows of every tensor: one if a row is a whole input, else as many as the batch has."""
        tensors = [leaf for leaf in self.inputs if isinstance(leaf, Tensor)]
        whole = all(rows.shape[1:] == leaf.shape for rows, leaf in zip(data, tensors, strict=True))
        picked = torch.randint(len(data[0]), () if whole else tensors[0].shape[:1], generator=generator)
        given = iter(data)
        return tuple(next(given)[picked] if isinstance(leaf, Tensor) else leaf for leaf in self.inputs)


def make_sampler(real: RealModule, theta: Tensor, *, loss: str, keep: bool, data: Any) -> Sampler:
    """Look at one forward pass.

    Args:
        real: the module.
        theta: parameters ``[D]`` to run it with.
        loss: see Sampler.
        keep: see Sampler.
        data: a tensor ``[n, *shape of an input]`` or a tuple of them; see Sampler.

    Raises:
        InputError: the module fails on the inputs, or the rows of data have another shape than the inputs.
        UnsupportedError: no output can be trained.
    """
    looked_up: dict[int, int] = {}
    pieces: dict[str, None] = {}

    def listen(name: str, args: tuple[Any, ...]) -> None:
        if name in PIECES:
            pieces[name] = None
        if name in _LOOKUPS and len(args) > 1 and isinstance(args[0], Tensor) and isinstance(args[1], Tensor):
            tokens, table = sorted(args[:2], key=Tensor.is_floating_point)
            key = tokens.untyped_storage().data_ptr()
            looked_up[key] = min(len(table), looked_up.get(key, len(table)))

    rows = None if data is None else _check_rows(real, data)
    with torch.no_grad():
        args = private(real.leaves)
        try:
            outputs = real.outputs(theta, args, 0, listen)
        except Exception as error:
            raise InputError(
                f"{real.name} fails on the example inputs in float64: {first_line(error)}; pass inputs that its "
                "forward accepts"
            ) from error
    if not outputs:
        raise UnsupportedError(f"{real.name} returns no floating point tensor: nothing can be trained")
    vocabularies = {i: looked_up[key] for i, leaf in enumerate(args) if (key := _storage(leaf)) in looked_up}
    return Sampler(real.leaves, tuple(tuple(o.shape) for o in outputs), vocabularies, loss, keep, rows, tuple(pieces))


def _storage(leaf: Any) -> int:
    return leaf.untyped_storage().data_ptr() if isinstance(leaf, Tensor) else 0


def _check_rows(real: RealModule, data: Any) -> tuple[Tensor, ...]:
    """Data in float64, where they are floats at all."""
    given: Sequence[Any] = data if isinstance(data, tuple | list) else (data,)
    leaves = [leaf for leaf in real.leaves if isinstance(leaf, Tensor)]
    shapes = [tuple(leaf.shape) for leaf in leaves]
    found = [tuple(d.shape) if isinstance(d, Tensor) else type(d).__name__ for d in given]
    tensors = [d for d in given if isinstance(d, Tensor) and d.dim() and len(d)]
    fits = len(tensors) == len(given) == len(leaves) and len({len(d) for d in tensors}) == 1
    if fits and any(all(tuple(d.shape[1:]) == s[cut:] for d, s in zip(tensors, shapes, strict=True)) for cut in (0, 1)):
        return tuple(d.detach().double() if d.is_floating_point() else d.detach() for d in tensors)
    raise InputError(
        f"data of shapes {found} do not go with inputs of shapes {shapes}: expected one tensor [n, *shape] for each "
        "input tensor, the shape with or without its batch axis"
    )
