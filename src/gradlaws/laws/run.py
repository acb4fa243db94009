"""One investigation: candidates are found, confirmed, reduced to independent ones, and bounded from above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gradlaws.errors import InputError
from gradlaws.flows.flow import Flow
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.blocks import find_block_laws
from gradlaws.laws.closed_form import closed_rank
from gradlaws.laws.closure import Closure, memory_total
from gradlaws.laws.independence import independent
from gradlaws.laws.law import Law
from gradlaws.laws.peeling import peeled
from gradlaws.laws.proof import covers, proved, tested_together
from gradlaws.laws.rational import rational_laws
from gradlaws.laws.request import Found, Request
from gradlaws.laws.search import polynomial_laws, unknowns
from gradlaws.laws.sparse import find_sparse_laws
from gradlaws.laws.structured import find_gram_laws
from gradlaws.models.family import Family
from gradlaws.models.network import Network
from gradlaws.models.symbolic import Parametrised

_AUTOMATIC_DEGREES = (4, 3, 2)
_AUTOMATIC_UNKNOWNS = 2_000
ENTRIES_LIMIT = 3_000
"""Parameters up to which every single entry is looked at."""

_RANK_WORK = 2 * 10**9


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """A family under gradient flow, and one request about it."""

    family: Family
    flow: Flow
    relaxed: Flow
    request: Request

    @classmethod
    def start(cls, family: Family, request: Request) -> Run:
        """Check the size.

        Raises:
            InputError: one gradient does not fit in memory.
        """
        need = 8 * (64 if isinstance(family, Network) else 10) * family.dimension
        if need > memory_total():
            raise InputError(
                f"{family.name} has {family.dimension} parameters and needs about {need / 2**30:.0f} GiB for a few "
                "exact gradients: use narrower layers of the same shape"
            )
        return cls(family, cls.flow_of(family), cls.flow_of(family.relaxed()), request)

    def structured(self) -> Found:
        """Quadratic and linear laws that a person would write.

        Axes of tensors, their parts and folds are looked at, at any size; of other families than networks also every
        single entry, while there are few enough.
        """
        field = self.request.fields[0]
        if isinstance(self.family, Network):
            return self._confirm(find_gram_laws(self.flow, field, self.request.stream(0)))
        laws = find_block_laws(
            self.relaxed, field, self.request.stream(5), self.family.tables, self.request.on_progress
        )
        if self.flow.dimension <= ENTRIES_LIMIT:
            laws += find_sparse_laws(self.relaxed, field, self.request.stream(0))
        return self._confirm(laws)

    def polynomial(self, degree: int) -> Found:
        """All polynomial laws up to a degree."""
        basis = polynomial_laws(self.relaxed, degree, self.request.fields[0], self.request.stream(1))
        found = self._confirm(basis)
        note = (
            f"generic ansatz: the polynomial laws of degree 1 to {degree} form a space of dimension {len(basis)}, "
            f"with {found.rank} independent gradients"
        )
        return replace(found, notes=(*found.notes, note))

    def search_further(self, found: Found) -> Found:
        """Add polynomial laws of the highest degree that is cheap, then rational ones, if there are any others."""
        for degree in _AUTOMATIC_DEGREES:
            if unknowns(self.flow.dimension, degree) <= _AUTOMATIC_UNKNOWNS:
                basis = polynomial_laws(self.relaxed, degree, self.request.fields[0], self.request.stream(2))
                more = self._confirm([*found.laws, *basis])
                note = f"no polynomial of degree at most {degree} gives another independent law"
                found = more if more.rank > found.rank else replace(found, notes=(*found.notes, note))
                break
        return self._search_quotients(found) if isinstance(self.family, Parametrised) else found

    def _search_quotients(self, found: Found) -> Found:
        """Add rational laws of a small parametrisation."""
        shapes, gradient = self.family.parameters, list(self.family.expanded_gradient())
        more = self._confirm(
            [*found.laws, *rational_laws(gradient, shapes, self.request.fields[0], self.request.stream(6))]
        )
        return more if more.rank > found.rank else found

    def close(self, lower: int) -> Closure | None:
        """The best closure, which may stop at `lower`; None where memory forbids it."""
        return self.request.close(self.flow, lower, stage=8)

    @staticmethod
    def flow_of(family: Family) -> Flow:
        """How a family is trained."""
        return GradientFlow(family)

    def _confirm(self, candidates: Sequence[Law]) -> Found:
        """Drop what is false, then what is dependent."""
        proofs = [proved(self.family, law) for law in candidates]
        open_laws = [law for law, done in zip(candidates, proofs, strict=True) if not done]
        trials = (
            tested_together(self.relaxed, open_laws, self.request.fields, self.request.stream(3)) if open_laws else []
        )
        false = {id(law) for law, trial in zip(open_laws, trials, strict=True) if not trial.held}
        kept = [law for law in candidates if id(law) not in false]
        notes = self._how(bool(kept), bool(open_laws))
        rank, laws = self._rank(kept, notes)
        eps = sum(trial.failure_probability for law, trial in zip(open_laws, trials, strict=True) if law in laws)
        return Found(laws, rank, min(1.0, eps), tuple(notes))

    def _how(self, some: bool, some_open: bool) -> list[str]:
        """How the laws were confirmed."""
        if not some_open:
            return [self.family.proofs] if some else []
        flow = self.relaxed
        notes = [
            "laws without a proof were tested at random points; failure probabilities are those of rational "
            f"identities of degree at most {flow.degree + 2}"
        ]
        if not covers(flow):
            notes.append(
                f"random ones of {flow.cases} tokens or rows were tried: the laws are taken to hold for all of them"
            )
        return notes

    def _rank(self, kept: list[Law], notes: list[str]) -> tuple[int, tuple[Law, ...]]:
        total = sum(law.count for law in kept)
        if total * max(total, self.flow.dimension) > _RANK_WORK:
            if isinstance(self.family, Network):
                notes.append(
                    f"the rank of {total} laws is the closed form of gradlaws.laws.closed_form, not an elimination"
                )
                return closed_rank(self.family), tuple(kept)
            return self._peeled(kept, total, notes)
        found = independent(kept, self.relaxed, self.request.fields[0], self.request.stream(4))
        entries = sum(law.count for law in found.laws)
        if found.rank < entries:
            notes.append(f"of {entries} entries {found.rank} are independent")
        return found.rank, found.laws

    def _peeled(self, kept: list[Law], total: int, notes: list[str]) -> tuple[int, tuple[Law, ...]]:
        laws = peeled(kept, self.flow.state)
        rank = sum(law.count for law in laws)
        notes.append(f"{rank} of {total} laws are independent, for each bundle owns a piece of a tensor")
        if rank < total:
            others = ", ".join(law.text for law in kept if law not in laws)
            notes.append(f"also conserved, but not counted as independent: {others}")
        return rank, laws
