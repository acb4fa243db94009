"""Einstein sums: any number of operands, contracted two at a time from the left, and ``...``."""

from __future__ import annotations

import string
from collections import Counter
from math import prod
from typing import Any

import torch

from gradlaws.exact.execute import RULES
from gradlaws.exact.jet import Jet
from gradlaws.exact.rules.products import bilinear
from gradlaws.exact.rules.structure import apply


def _einsum(site: Any, equation: str, operands: list[Any], **_kwargs: Any) -> Jet:
    jets = [site.context.jet(x) for x in operands]
    terms, output = _written_out(equation, [len(jet.shape) for jet in jets])
    left, jet = terms[0], jets[0]
    for i, (right, other) in enumerate(zip(terms[1:], jets[1:], strict=True), 1):
        later = set(output).union(*terms[i + 1 :])
        kept = output if i == len(terms) - 1 else "".join(dict.fromkeys(c for c in left + right if c in later))
        lengths = dict(zip(left + right, (*jet.shape, *other.shape), strict=True))
        jet = bilinear(jet, other, _contraction(f"{left},{right}->{kept}"), prod(lengths.values()))
        left = kept
    if len(terms) > 1:
        return jet
    single: Jet = apply(jet, lambda t: torch.einsum(f"{left}->{output}", t))
    return single


def _contraction(equation: str) -> Any:
    return lambda a, b: torch.einsum(equation, a, b)


def _written_out(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """The terms and the output with every index named: dots by letters that do not occur, aligned on the right."""
    inputs, _, output = equation.replace(" ", "").partition("->")
    terms = inputs.split(",")
    hidden = [
        rank - len(term.replace("...", "")) if "..." in term else 0 for term, rank in zip(terms, ranks, strict=True)
    ]
    spare = "".join(c for c in string.ascii_letters if c not in equation)[: max(hidden)]
    if "->" not in equation:
        counted = Counter(inputs.replace(",", "").replace(".", ""))
        output = "..." + "".join(sorted(c for c, n in counted.items() if n == 1))
    named = [term.replace("...", spare[len(spare) - n :]) for term, n in zip(terms, hidden, strict=True)]
    return named, output.replace("...", spare)


def _bilinear(site: Any, a: Any, b: Any, weight: Any, bias: Any = None) -> Jet:
    out = _einsum(site, "...i,oij,...j->...o", [a, weight, b])
    return out if bias is None else out + site.context.jet(bias)


RULES |= {"aten.einsum": _einsum, "aten.bilinear": _bilinear}
