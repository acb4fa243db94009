"""Programs of certificates as families of the library: an independent reading of every step."""

from __future__ import annotations

import zlib
from fractions import Fraction
from functools import reduce
from operator import add

import torch

from gradlaws.exact import formal, linalg
from gradlaws.exact.field import PrimeField
from gradlaws.exact.formal import constant_like
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.closure import close
from gradlaws.models.family import Family

FUNCTIONS = {
    name: (function, place)
    for function in (
        formal.EXP,
        formal.TANH,
        formal.SIGMOID,
        formal.SOFTPLUS,
        formal.NORMAL,
        formal.ERF,
        formal.SINE,
        formal.RECIPROCAL,
        formal.LOG,
        formal.INVERSE_ROOT,
    )
    for place, name in reversed(list(enumerate(function.name.split())))
}
"""Functions of the checker by name: which of the library's, and which of its values."""


class Steps(Family):
    """The program of a certificate, run on the library's jets."""

    name = "a program"
    assumptions = ()
    degree = 1_000
    monomials = 10**18

    def __init__(self, model):
        self.model = model

    @property
    def parameters(self):
        return dict.fromkeys(self.model["parameters"], ())

    @property
    def instance(self):
        return {f"{i}": () for i in range(len(self.model["sample"]))}

    def potential(self, theta, s):
        values = [*theta.values(), *s.values()]
        for name, *operands in self.model["steps"]:
            values.append(self._step(name, operands, values))
        return values[-1]

    def _step(self, name, operands, values):
        some = values[0]
        if name == "number":
            return constant_like(some.field.residue(Fraction(operands[0])), some)
        if name == "generic":
            return constant_like(zlib.crc32(operands[0].encode()), some)
        known = [values[i] for i in operands]
        if name == "still":
            return formal.Jet(known[0].coefficients.detach(), some.field)
        if name == "sum":
            return reduce(add, known)
        if name == "dot":
            return reduce(add, [a * b for a, b in zip(known[::2], known[1::2], strict=True)])
        function, place = FUNCTIONS[name]
        return function(known[0])[place]


def shown_by_the_library(model, laws):
    """Whether random fields of the library keep the laws, the laws are independent, and there is no room for others."""
    field, generator = PrimeField(1048571), torch.Generator().manual_seed(0)
    flow = GradientFlow(Steps(model))
    theta = flow.points(4, field, generator)
    velocity = flow.velocity(theta.unsqueeze(0), flow.draw(theta, field, generator), field)[0].long()
    rows = [
        [gradient_entry(law, row, i, field.prime) for i in range(len(row))]
        for row in theta.long().tolist()
        for law in laws
    ]
    gradients = torch.tensor(rows, dtype=torch.int64).reshape(4, len(laws), flow.dimension)
    moved = (gradients * velocity.unsqueeze(1) % field.prime).sum(-1) % field.prime
    independent = not laws or linalg.echelon(gradients[0].double(), field).rank == len(laws)
    upper = close(flow, field, generator, len(laws)).upper
    return not bool(moved.any()) and independent and upper == len(laws)


def gradient_entry(law, theta, variable, prime):
    """A partial derivative of a polynomial, monomial by monomial."""
    total = 0
    for coefficient, factors in law:
        power = factors.count(variable)
        if power:
            rest = list(factors)
            rest.remove(variable)
            term = coefficient * power
            for factor in rest:
                term = term * theta[factor] % prime
            total += term
    return total % prime
