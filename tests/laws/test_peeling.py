"""Independence by ownership, against elimination."""

from itertools import combinations

import torch

from gradlaws.laws.contraction import Contraction
from gradlaws.laws.gather import GatherLaw
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.law import gradients, unflatten
from gradlaws.laws.peeling import peeled
from gradlaws.laws.sums import FrozenLaw, SumLaw

SHAPES = {"A": (4, 6), "B": (5, 4), "g": (4,), "h": (5,)}
DIMENSION = 24 + 20 + 4 + 5
A0, A1, B0, B1 = (Contraction(t, axis, 2) for t in "AB" for axis in (0, 1))
G, H = Contraction("g", 0, 1), Contraction("h", 0, 1)
HALF = Contraction("A", 0, 2, 0, 2)
OTHER = Contraction("A", 0, 2, 2, 4)
LAWS = (
    GramLaw(((A0, 1), (B1, -1)), 4, "matrix"),
    GramLaw(((A0, 1), (B1, -1)), 4, "diagonal"),
    GramLaw(((A0, 1), (G, 1)), 4, "diagonal"),
    GramLaw(((G, 1), (B1, -1)), 4, "diagonal"),
    GramLaw(((B0, 1), (H, -1)), 5, "matrix"),
    GramLaw(((HALF, 1),), 2, "matrix"),
    GramLaw(((OTHER, 1),), 2, "diagonal"),
    SumLaw(((G, 1),), 4),
    SumLaw(((A0, 1), (G, -1)), 4),
    SumLaw(((A1, 1),), 6),
    FrozenLaw(H, 5),
    GramLaw(((Contraction("A", 0, 2), 1),), 1, "trace"),
)


def rank(laws):
    theta = unflatten(torch.randn(DIMENSION, generator=torch.Generator().manual_seed(0), dtype=torch.float64), SHAPES)
    return int(torch.linalg.matrix_rank(torch.cat([gradients(law, theta) for law in laws])))


def test_what_is_kept_is_independent_for_every_three_laws():
    kept_some = gave_up = 0
    for laws in combinations(LAWS, 3):
        kept = peeled(laws, SHAPES)
        assert rank(kept) == sum(law.count for law in kept), [law.text for law in kept]
        kept_some += len(kept) == 3
        gave_up += len(kept) < 3 and rank(laws) < sum(law.count for law in laws)
    assert kept_some > 20
    assert gave_up > 20


def test_a_matrix_with_too_few_columns_owns_nothing():
    """Of a 5 x 4 matrix the 15 entries of the Gram matrix of its rows are dependent."""
    law = GramLaw(((B0, 1),), 5, "matrix")
    assert rank([law]) < law.count
    assert peeled([law], SHAPES) == ()


def test_the_same_law_twice_counts_once():
    twin = GramLaw(LAWS[1].parts, 4, "diagonal")
    for laws in ([LAWS[1], LAWS[1]], [LAWS[1], twin]):
        assert len(peeled(laws, SHAPES)) == 1


def test_laws_whose_tensors_are_not_known_are_left_out():
    law = GatherLaw(((0, 1),), (1, 1), "linear", tuple(SHAPES.items()))
    assert peeled([law, LAWS[7]], SHAPES) == (LAWS[7],)
