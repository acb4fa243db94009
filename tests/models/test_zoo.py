"""Named models: what they compute, and the laws that go with their names."""

import pytest

import gradlaws as gl
from gradlaws.models import zoo
from tests.asserts import assert_count_is


@pytest.mark.parametrize(
    ("made", "spec", "laws"),
    [
        (zoo.pca(3, 2, 4), "linear 4-2-3", 3),
        (zoo.nmf(3, 2, 4), "linear 4-2-3", 2),
        (zoo.nmf(1, 4, 1), "linear 1-4-1", 7),
        (zoo.icnn(3, 2, 4, bias=True), "relu 4-2-3 bias", 2),
        (zoo.icnn(1, 2, 1), "relu 1-2-1", 2),
    ],
)
def test_factorisations(made, spec, laws):
    assert made.family.name == spec
    assert_count_is(gl.count(made.family, flow=made.flow), laws, laws)


def test_formulas():
    assert zoo.diagonal(2).variables == ("u0", "u1", "v0", "v1")
    assert [len(zoo.gram(2, 3).phi), len(zoo.rank_one(2, 1, 3).phi), len(zoo.monomial(4).phi)] == [3, 6, 1]
    assert zoo.differences(1).phi[0].terms == {(0, 0): 1, (1, 1): -1}
    assert zoo.rank_one(2, 1, 3).degree == 4
