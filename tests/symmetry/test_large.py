"""Models too large for all unknowns: the same answers as the complete solution where both can be had."""

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import ContradictionError, InputError, TooLargeError
from gradlaws.exact import linalg
from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws.count import Status
from gradlaws.models.module import from_module
from gradlaws.models.spec import read_spec
from gradlaws.symmetry import large
from gradlaws.symmetry.bound import Admissible
from gradlaws.symmetry.large import large_symmetries
from gradlaws.symmetry.local import local_symmetries
from gradlaws.symmetry.maps import Maps
from tests.samplers import FIELD, OTHER_FIELD, SMALL_NETWORKS, generator, spec_of
from tests.symmetry.test_coupling import Radial, made

FIELDS = [FIELD, OTHER_FIELD]
# found whole by both ways: matrices, scalings, absorbed shifts, more units than inputs and outputs together
SAME = ("linear 2-4-5-2 bias", "linear 2-2-3-2 bias", "relu 2-5-3 bias", "square 2-3-2", "linear 2-6-2")


def invariants(found):
    """What does not depend on the basis."""
    numbers = found.centre, found.radical, found.unipotent, found.rank, found.laws, found.rotations
    return found.count.lower, found.count.upper, len(found.translations), numbers


def rows_of(found):
    """The generators as vectors."""
    wide = found.count.parameters
    rows = torch.zeros(found.dimension, wide * (wide + 1), dtype=torch.float64)
    for k, g in enumerate(found.generators):
        for i, j, c in g.entries:
            rows[k, i * (wide + 1) + j] = FIELD.residue(c)
    return rows


@pytest.mark.parametrize("spec", SAME)
def test_the_same_algebra_as_from_all_unknowns(spec):
    found, exact = large_symmetries(read_spec(spec), FIELDS, 0), gl.symmetries(spec)
    assert invariants(found) == invariants(exact)
    assert (found.status, exact.status) == (Status.CERTAIN, Status.PROVED)
    both = torch.cat([rows_of(found), rows_of(exact)])
    assert linalg.rank(both, FIELD) == found.dimension
    assert sum(block.dimension for block in found.blocks) == found.dimension


def test_structure_constants_are_those_of_the_generators():
    found = large_symmetries(read_spec("linear 2-3-2 bias"), FIELDS, 0)
    wide = found.count.parameters
    matrices = torch.zeros(found.dimension, wide + 1, wide + 1, dtype=torch.float64)
    for k, g in enumerate(found.generators):
        for i, j, c in g.entries:
            matrices[k, i, j] = float(c)
    constants = torch.zeros(found.dimension, found.dimension, found.dimension, dtype=torch.float64)
    for i, j, k, c in found.structure:
        constants[i, j, k], constants[j, i, k] = float(c), -float(c)
    products = torch.einsum("iab,jbc->ijac", matrices, matrices)
    assert torch.equal(products - products.transpose(0, 1), torch.einsum("ijk,kab->ijab", constants, matrices))


# dimension, directions that stand still, centre, radical, absorbed shifts, rank: of all unknowns (symmetries_table.py)
MODULES = {"block": (22, 3, (1, 16, 8, 10, 12, 2)), "mixtral": (26, 8, (23, 23, 0, 24, 24, 2))}


@pytest.mark.parametrize("name", MODULES)
def test_modules_that_people_train(name):
    dimension, still, numbers = MODULES[name]
    model, args, kwargs = made(name)
    found = large_symmetries(from_module(model, kwargs or args), FIELDS, 0)
    assert invariants(found) == (dimension, dimension, still, numbers)


def test_rotations_of_a_radial_layer():
    found = large_symmetries(from_module(Radial(), torch.zeros(1, 2)), FIELDS, 0)
    assert [block.name for block in found.blocks] == ["so(4)"]
    assert invariants(found) == (6, 6, 0, (0, 0, 0, 2, 0, 6))


def test_thousands_of_parameters():
    found = gl.symmetries("relu 20-30-10 bias")
    assert str(found.blocks[0]) == "(R_>0)^30 on W1, b1, W2    dimension 30, 30 carry laws"
    assert (found.status, found.count.upper, found.rank) == (Status.CERTAIN, 30, 30)
    assert found.discrete == ("permutations S_30 of hidden layer 1",)
    found = gl.symmetries(nn.Sequential(nn.Linear(24, 16), nn.Linear(16, 8)), torch.zeros(1, 24))
    assert sorted(block.name for block in found.blocks) == ["R^16 (shifts that others absorb)", "gl(16, R)"]
    assert (found.status, found.dimension, found.unipotent) == (Status.CERTAIN, 272, 16)


def test_what_shared_indices_do_not_show_is_left_open():
    """so(4, 4) mixes both layers: 16 of its 28 dimensions act on the hidden index."""
    found = large_symmetries(read_spec("linear 1-4-1"), FIELDS, 0)
    assert found.count.verdict == "BOUNDED(16, 28)"
    assert any("may be symmetries that act on no index" in note for note in found.evidence.notes)


@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_the_bound_is_never_below_the_truth(network):
    flow, random = GradientFlow(network.relaxed()), generator()
    admissible, truth = Admissible.at_one_point(flow, FIELD, random), gl.symmetries(network).dimension
    for _ in range(3):
        assert admissible.fitting(random) + admissible.beyond(random) >= truth
        admissible = admissible.extended(random)


def test_a_family_that_is_overlooked_leaves_the_bounds_open(monkeypatch):
    monkeypatch.setattr(large, "local_symmetries", lambda *_: [])
    found = large_symmetries(read_spec("relu 2-4-3"), FIELDS, 0)
    assert found.count.verdict == "BOUNDED(0, 4)"


def test_a_false_generator_is_caught(monkeypatch):
    """One sign turned: it passes neither prime."""

    def wrong(*asked):
        local = local_symmetries(*asked)[0]
        maps = local.maps
        value = maps.value.clone()
        value[0] = -value[0]
        turned = Maps(maps.count, maps.dimension, maps.owner, maps.row, maps.column, value)
        return [type(local)(local.name, local.tensors, turned, 0, maps.count, 0, local.radical)]

    monkeypatch.setattr(large, "local_symmetries", wrong)
    with pytest.raises(InputError, match=r"a generator fails its test, seed 0"):
        large_symmetries(read_spec("relu 2-4-3"), FIELDS, 0)


def test_no_end_is_refused():
    with pytest.raises(TooLargeError, match=r"20100 parameters are too many .*limit 16000"):
        large_symmetries(read_spec("relu 100-100-100 bias"), FIELDS, 0)


def test_a_bound_that_is_too_low_is_noticed(monkeypatch):
    monkeypatch.setattr(Admissible, "fitting", lambda *_: 2)
    with pytest.raises(ContradictionError, match=r"the bounds cross: 4 independent laws, but at most 2"):
        large_symmetries(read_spec("relu 2-4-3"), FIELDS, 0)
