"""Random brackets at one real point, as rows of length one, and a test of the derivatives that they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from gradlaws.errors import UnclearError
from gradlaws.laws.numeric.bracket import Field, bracket_terms, gradient, nested, push
from gradlaws.laws.numeric.draw import Sampler
from gradlaws.laws.numeric.real import RealModule, Sample, private
from gradlaws.progress import Progress

"""Hears the name of a stage and the fraction of it that is done."""

_ZERO = 1e-12
"""Fields and brackets this small beside what they were computed from are zero up to rounding."""

_SHIFT = 1e-5
_AGREE = 1e-4
_TRIALS = 3


@dataclass(frozen=True, eq=False, slots=True)
class Site:
    """Where brackets are evaluated.

    Args:
        real: the module.
        sampler: of the instances.
        generator: of all random choices.
        theta: the parameters ``[D]``.
        on_progress: see Progress.
    """

    real: RealModule
    sampler: Sampler
    generator: torch.Generator
    theta: Tensor
    on_progress: Progress | None = None

    def brackets(self, length: int, count: int) -> Tensor:
        """Brackets of random words, ``[count, D]``, each of length one, or zero where it is zero up to rounding."""
        rows = self.theta.new_empty(count, len(self.theta))
        for i in range(count):
            rows[i] = self._gradient(self.sample()) if length == 1 else self._bracket(length)
            if self.on_progress:
                self.on_progress(f"real brackets of length {length}", (i + 1) / count)
        return rows

    def gradients(self, theta: Tensor, count: int) -> Tensor:
        """Gradients at other parameters, ``[count, D]``, each of length one or zero."""
        beside = Site(self.real, self.sampler, self.generator, theta)
        return torch.stack([beside._gradient(beside.sample()) for _ in range(count)])

    def sample(self) -> Sample:
        """A fresh instance."""
        return self.sampler.draw(self.generator)

    def check_derivative(self, length: int, moving: Tensor) -> None:
        """Compare the newest derivative that brackets of this length need with a central difference.

        Autograd is trusted for no module: custom backward passes, detached values and fused operations may be
        consistent to first order and wrong beyond. At a kink one difference can fail; that several do is no accident.

        Args:
            length: of the brackets.
            moving: flags ``[D]`` of the entries that have a gradient; torch may hold back the others, such as the row
                of a padding token.

        Raises:
            UnclearError: all trials fail.
        """
        if not all(self._differs(length, moving) for _ in range(_TRIALS)):
            return
        raise UnclearError(
            f"derivatives of order {length} of {self.real.name} contradict finite differences: its backward pass is "
            "not the derivative of its forward pass (a custom autograd function, detach, a fused operation), or the "
            "weights lie on a kink; use elementary operations and weights that are not exactly zero, or the exact "
            "engine, which does not use autograd"
        )

    def _differs(self, length: int, moving: Tensor) -> bool:
        """Whether a derivative of order `length` of one random potential is off."""
        theta = self.theta.clone().requires_grad_()
        direction = moving * torch.randn(theta.shape, generator=self.generator, dtype=theta.dtype)
        function = self._smooth(length)
        found = push(function(theta), theta, direction).detach()
        shift = _SHIFT * direction
        ahead, behind = (function((self.theta + s).requires_grad_()).detach() for s in (shift, -shift))
        expected = (ahead - behind) / (2 * _SHIFT)
        size = float(found.norm() + expected.norm()) + _SHIFT * (1 + float(ahead.norm()))
        return float((found - expected).norm()) > _AGREE * size

    def _smooth(self, length: int) -> Callable[[Tensor], Tensor]:
        """What brackets of this length differentiate: a potential, a field, or the terms of a bracket."""
        if length == 1:
            return partial(self.real.potential, sample=self.sample())
        *shorter, last = self._letters(length - 1)
        return (lambda theta: torch.cat(bracket_terms(last, nested(shorter), theta))) if shorter else last

    def _gradient(self, sample: Sample) -> Tensor:
        """The gradient of a potential at length one; rounding is judged by the size of the potential."""
        theta = self.theta.clone().requires_grad_()
        value = gradient(partial(self.real.potential, sample=sample))(theta).detach()
        with torch.no_grad():
            outputs = self.real.outputs(theta, private(sample.inputs), sample.seed)
        size = sum(float(c.norm() * o.norm()) for c, o in zip(sample.cotangents, outputs, strict=True))
        return _unit(value, size / max(1.0, float(self.theta.norm())))

    def _bracket(self, length: int) -> Tensor:
        *shorter, last = self._letters(length)
        first, second = (term.detach() for term in bracket_terms(last, nested(shorter), self._start()))
        return _unit(first - second, float(first.norm() + second.norm()))

    def _letters(self, length: int) -> list[Field]:
        """Gradient fields of length one at theta."""
        return [self._letter(self.sample()) for _ in range(length)]

    def _letter(self, sample: Sample) -> Field:
        size = float(gradient(partial(self.real.potential, sample=sample))(self._start()).detach().norm())
        scaled = sample.scaled(1 / size) if size > 0 else sample
        return gradient(partial(self.real.potential, sample=scaled))

    def _start(self) -> Tensor:
        return self.theta.clone().requires_grad_()


def _unit(value: Tensor, size: float) -> Tensor:
    """At length one, or zero where it is rounding of numbers of this size."""
    length = float(value.norm())
    return value / length if length > _ZERO * size else torch.zeros_like(value)
