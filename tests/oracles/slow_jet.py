"""The ring F_p[e_1, ..., e_m] / (e_i^2) as dictionaries from sets of indices to residues."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SlowJet:
    """One element; subsets are bit sets, as in the library."""

    coefficients: dict[int, int]
    prime: int

    def __add__(self, other: SlowJet | int) -> SlowJet:
        other = self._lift(other)
        keys = self.coefficients.keys() | other.coefficients.keys()
        return SlowJet({k: (self[k] + other[k]) % self.prime for k in keys}, self.prime)

    __radd__ = __add__

    def __mul__(self, other: SlowJet | int) -> SlowJet:
        other = self._lift(other)
        total: dict[int, int] = {}
        for s, a in self.coefficients.items():
            for t, b in other.coefficients.items():
                if not s & t:
                    total[s | t] = (total.get(s | t, 0) + a * b) % self.prime
        return SlowJet(total, self.prime)

    __rmul__ = __mul__

    def __getitem__(self, subset: int) -> int:
        return self.coefficients.get(subset, 0)

    def _lift(self, other: SlowJet | int) -> SlowJet:
        return other if isinstance(other, SlowJet) else SlowJet({0: other % self.prime}, self.prime)
