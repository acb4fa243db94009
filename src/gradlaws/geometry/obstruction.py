"""How likely an initialiser freezes signs of a scalar-output network (Nurisso, Leroy, Vaccarino 2024)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb, sqrt

import torch
from torch import nn

from gradlaws.errors import InputError
from gradlaws.geometry.chain import read_chain
from gradlaws.geometry.components import frozen_signs, reachable

INITIALISERS = ("kaiming", "xavier")


@dataclass(frozen=True, slots=True)
class Chances:
    """Of a ReLU network with a scalar output at its initial weights.

    Args:
        hidden: units of its last hidden layer.
        one: chance that a given unit cannot change the sign of its output weight.
        draws: how many networks were drawn, None for the closed form.
        some: chance that there is such a unit.
        same_sign: chance that all are such units, with one sign.
    """

    hidden: int
    one: float
    draws: int | None
    some: float
    same_sign: float

    @property
    def expected(self) -> float:
        """How many such units there are on average."""
        return self.hidden * self.one

    @property
    def error(self) -> float:
        """Standard error of `some`; 0 for the closed form."""
        return sqrt(self.some * (1 - self.some) / self.draws) if self.draws else 0.0

    def unreachable(self, positive: int, negative: int) -> float:
        """Chance that a target that needs so many positive and negative output weights is out of reach.

        Units are taken to be independent, their signs to be even.

        Raises:
            InputError: a number is negative.
        """
        if positive < 0 or negative < 0:
            raise InputError(f"{positive} positive and {negative} negative weights make no sense: expected counts >= 0")
        if positive + negative > self.hidden:
            return 1.0
        half, total = self.one / 2, 0.0
        for plus in range(self.hidden + 1):
            for minus in range(self.hidden + 1 - plus):
                if not reachable((positive, negative), (plus, minus), self.hidden):
                    ways = comb(self.hidden, plus) * comb(self.hidden - plus, minus)
                    total += ways * half ** (plus + minus) * (1 - self.one) ** (self.hidden - plus - minus)
        return total


def chances(inputs: int, hidden: int, initialiser: str | tuple[float, float] = "kaiming") -> Chances:
    """In closed form for normal weights without biases: a unit is frozen if ``|w|^2 < a^2``, an F distribution.

    Args:
        inputs: d.
        hidden: l.
        initialiser: ``kaiming`` (normal, fan in), ``xavier`` (normal), or the variances of w and of a.

    Raises:
        InputError: sizes or variances are not positive, or scipy is missing.
    """
    if not all(isinstance(n, int) and n >= 1 for n in (inputs, hidden)):
        raise InputError(f"{inputs} inputs and {hidden} hidden units are no network: expected at least 1 of each")
    if isinstance(initialiser, str):
        if initialiser not in INITIALISERS:
            raise InputError(f"unknown initialiser {initialiser!r}: expected {', '.join(INITIALISERS)} or variances")
        of = {"kaiming": (2 / inputs, 2 / hidden), "xavier": (2 / (inputs + hidden), 2 / (hidden + 1))}
        initialiser = of[initialiser]
    if not isinstance(initialiser, tuple | list) or len(initialiser) != 2 or not all(v > 0 for v in initialiser):
        raise InputError(f"variances {initialiser} make no sense: expected two positive numbers, of w and of a")
    inner, outer = initialiser
    try:
        from scipy.special import fdtrc  # noqa: PLC0415 - only needed here
    except ImportError:
        raise InputError("the F distribution needs scipy: pip install 'gradlaws[geometry]'") from None
    one = float(fdtrc(1, inputs, inputs * inner / outer))
    return Chances(hidden, one, None, 1 - (1 - one) ** hidden, 2 * (one / 2) ** hidden)


def simulate(make: Callable[[], nn.Module], draws: int = 1000, seed: int = 0) -> Chances:
    """The same for any initialiser and depth, by drawing networks with a scalar output.

    Args:
        make: builds a freshly initialised model.
        draws: how many.
        seed: of torch's random numbers, which are put back afterwards.
    """
    if not callable(make):
        raise InputError(f"cannot draw networks from {make!r}: expected a function that builds one, without arguments")
    if not isinstance(draws, int) or draws < 1:
        raise InputError(f"{draws} draws tell nothing: expected at least 1")
    frozen, some, same, hidden = 0, 0, 0, 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(draws):
            layers = read_chain(make())
            hidden, outputs = layers[-1].weight.shape[1], len(layers[-1].weight)
            if outputs != 1:
                raise InputError(
                    f"a network with {outputs} outputs has no obstruction to draw: expected a scalar output"
                )
            signs = [sign.positive for sign in frozen_signs(layers) if sign.layer == len(layers)]
            frozen, some = frozen + len(signs), some + bool(signs)
            same += len(signs) == hidden and len(set(signs)) == 1
    return Chances(hidden, frozen / draws / hidden, draws, some / draws, same / draws)
