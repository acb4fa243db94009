"""A recorded module as a program of scalar steps, the form in which a certificate holds it (docs/certificate.md)."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from gradlaws.errors import UnsupportedError
from gradlaws.exact.jet import Jet
from gradlaws.exact.tape import Step, Tape
from gradlaws.laws.points import spelled, vocabularies
from gradlaws.laws.polynomial import variable_names
from gradlaws.models.family import Shapes

if TYPE_CHECKING:
    from gradlaws.models.module import ModuleFamily


def unroll(family: ModuleFamily) -> dict[str, Any]:
    """The potential, written out by running the exact rules once on a tape.

    Raises:
        UnsupportedError: the instances are restricted in a way that the checker cannot draw, or a rule has no steps.
        TooLargeError: the program is too long.
    """
    if family.pool.rows:
        raise UnsupportedError(
            "its instances are restricted to data or gates that were seen, and the checker's are free"
        )
    tape = Tape()
    sample = spelled(family)
    theta, s = (_leaves(tape, shapes) for shapes in (family.parameters, sample))
    psi = family.potential(theta, family.confined(s))
    (last,) = psi.coefficients.flatten().long().tolist()
    return {
        "kind": "program",
        "title": family.name,
        "parameters": variable_names(family.parameters),
        "sample": variable_names(sample),
        "tokens": _tokens(family, sample),
        "steps": _numbered(tape.steps, last, [i for i, step in enumerate(tape.steps) if step[0] == "leaf"]),
    }


def _tokens(family: ModuleFamily, sample: Shapes) -> list[list[int]]:
    """First entry and number of entries of each token of a sample."""
    words, start, found = vocabularies(family), 0, []
    for name, shape in sample.items():
        end = start + prod(shape)
        if name in words:
            found += [[at, shape[-1]] for at in range(start, end, max(1, shape[-1]))]
        start = end
    return found


def _leaves(tape: Tape, shapes: Shapes) -> dict[str, Jet]:
    """Named arrays of scalars that are given."""
    return {
        name: Jet(tape.leaves(variable_names({name: shape}), (1, 1, *shape)), tape.as_field)
        for name, shape in shapes.items()
    }


def _numbered(steps: list[Step], last: int, leaves: list[int]) -> list[list[Any]]:
    """The steps that the last one needs, their operands counted from the leaves on."""
    needed, todo = set(leaves), [last]
    while todo:
        at = todo.pop()
        if at not in needed:
            needed.add(at)
            todo += [] if steps[at][0] in ("number", "generic") else steps[at][1:]
    numbers = {at: i for i, at in enumerate(leaves)}
    kept = []
    for at in sorted(needed - set(leaves)):
        name, *operands = steps[at]
        numbers[at] = len(numbers)
        kept.append([name, *(operands if name in ("number", "generic") else map(numbers.__getitem__, operands))])
    return kept
