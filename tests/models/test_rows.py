"""Every architecture whose laws are known: as many laws as that, and no others; singular values agree.

Row 35 of the sheet on modern architectures is the one that the sheet itself disputes, see test_false_laws.py. Row 56 of
the sheet on laws of flows is about one cell of a ReLU network only and has no row here: free gates cover all cells.
"""

from __future__ import annotations

from functools import cache

import pytest
from torch import nn

import gradlaws as gl
from gradlaws.laws.count import Status
from tests.models.rows import ROWS, Row
from tests.oracles import module_count

SHADOWED = [row for row in ROWS if not row.train]


@cache
def answer(row: Row) -> gl.Answer:
    return gl.laws(row.module(), row.inputs(), **row.options)


def assert_complete(found: gl.Answer, laws: int) -> None:
    """As many laws as this, and no others."""
    count = found.count
    assert (count.lower, count.upper) == (laws, laws), found
    assert count.status is Status.PROVED
    assert count.evidence.failure_probability < 1e-12
    assert sum(law.count for law in found.laws) >= laws


def without_epsilon(module: nn.Module) -> nn.Module:
    """The idealised layers of the rows that are about them."""
    for part in module.modules():
        if hasattr(part, "eps"):
            part.eps = 0.0
    return module


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_count_of_the_literature(row):
    assert_complete(answer(row), row.laws)


def test_another_count_is_no_count():
    row = ROWS[0]
    with pytest.raises(AssertionError):
        assert_complete(answer(row), row.laws + 1)


@pytest.mark.parametrize("row", SHADOWED, ids=str)
def test_singular_values_agree(row):
    module = without_epsilon(row.module()) if row.options.get("eps") == "zero" else row.module()
    # where a real unit is dead or always active there are more laws: the generic number is the least
    points = range(4) if "relu" in row.name else range(1)
    assert min(module_count.count_laws(module, row.shape, "loss" in row.options, seed) for seed in points) == row.laws


def test_names_are_different():
    assert len({row.name for row in ROWS}) == len(ROWS)


# hand-checkable
def test_the_laws_are_written_as_a_person_would():
    found = {row.name: [law.text for law in answer(row).laws] for row in ROWS}
    assert found["m6 swiglu"] == ["|up.weight[k,:]|^2 - |down.weight[:,k]|^2"]
    assert found["s49 softmax head with bias"] == ["sum weight[:,k]", "sum bias"]
    assert found["s42 d=1"] == [
        "|q.weight|^2 - |k.weight|^2",
        "|v.weight|^2 - |o.weight|^2",
    ]
    assert found["m35 normalised sigmoid"][0] == "|experts.0.up.weight|^2 - |experts.0.down.weight|^2"
