"""Functional dimension: in how many directions the function that a network computes can move.

With E_Z the outputs on a finite batch Z as a function of the parameters, the batch functional dimension at theta is the
rank of its Jacobian; the functional dimension is the largest over all batches (Grigsby, Lindsey, Meyerhoff, Wu 2025).
Laws are orthogonal to all these gradients, so there are at most D - dimension of them.

Two engines that share no arithmetic. Exact: rows of the Jacobian modulo a prime, at the weights and inputs as the
binary fractions that they are, with the gates that are open there; batches of rows meet in one elimination that keeps a
quarter of D^2 numbers at most. The rank found is a proved lower bound of the rank over the rationals, and equal to it
unless p divides all its minors. Float64: a randomised range finder (Halko, Martinsson, Tropp 2011) on J^T.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.exact.field import DEFAULT_PRIMES, PrimeField
from gradlaws.flows.gradient import GradientFlow
from gradlaws.geometry.exact_rows import rows_on_data, sketched_rank, streamed_rank
from gradlaws.geometry.jacobian import Inputs, Jacobian
from gradlaws.geometry.range_finder import Spectrum, find_range
from gradlaws.laws.answer import as_family
from gradlaws.models.family import Family
from gradlaws.progress import Progress

ENGINES = ("exact", "float64")


@dataclass(frozen=True, slots=True)
class Dimension:
    """A functional dimension.

    Args:
        model: its name.
        rank: the dimension.
        parameters: D.
        rows: how many rows the Jacobian has; of a generic dimension, how many random rows were looked at.
        engine: ``exact`` or ``float64``.
        where: the point and the inputs, in words.
        spectrum: in floating point, the singular values that the rank rests on.
        seconds: wall time.
    """

    model: str
    rank: int
    parameters: int
    rows: int
    engine: str
    where: str
    spectrum: Spectrum | None
    seconds: float

    @property
    def fibre(self) -> int:
        """Dimension of the set of parameters with the same function nearby: D - rank."""
        return self.parameters - self.rank

    def __str__(self) -> str:
        text = f"{self.model}: functional dimension {self.rank} of {self.parameters} parameters, {self.where}"
        return f"{text} ({self.engine}{f', {self.spectrum}' if self.spectrum else ''})"


def functional_dimension(
    model: str | Family | nn.Module,
    example_inputs: Any = None,
    *,
    seed: int = 0,
    prime: int = DEFAULT_PRIMES[0],
    on_progress: Progress | None = None,
    **module_options: Any,
) -> Dimension:
    """The largest functional dimension of an architecture: that at generic parameters, inputs and gates, exactly.

    Args:
        model: a spec such as ``'relu 784-30-10 bias'``, a torch module, or a Family.
        example_inputs: for a module.
        seed: of the random numbers.
        prime: the modulus.
        on_progress: hears the name of the stage and the fraction done.
        **module_options: see `gradlaws.models.module.from_module`.

    Returns:
        A proved lower bound of the rank at generic parameters, and equal to it but for bad luck modulo p. With free
        gates it is the dimension that the architecture reaches if every activation pattern occurs.
    """
    started = time.perf_counter()
    with torch.inference_mode(False), torch.enable_grad():
        family = as_family(model, example_inputs, module_options)
        flow, field = GradientFlow(family), PrimeField(prime)
        generator = torch.Generator().manual_seed(seed)
        (point,) = flow.points(1, field, generator)

        def draw(count: int) -> Tensor:
            points = point.expand(count, -1)
            return flow.velocity(points.unsqueeze(0), flow.draw(points, field, generator), field)[0]

        rank, rows = streamed_rank(draw, None, family.dimension, field, on_progress, family.footprint)
    seconds = time.perf_counter() - started
    return Dimension(family.name, rank, family.dimension, rows, "exact", "at generic parameters", None, seconds)


def batch_dimension(
    module: nn.Module,
    inputs: Inputs,
    *,
    engine: str = "float64",
    seed: int = 0,
    prime: int = DEFAULT_PRIMES[0],
    on_progress: Progress | None = None,
) -> Dimension:
    """The batch functional dimension of a module at its weights, on given inputs: the rank of its Jacobian there.

    On many random inputs it is the computable full functional dimension (Bona-Pellissier, Malgouyres, Bachoc 2024).

    Args:
        module: in the mode that is meant; it is copied to float64.
        inputs: ``[N, ...]``.
        engine: ``float64``, any module, a randomised range finder; ``exact``, what the exact rules cover, each example
            by itself: weights and inputs count to the last bit, gates are those of the float64 run, smooth activations
            take generic values.
        seed: of the random numbers.
        prime: the modulus of the exact engine.
        on_progress: hears the name of the stage and the fraction done.

    Raises:
        InputError: a weight or an input is NaN, or nothing is trained.
    """
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}: expected one of {', '.join(ENGINES)}")
    started = time.perf_counter()
    real = _double(module)
    given = tuple(_wide(x) for x in (inputs if isinstance(inputs, tuple) else (inputs,)))
    jacobian = Jacobian(real, given)
    spectrum: Spectrum | None = None
    if engine == "exact":
        if len(given) != 1:
            raise InputError("the exact engine takes one input tensor: use engine='float64' for several")
        field, generator = PrimeField(prime), torch.Generator().manual_seed(seed)
        restart, rows = rows_on_data(real, given[0], field)
        rank = sketched_rank(restart, rows, jacobian.columns, field, generator, on_progress)
    else:
        spectrum = find_range(jacobian, torch.Generator().manual_seed(seed), on_progress)
        rank = spectrum.rank
    where = f"at its weights on {len(given[0])} inputs"
    seconds = time.perf_counter() - started
    return Dimension(type(module).__name__, rank, jacobian.columns, jacobian.rows, engine, where, spectrum, seconds)


def dimension_course(
    module: nn.Module, inputs: Inputs, checkpoints: Iterable[Mapping[str, Tensor]], **options: Any
) -> list[Dimension]:
    """The batch functional dimension at each checkpoint of a training run, one `state_dict` each.

    Args:
        module: any with these parameters; it is copied.
        inputs: ``[N, ...]``.
        checkpoints: may be a generator that trains in between.
        **options: of `batch_dimension`.

    Raises:
        InputError: a checkpoint does not fit the module, or as for `batch_dimension`.
    """
    duplicate, found = _double(module), []
    for number, state in enumerate(checkpoints):
        try:
            duplicate.load_state_dict(state)
        except RuntimeError as error:
            raise InputError(f"checkpoint {number} is not one of this module: {error}") from error
        found.append(batch_dimension(duplicate, inputs, **options))
    return found


def _double(module: nn.Module) -> nn.Module:
    if not isinstance(module, nn.Module):
        raise InputError(f"{type(module).__name__} has no weights: expected a torch module")
    return copy.deepcopy(module).double().cpu()


def _wide(x: Tensor) -> Tensor:
    if not isinstance(x, Tensor) or not x.dim() or not len(x):
        raise InputError("expected inputs [N, ...], a tensor with at least one example")
    return x.detach().cpu().double() if x.is_floating_point() else x.detach().cpu()
