"""Answers as plain text for a terminal, and as LaTeX for a paper."""

from __future__ import annotations

from gradlaws.laws.count import Count, Status
from gradlaws.laws.decayed import DecayedLaw
from gradlaws.laws.explain import explain
from gradlaws.laws.gather import GatherLaw
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import Law
from gradlaws.laws.result import Answer
from gradlaws.report.grouping import grouped

_MEANING = {
    Status.PROVED: "the laws are proved, and at most as many exist: there are no others",
    Status.CERTAIN: "the bounds meet; the laws passed exact random tests, which a false one would not but with the "
    "stated probability",
    Status.BOUNDED: "the upper bound is proved, the lower one counts explicit laws; the truth lies between",
    Status.NUMERIC: "floating point only",
}


def count_text(model: str, count: Count) -> str:
    """A few aligned lines: the number, the bounds and what they rest on."""
    rows = [
        ("parameters", str(count.parameters)),
        ("laws, at least", f"{count.lower}  (explicit and independent)"),
        ("laws, at most", f"{count.upper}  (dim Lie >= {count.lie_dimension}{_levels(count)})"),
        ("status", f"{count.verdict}: {_MEANING[count.status]}"),
        *_evidence_rows(count),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join([f"{model}: {count} conservation laws", *(f"  {name:<{width}}  {text}" for name, text in rows)])


def answer_text(answer: Answer, *, explained: bool = False) -> str:
    """The laws by module, with the symmetry behind each if wanted, then the count."""
    lines = [f"  {line}" for line in laws_text(answer, explained=explained).splitlines()]
    return "\n".join([f"Conserved by {answer.flow}, {answer.scope}:", *lines, "", _count_of(answer)])


def laws_text(answer: Answer, *, explained: bool = False) -> str:
    """The laws only, by module."""
    lines = []
    for path, group in grouped([(law, _line(law, explained)) for law in answer.laws]):
        margin = "  " if path else ""
        lines += [f"{path}:"] * bool(path)
        lines += [margin + line.replace("\n", f"\n{margin}    ") for line in group]
    return "\n".join(lines or ["no laws"])


def _line(law: Law, explained: bool) -> str:
    return f"{law.text}{where(law)}" + (f"\nbecause {explain(law)}" if explained else "")


def answer_latex(answer: Answer) -> str:
    """An align* environment, one law a line."""
    body = " \\\\\n".join(f"  & {law.latex}{_where_latex(law)}" for law in answer.laws)
    return f"% {answer.model}: {answer.count} independent conservation laws\n\\begin{{align*}}\n{body}\n\\end{{align*}}"


def where(law: Law) -> str:
    """How many scalar laws a formula stands for."""
    if law.kind == "frozen":
        return f"    {law.count} laws" if law.count > 1 else ""
    if law.kind == "matrix":
        heads = law.heads if isinstance(law, GramLaw | DecayedLaw) else 1
        return f"    {f'{heads} symmetric matrices' if heads > 1 else 'symmetric matrix'}, {law.count} laws"
    if law.kind == "antisymmetric":
        return f"    antisymmetric matrix, {law.count} laws" if law.count > 1 else "    antisymmetric matrix, 1 law"
    counted = f"    k = 0..{law.count - 1}" if law.count > 1 else ""
    frozen = isinstance(law, GatherLaw) and law.kind == "linear" and len(law.coefficients) == 1
    return counted + ("    never moves" if frozen else "")


def _where_latex(law: Law) -> str:
    return rf", \quad k = 0, \dots, {law.count - 1}" if law.kind == "diagonal" else ""


def _count_of(answer: Answer) -> str:
    return count_text(answer.model, answer.count)


def _levels(count: Count) -> str:
    levels = count.evidence.levels
    return f", brackets up to length {levels[-1].length}" if levels else ""


def _evidence_rows(count: Count) -> list[tuple[str, str]]:
    evidence = count.evidence
    return [
        *(("note", note) for note in evidence.notes),
        *(("assuming", assumption) for assumption in evidence.assumptions),
        ("primes", ", ".join(map(str, evidence.primes))),
        ("seed", str(evidence.seed)),
        ("seconds", f"{evidence.seconds:.2f}"),
    ]
