"""Candidates for laws of gradient flow in a metric."""

from __future__ import annotations

from dataclasses import replace

import torch

from gradlaws.exact.field import PrimeField
from gradlaws.flows.fields import Fields
from gradlaws.flows.flow import Flow
from gradlaws.flows.gradient import GradientFlow
from gradlaws.flows.logs import WithLogs
from gradlaws.flows.metric import Power
from gradlaws.flows.natural import NaturalFlow
from gradlaws.laws.blocks import find_block_laws
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import Law
from gradlaws.laws.mirror import MirrorLaw
from gradlaws.laws.structured import find_gram_laws
from gradlaws.laws.sums import FrozenLaw, SumLaw
from gradlaws.models.network import Network


def structured_laws(flow: GradientFlow | NaturalFlow, field: PrimeField, generator: torch.Generator) -> list[Law]:
    """Laws that combine axes of tensors.

    A constant metric keeps them quadratic. Any other one turns the diagonals and traces of the Euclidean laws into
    laws of its own; nothing becomes of the entries beside the diagonal.
    """
    bent = isinstance(flow, GradientFlow) and not flow.metric.constant
    searched = GradientFlow(flow.family) if bent else flow
    if isinstance(flow.family, Network):
        found: list[Law] = list(find_gram_laws(searched, field, generator))
    else:
        found = find_block_laws(searched, field, generator, flow.family.tables)
    return _mirrored(found, flow) if isinstance(flow, GradientFlow) and bent else found


def _mirrored(laws: list[Law], flow: GradientFlow) -> list[Law]:
    found: list[Law] = []
    for law in laws:
        if isinstance(law, GramLaw):
            base = replace(law, selection="diagonal", heads=1) if law.selection == "matrix" else law
            found.append(MirrorLaw(base, flow.metric))
        elif isinstance(law, SumLaw):
            found.append(MirrorLaw(law, flow.metric))
        elif isinstance(law, FrozenLaw):
            found.append(law)
    return found


def with_logs(flow: Flow) -> WithLogs | None:
    """The flow with the logarithms of what moves in proportion to itself; None where nothing does."""
    if isinstance(flow, Fields):
        named = zip(flow.variables, flow.components(), strict=True)
        divisible = tuple(n for i, (n, p) in enumerate(named) if p.terms and all(i in m for m in p.terms))
        return WithLogs(flow, divisible) if divisible else None
    if not isinstance(flow, GradientFlow):
        return None
    names = tuple(
        name
        for name in flow.family.parameters
        if isinstance(metric := flow.metric.of(name), Power) and metric.exponent > 0
    )
    return WithLogs(flow, names) if names else None
