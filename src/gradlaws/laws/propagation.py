"""Proofs of laws of recorded programs: the gradient of a law, as a direction, moves no output.

A law h is conserved exactly if ``<grad h, grad psi_s> = 0`` for every input, cotangent and choice s, that is if the
derivative of every output along the direction ``grad h(theta)`` is zero; for a loss whose cotangents add up to zero
over the last axis it may be constant along that axis. The program is run once in polynomials with rational
coefficients, each entry with its derivative. Wherever the derivative of an entry is the zero polynomial its value
becomes a new variable: an identity for free values implies it for the actual ones. Nothing is random, so what is proved
holds for the program in real arithmetic, with the conventions for constants and normalisations that the evidence lists.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import gradlaws.exact.dual  # noqa: F401 - registers the rules
from gradlaws.exact.dual.cells import Cells, Dual, NotProvedError
from gradlaws.exact.dual.run import Entries, Unknown, run_on_cells
from gradlaws.exact.polynomial import Monomial, Polynomial
from gradlaws.laws.law import Law, unflatten
from gradlaws.models.family import Shapes, size

if TYPE_CHECKING:
    from gradlaws.models.module import ModuleFamily

WORK = 200_000
"""Terms that the proof of one scalar law may cost (about half a second); a few thousand are common."""

ENTRIES = 2**20
"""Programs with more intermediate values are not propagated through."""

ENTRIES_OF_BUNDLE = 2**25
"""Values times scalar laws (a few seconds): bundles beyond this are left to random tests."""

KEPT = 16
"""Terms of values that do not move but are written out in the last attempt."""

_FIRST = 1
"""The cell of the first parameter; the one before is zero."""


def proved_by_propagation(family: ModuleFamily, law: Law) -> bool:
    """Whether every scalar law of the bundle is proved; False means no proof, not that it is false."""
    if family.footprint > ENTRIES or family.footprint * law.count > ENTRIES_OF_BUNDLE:
        return False
    return all(moves_no_output(family, gradient_of(scalar)) for scalar in law.polynomials(family.parameters))


def moves_no_output(family: ModuleFamily, direction: Mapping[int, Polynomial]) -> bool:
    """Whether the derivative of every output along a direction is proved to be zero, or harmless to the loss.

    First with names for long values, which is fast, then with more and more of them written out.

    Args:
        family: the program.
        direction: the entries that are not zero, polynomials in the flattened parameters.
    """
    shifted = {v: v + _FIRST for p in direction.values() for monomial in p.terms for v in monomial}
    moved = {i + _FIRST: p.renumbered(shifted) for i, p in direction.items()}
    attempts = ((True, 0, WORK), (False, 0, WORK // 5), (False, KEPT, WORK))
    return any(_moves_nothing(family, moved, names, keep, work) for names, keep, work in attempts)


def _moves_nothing(family: ModuleFamily, direction: dict[int, Polynomial], names: bool, keep: int, work: int) -> bool:
    cells = Cells(direction, _FIRST + family.dimension, work, names, keep)
    try:
        outputs = run_on_cells(family.program.graph, _bindings(family, cells), family.outputs, cells, family.eps)
        return all(_harmless(output, family.loss == "cross_entropy", cells) for output in outputs)
    except NotProvedError:
        return False


def gradient_of(law: Polynomial) -> dict[int, Polynomial]:
    """The partial derivatives of a law that are not zero."""
    gradient: dict[int, dict[Monomial, Fraction | int]] = defaultdict(dict)
    for monomial, c in law.terms.items():
        for variable in set(monomial):
            at = monomial.index(variable)
            gradient[variable][monomial[:at] + monomial[at + 1 :]] = c * monomial.count(variable)
    return {variable: Polynomial(terms) for variable, terms in gradient.items()}


def _bindings(family: ModuleFamily, cells: Cells) -> dict[str, Any]:
    """Moving parameters are the first cells; inputs and the other parameters do not move."""
    moving = _numbered(family.parameters)
    fixed = {name: cells.fresh(shape) for name, shape in family.fixed.items()}
    program = family.program
    bindings: dict[str, Any] = dict(program.constants)
    for placeholder, name in program.parameters.items():
        bindings[placeholder] = Entries(moving[name] if name in moving else fixed[name])
    for placeholder, value in program.inputs.items():
        bindings[placeholder] = value
        if placeholder in family.vocabularies:
            bindings[placeholder] = Unknown(cells.fresh(value.shape))
        elif isinstance(value, Tensor) and value.is_floating_point():
            bindings[placeholder] = Entries(cells.fresh(value.shape))
    return bindings


def _numbered(shapes: Shapes) -> dict[str, Tensor]:
    return unflatten(torch.arange(_FIRST, _FIRST + size(shapes)), shapes)


def _harmless(output: Any, shift_allowed: bool, cells: Cells) -> bool:
    """Whether an output stands still, or moves by the same along its last axis where that is enough."""
    if not isinstance(output, Entries) or not bool(cells.moving(output.cells).any()):
        return True
    if not shift_allowed:
        return False
    rows = output.cells.reshape(-1, output.cells.shape[-1]).tolist()
    return all(_alike([cells.dual(cell) for cell in row], cells) for row in rows)


def _alike(row: list[Dual], cells: Cells) -> bool:
    return all(cells.relations.vanishes(dual.tangent - row[0].tangent) for dual in row[1:])
