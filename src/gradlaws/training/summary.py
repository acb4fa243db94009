"""A tracked run in a few lines."""

from __future__ import annotations

from collections.abc import Sequence

from gradlaws.laws.law import Law
from gradlaws.training.record import Finding, StepRecord

_SHOWN = 8


def summary(
    laws: Sequence[Law], latest: Sequence[StepRecord], findings: Sequence[Finding], steps: int, recorded: int
) -> str:
    """What was tracked, how far the laws went and why, worst first, and what was found.

    Args:
        laws: of the run.
        latest: records of its last recorded step.
        findings: of the run.
        steps: taken by the optimizer.
        recorded: of those.
    """
    count = sum(law.count for law in laws)
    lines = [f"{count} laws in {len(laws)} formulas, {steps} steps, {recorded} recorded"]
    if latest:
        lines.append(f"  {'drift':>9} {'forecast':>9} {'<grad h,g>':>10} {'unexplained':>11}  law")
        worst = sorted(latest, key=lambda record: -record.drift)
        lines += [_line(record, laws[record.law]) for record in worst[:_SHOWN]]
        if len(worst) > _SHOWN:
            lines.append(f"  and {len(worst) - _SHOWN} that went less far")
    lines += [f"  {finding}" for finding in findings] or ["  nothing unexpected was found"] * bool(latest)
    return "\n".join(lines)


def _line(record: StepRecord, law: Law) -> str:
    rest = "not known" if record.unexplained is None else f"{record.unexplained:.1e}"
    return f"  {record.drift:>9.1e} {record.forecast:>9.1e} {record.identity:>10.1e} {rest:>11}  {law.text}"
