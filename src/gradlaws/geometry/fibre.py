"""The fibre of a network: parameters nearby with the same outputs, and what of it laws and known symmetries explain."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.flows.momentum import velocity_of
from gradlaws.geometry.dimension import Dimension, batch_dimension
from gradlaws.geometry.jacobian import Inputs, Jacobian, pulled, refuse_nan
from gradlaws.geometry.range_finder import rank_of
from gradlaws.laws.answer import laws as laws_of
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import Law
from gradlaws.laws.skew import SkewLaw

_PROBES = 20
_STILL = 1e-9
_CLOCK = "time"


@dataclass(frozen=True, slots=True)
class Fibre:
    """Directions at the weights that change no output, to first order.

    Args:
        dimension: the functional dimension that is left.
        laws: independent directions among the gradients of the laws; each of a quadratic one is a symmetry too.
        rotations: more directions, by rotations of hidden units, that give no laws.
        given: more directions, among those that the caller named.
    """

    dimension: Dimension
    laws: int
    rotations: int
    given: int

    @property
    def size(self) -> int:
        """Dimension of the fibre, D minus the functional dimension."""
        return self.dimension.fibre

    @property
    def hidden(self) -> int:
        """What neither laws nor known symmetries explain: hidden symmetries (Grigsby, Lindsey, Rolnick 2023)."""
        return self.size - self.laws - self.rotations - self.given

    def __str__(self) -> str:
        parts = f"{self.laws} by laws, {self.rotations} by rotations, {self.given} by given symmetries"
        return f"{self.dimension}\n  fibre of dimension {self.size}: {parts}, {self.hidden} hidden"


def fibre(
    module: nn.Module,
    inputs: Inputs,
    *,
    laws: Sequence[Law] | None = None,
    symmetries: Tensor | None = None,
    **options: Any,
) -> Fibre:
    """The fibre of a module at its weights, as far as the given inputs tell.

    Args:
        module: it is copied to float64.
        inputs: ``[N, ...]``; enough that every open unit is seen to be, or units show as hidden symmetries.
        laws: of the architecture, under gradient flow; found with `gradlaws.laws` if not given.
        symmetries: other known tangent directions, ``[m, D]``, parameters in the order of the module.
        **options: of `batch_dimension`.

    Raises:
        InputError: a symmetry changes the outputs, a law is one of another module, or a number is NaN.
    """
    dimension = batch_dimension(module, inputs, **options)
    real = copy.deepcopy(module).double().cpu()
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    example = tuple(x[:1].detach().cpu() for x in given)
    if laws is None:
        laws = laws_of(real, tuple(x.double() if x.is_floating_point() else x for x in example), lower_only=True).laws
    theta = {name: p.detach() for name, p in real.named_parameters() if p.requires_grad}
    empty = torch.zeros(0, dimension.parameters, dtype=torch.float64)
    by_laws = torch.cat([empty, *(_gradients(law, theta) for law in laws)])
    turned = torch.cat([empty, *(_rotations(law, theta) for law in laws if isinstance(law, GramLaw))])
    probes = _probes(real, given)
    known = empty if symmetries is None else _tangents(symmetries, dimension.parameters)
    if bool(_moves(probes, by_laws).any()):
        raise InputError("a given law is none of this module: expected those of gradlaws.laws(module, inputs)")
    if bool(_moves(probes, known).any()):
        raise InputError("a given symmetry changes the outputs to first order: expected tangents of the fibre, [m, D]")
    turned = turned[~_moves(probes, turned)]
    ranks = [rank_of(_unit(torch.cat(rows))).rank for rows in ([by_laws], [by_laws, turned], [by_laws, turned, known])]
    return Fibre(dimension, ranks[0], ranks[1] - ranks[0], ranks[2] - ranks[1])


def _gradients(law: Law, theta: dict[str, Tensor]) -> Tensor:
    """``[count, D]``, by reverse mode, which needs no D directions."""
    with torch.inference_mode(False), torch.enable_grad():
        direction = {name: torch.zeros_like(x).requires_grad_() for name, x in theta.items()}
        image = law.derivative(theta, direction).reshape(-1)
        return pulled(image, list(direction.values()), torch.eye(len(image), dtype=image.dtype))


def _rotations(law: GramLaw, theta: dict[str, Tensor]) -> Tensor:
    """Where a matrix of quadratic laws is, its units may turn into each other: tangents ``[pairs, D]``."""
    if law.selection != "matrix" or law.width == law.heads:
        return torch.zeros(0, sum(p.numel() for p in theta.values()), dtype=torch.float64)
    turning = SkewLaw(tuple(((part, part), 1) for part, _ in law.parts), law.width, _CLOCK, 0, law.heads)

    def momentum(*velocities: Tensor) -> Tensor:
        return turning.value(
            {**theta, _CLOCK: one, **{velocity_of(n): v for n, v in zip(theta, velocities, strict=True)}}
        )

    one, zero = torch.ones((), dtype=torch.float64), tuple(torch.zeros_like(p) for p in theta.values())
    parts = torch.autograd.functional.jacobian(momentum, zero)
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def _tangents(symmetries: Tensor, parameters: int) -> Tensor:
    if not isinstance(symmetries, Tensor) or symmetries.dim() != 2 or symmetries.shape[1] != parameters:
        shape = list(symmetries.shape) if isinstance(symmetries, Tensor) else type(symmetries).__name__
        raise InputError(
            f"symmetries are {shape}: expected a tensor [m, {parameters}] of tangents, one number a weight"
        )
    refuse_nan({"symmetries": symmetries}, "tensor")
    return symmetries.detach().double().cpu()


def _probes(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """A few random combinations of rows of the Jacobian, of length one."""
    jacobian = Jacobian(module, tuple(x.cpu().double() if x.is_floating_point() else x.cpu() for x in inputs))
    random = torch.randn(_PROBES, jacobian.rows, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return _unit(jacobian.pull(random))


def _moves(probes: Tensor, tangents: Tensor) -> Tensor:
    """Which tangents ``[m, D]`` change outputs."""
    return (probes @ _unit(tangents).T).abs().amax(0) > _STILL


def _unit(rows: Tensor) -> Tensor:
    lengths = rows.norm(dim=1, keepdim=True)
    return torch.where(lengths > 0, rows / lengths, rows)
