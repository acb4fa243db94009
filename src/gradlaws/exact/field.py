"""Prime fields whose residues live in float64, so that BLAS does exact arithmetic.

A sum of K products of residues below p is an exact float64 integer while ``K (p - 1)**2 < 2**53``. Every product here
computes that bound first and splits longer sums, so no rounding can happen.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from gradlaws.errors import ExactnessError, InputError

LIMIT = 2**53
"""Integers of smaller magnitude are exact in float64."""

DEFAULT_PRIMES = (1048573, 1048571, 1048559, 1048549)
"""The largest primes below 2**20: sums of up to 8192 products need no split."""

_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)


def is_prime(n: int) -> bool:
    """Deterministic Miller-Rabin test, a proof for every n below 2**64 (Sorenson and Webster, 2015)."""
    if n < 2:
        return False
    for q in _WITNESSES:
        if n % q == 0:
            return n == q
    odd = n - 1
    twos = (odd & -odd).bit_length() - 1
    odd >>= twos
    for a in _WITNESSES:
        x = pow(a, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


@dataclass(frozen=True, slots=True)
class PrimeField:
    """The integers modulo a certified prime; tensors are float64 with entries in ``{0, ..., p - 1}``.

    Args:
        prime: a prime p with ``2**10 < p < 2**26``.
        device: the torch device that holds new tensors.
        guard: check after every operation that entries are integers below 2**53 (slow; for tests).

    Raises:
        InputError: the modulus is composite, too small or too large, or the device holds no float64 tensors.
    """

    prime: int
    device: str = "cpu"
    guard: bool = False

    def __post_init__(self) -> None:
        if not 2**10 < self.prime < 2**26:
            raise InputError(
                f"prime {self.prime} is out of range: expected a prime between 2**10 and 2**26, so that products "
                f"are exact in float64; {DEFAULT_PRIMES[0]} is a good choice"
            )
        if not is_prime(self.prime):
            raise InputError(f"modulus {self.prime} is composite: expected a prime, for example {DEFAULT_PRIMES[0]}")
        try:
            torch.ones(1, dtype=torch.float64, device=self.device).item()
        except (RuntimeError, AssertionError, TypeError) as error:
            raise InputError(
                f"device {self.device!r} cannot hold float64 numbers here: expected cpu, or cuda where torch finds one"
            ) from error

    @property
    def longest_sum(self) -> int:
        """How many products of residues may be added before a reduction."""
        return (LIMIT - 1) // (self.prime - 1) ** 2

    def check(self, x: Tensor) -> None:
        """Raise ExactnessError unless every entry is an integer of magnitude below 2**53."""
        if not torch.isfinite(x).all() or bool((x.abs() >= LIMIT).any()):
            raise ExactnessError(f"a magnitude reached 2**53 modulo {self.prime}: the sum was not split")
        if bool((x != x.round()).any()):
            raise ExactnessError(f"a value modulo {self.prime} is not an integer: a float constant entered the field")

    def reduce(self, x: Tensor) -> Tensor:
        """Representatives in ``{0, ..., p - 1}`` of integers of magnitude below 2**53."""
        if self.guard:
            self.check(x)
        return torch.remainder(x, self.prime)

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """Product over the field, shapes as in torch.matmul, both operands at least two-dimensional."""
        inner, step = a.shape[-1], self.longest_sum
        if inner <= step:
            return self.reduce(a @ b)
        parts = [self.reduce(a[..., i : i + step] @ b[..., i : i + step, :]) for i in range(0, inner, step)]
        return self.reduce(torch.stack(parts).sum(0))

    def random(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Uniform residues; drawn on the CPU so that every device sees the same numbers."""
        drawn = torch.randint(0, self.prime, shape, generator=generator, dtype=torch.int64)
        return drawn.to(device=self.device, dtype=torch.float64)

    def residue(self, value: Fraction | int) -> int:
        """The residue of a rational number.

        Raises:
            InputError: p divides the denominator.
        """
        fraction = Fraction(value)
        if fraction.denominator % self.prime == 0:
            raise InputError(f"{value} has no residue modulo {self.prime}: choose another prime")
        return fraction.numerator * pow(fraction.denominator, -1, self.prime) % self.prime
