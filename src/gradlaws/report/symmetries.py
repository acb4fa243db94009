"""Symmetries as plain text and as JSON."""

from __future__ import annotations

from typing import Any

from gradlaws.laws.count import Status
from gradlaws.report.json import count_to_json
from gradlaws.symmetry.generator import Generator
from gradlaws.symmetry.result import Symmetries

_MEANING = {
    Status.PROVED: "each is proved, and at most as many exist: every affine symmetry is a combination of these",
    Status.CERTAIN: "the bounds meet; some passed exact random tests only, which a false one would not but with the "
    "stated probability",
    Status.BOUNDED: "the upper bound is proved, the lower one counts explicit generators",
    Status.NUMERIC: "floating point only",
}


def symmetries_text(found: Symmetries, *, generators: bool = False) -> str:
    """The group by blocks, the generators if wanted, and the evidence."""
    lines = [f"Changes nothing, {found.scope}:", *(f"  {block}" for block in found.blocks)]
    if not found.blocks:
        lines.append("  no continuous linear symmetry")
    lines += [f"  {words}" for words in found.discrete]
    if found.still:
        lines.append(f"  {found.still} directions stand still: any multiple of them may be added")
    if generators:
        lines += ["", "Generators:", *(f"  {number}  {g.text}" for number, g in enumerate(found.generators))]
        lines += [f"  *  {g.text}" for g in found.translations]
    rows = [
        ("parameters", str(found.count.parameters)),
        ("dimension", f"{found.count}"),
        ("Lie algebra", _structure(found)),
        ("carry laws", f"{found.laws} symmetric directions; {found.rotations} rotations carry laws of momentum only"),
        ("status", f"{found.count.verdict}: {_meaning(found)}"),
        *(("note", note) for note in found.evidence.notes),
        *(("assuming", assumption) for assumption in found.evidence.assumptions),
        ("primes", ", ".join(map(str, found.evidence.primes))),
        ("seed", str(found.evidence.seed)),
        ("seconds", f"{found.evidence.seconds:.2f}"),
    ]
    if found.functional is not None:
        rows.insert(2, ("functional", f"{found.functional} hold for every data set, the others for these data only"))
    width = max(len(name) for name, _ in rows)
    title = f"{found.model}: linear symmetries of dimension {found.count}"
    return "\n".join([*lines, "", title, *(f"  {name:<{width}}  {text}" for name, text in rows)])


def symmetries_to_json(found: Symmetries) -> dict[str, Any]:
    """Everything, with fractions as text."""
    return {
        "model": found.model,
        **count_to_json(found.count),
        "scope": found.scope,
        "blocks": [
            {
                "name": b.name,
                "dimension": b.dimension,
                "generators": list(b.generators),
                "tensors": list(b.tensors),
                "laws": b.laws,
            }
            for b in found.blocks
        ],
        "generators": [_generator(g) for g in found.generators],
        "still": found.still,
        "translations": [_generator(g) for g in found.translations],
        "structure": [[i, j, k, str(c)] for i, j, k, c in found.structure],
        "centre": found.centre,
        "radical": found.radical,
        "unipotent": found.unipotent,
        "rank": found.rank,
        "torus": found.torus,
        "symmetric": found.laws,
        "antisymmetric": found.rotations,
        "discrete": list(found.discrete),
        "functional": found.functional,
    }


def _meaning(found: Symmetries) -> str:
    """What the status says here."""
    if found.status is Status.BOUNDED and found.evidence.failure_probability:
        return (
            "the upper bound and the generators, which the lower one counts, passed exact random tests; something is "
            f"wrong with probability {found.evidence.failure_probability:.0e} at most"
        )
    return _MEANING[found.status]


def _generator(g: Generator) -> dict[str, Any]:
    return {"kind": g.kind, "text": g.text, "entries": [[i, j, str(c)] for i, j, c in g.entries]}


def _structure(found: Symmetries) -> str:
    return (
        f"centre {found.centre}, radical {found.radical} (of it absorbed shifts {found.unipotent}), "
        f"rank {found.rank}, scalings of single parameters {found.torus}"
    )
