"""Answer: the laws of a model, how many there are, and whether these are all."""

from __future__ import annotations

from dataclasses import dataclass

from gradlaws.laws.count import Count, Evidence, Status
from gradlaws.laws.law import Law


@dataclass(frozen=True, slots=True)
class Answer:
    """The laws of a model, how many there are, and whether these are all.

    Args:
        model: what was asked about.
        laws: bundles of laws with independent gradients.
        count: bounds, status and evidence.
        scope: for which data and losses the laws hold.
        flow: how it is trained, as a subject.
    """

    model: str
    laws: tuple[Law, ...]
    count: Count
    scope: str = "for every data set and loss"
    flow: str = "gradient flow"

    @property
    def status(self) -> Status:
        """The status of the count."""
        return self.count.status

    @property
    def evidence(self) -> Evidence:
        """The evidence of the count."""
        return self.count.evidence

    @property
    def complete(self) -> bool:
        """Whether every other law is a function of these."""
        return self.count.complete

    def __str__(self) -> str:
        lines = [f"{self.model}: {self.count} independent laws, {self.count.parameters} parameters"]
        lines += [f"  {law.text}  ({law.kind}, {law.count})" for law in self.laws]
        lines += [f"  note: {note}" for note in self.evidence.notes]
        return "\n".join(lines)
