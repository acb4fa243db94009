"""Family: named parameters and a sampler of scalar potentials; everything else derives from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradlaws.exact.field import PrimeField
from gradlaws.exact.polynomial import Polynomial, variables

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


def size(shapes: Shapes) -> int:
    """Number of scalars in named arrays."""
    return sum(prod(shape) for shape in shapes.values())


class Family(ABC):
    """Potentials ``psi(theta, s)``, one for each instance s: the input, the cotangent on the output, the open gates.

    For every data set and every loss the gradient with respect to theta is a combination of ``grad psi(theta, s)``
    over instances (Marcotte, Gribonval, Peyre 2023), so the conservation laws of gradient flow are those of the fields
    ``grad psi(., s)``.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What the user asked for, in a form that the spec reader accepts where there is one."""

    @property
    @abstractmethod
    def parameters(self) -> Shapes:
        """Names and shapes of the parameters theta, in the order in which they are flattened."""

    @property
    @abstractmethod
    def instance(self) -> Shapes:
        """Names and shapes of what is drawn afresh with each instance s, uniformly."""

    @property
    @abstractmethod
    def degree(self) -> int:
        """Total degree of psi as a polynomial in theta and s."""

    @property
    @abstractmethod
    def monomials(self) -> int:
        """How many monomials psi has at most, when it is expanded."""

    @property
    @abstractmethod
    def assumptions(self) -> tuple[str, ...]:
        """What is assumed of the non-polynomial pieces, for the evidence."""

    @property
    def proofs(self) -> str:
        """How laws are proved where they are, for the evidence."""
        return "every law is proved by expanding its polynomial identity"

    @abstractmethod
    def potential(self, theta: Mapping[str, Any], s: Mapping[str, Any]) -> Any:
        """The potential psi of one instance, written with ``+ - * @ .sum()`` only.

        The same program runs over jets of a prime field, over float64 tensors and over arrays of polynomials.
        """

    @property
    def footprint(self) -> int:
        """Numbers that one evaluation of psi holds in memory, about."""
        return self.dimension

    @property
    def scope(self) -> str:
        """For which data and losses the laws hold."""
        return "for every data set and loss"

    @property
    def cases(self) -> int:
        """How many draws of `covering` see every discrete case: tokens, rows of a data set."""
        return 1

    def covering(self, first: int) -> Family:
        """A family whose k-th draw is the discrete case number ``first + k``, with the same laws."""
        return self

    def idealised(self) -> Family | None:
        """The same without small constants that break symmetries of normalisations; None where there are none."""
        return None

    @property
    def tables(self) -> frozenset[str]:
        """Parameters of which one instance moves a few random rows only, such as those of an embedding."""
        return frozenset()

    def draw_parameters(self, count: int, field: PrimeField, generator: torch.Generator) -> Tensor:
        """Independent random parameters, flattened: ``[count, D]``."""
        return field.random((count, self.dimension), generator)

    def draw(self, theta: Tensor, field: PrimeField, generator: torch.Generator) -> dict[str, Tensor]:
        """One random instance for each row of theta ``[count, D]``: uniform unless a family says otherwise."""
        return {name: field.random((len(theta), *shape), generator) for name, shape in self.instance.items()}

    def relaxed(self) -> Family:
        """A family that is easier to sample and whose laws are laws of this one."""
        return self

    def sign_changes(self) -> list[list[int]]:
        """Sets of flattened parameters whose joint change of sign maps the set of potentials to itself.

        Laws split along these symmetries, which makes the search for polynomial ones faster; none need be given.
        """
        return []

    def expanded(self) -> Polynomial:
        """The potential as a polynomial: the parameters come first, flattened, then the instance."""
        theta = {name: variables(self.parameters, name) for name in self.parameters}
        s = {name: variables(self.instance, name, self.dimension) for name in self.instance}
        return self.potential(theta, s)

    def expanded_gradient(self) -> Any:
        """The partial derivatives of psi in the parameters, as an array of polynomials."""
        psi, gradient = self.expanded(), np.empty(self.dimension, dtype=object)
        gradient[:] = [psi.derivative(i) for i in range(self.dimension)]
        return gradient

    @property
    def dimension(self) -> int:
        """Number D of scalar parameters."""
        return size(self.parameters)
