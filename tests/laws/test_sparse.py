"""The finder that needs no hint: it finds what was planted, all of it, and nothing that moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gradlaws.flows.gradient import GradientFlow
from gradlaws.laws import proof, sparse
from gradlaws.laws.independence import independent
from gradlaws.laws.sparse import find_sparse_laws
from gradlaws.models.module import from_module
from gradlaws.models.network import Network
from tests.models.operations import between
from tests.models.rows import ROWS
from tests.models.zoo import Attention, Gated, mlp
from tests.samplers import FIELD, OTHER_FIELD, generator, residues


def found(module, inputs, **options):
    flow = GradientFlow(from_module(module, inputs, **options).relaxed())
    return flow, find_sparse_laws(flow, FIELD, generator(1))


FORMULAS = {
    "a linear pair is one matrix": (
        mlp((2, 3, 2)),
        (2,),
        ["<0.weight[i,:], 0.weight[j,:]> - <2.weight[:,i], 2.weight[:,j]>"],
    ),
    "a relu is its diagonal": (between(nn.ReLU()), (2,), ["|0.weight[k,:]|^2 - |2.weight[:,k]|^2"]),
    "a gated unit": (Gated(2, 2), (2,), ["|up.weight[k,:]|^2 - |down.weight[:,k]|^2"]),
    "heads are matrices of their own": (
        Attention(2, 2, 2),
        (2, 2),
        [
            "<q.weight[i,:], q.weight[j,:]> - <k.weight[i,:], k.weight[j,:]>",
            "<q.weight[2+i,:], q.weight[2+j,:]> - <k.weight[2+i,:], k.weight[2+j,:]>",
            "<v.weight[i,:], v.weight[j,:]> - <o.weight[:,i], o.weight[:,j]>",
            "<v.weight[2+i,:], v.weight[2+j,:]> - <o.weight[:,2+i], o.weight[:,2+j]>",
        ],
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_laws_are_found_without_a_hint_and_written_as_a_person_would(name):
    module, shape, formulas = FORMULAS[name]
    assert sorted(law.text for law in found(module, torch.ones(shape))[1]) == sorted(formulas)


@pytest.mark.parametrize("row", [row for row in ROWS if row.name.startswith(("m2", "s48", "m31"))], ids=str)
def test_what_is_found_holds_and_is_all_there_is(row):
    flow, laws = found(row.module(), row.inputs(), **row.options)
    assert all(trial.held for trial in proof.tested_together(flow, laws, [FIELD, OTHER_FIELD], generator(2)))
    assert independent(laws, flow, FIELD, generator(3)).rank == row.laws


def test_the_same_laws_at_another_seed_and_prime():
    flow = GradientFlow(from_module(Attention(2, 2), torch.ones(2, 2)))
    first, second = (find_sparse_laws(flow, field, generator(i)) for i, field in enumerate((FIELD, OTHER_FIELD)))
    assert first == second


def test_parameters_that_never_move_are_linear_laws_and_not_squares():
    module = Attention(2, 1, bias=True)
    _, laws = found(module, torch.ones(2, 2))
    assert [law.text for law in laws if law.kind == "linear"] == ["k.bias[0]"]
    assert not any(law.kind != "linear" and law.text.count("k.bias") for law in laws)


def test_networks_have_the_same_laws_as_modules():
    flow = GradientFlow(Network("relu", (2, 3, 2), bias=True))
    (law,) = find_sparse_laws(flow, FIELD, generator(1))
    assert law.text == "|W1[k,:]|^2 + |b1[k]|^2 - |W2[:,k]|^2"


def test_a_model_without_laws_has_none():
    assert found(between(nn.GELU()), torch.ones(2))[1] == []


def test_planted_noise_in_the_velocity_leaves_no_law(monkeypatch):
    """The equations are really looked at: random velocities satisfy none."""
    module = between(nn.ReLU())
    real = sparse.probe

    def noisy(flow, count, field, random):
        probed = real(flow, count, field, random)
        velocity = {name: field.random(tuple(v.shape), random) for name, v in probed.velocity.items()}
        return type(probed)(probed.theta, velocity, field)

    assert found(module, torch.ones(2))[1] != []
    monkeypatch.setattr(sparse, "probe", noisy)
    assert found(module, torch.ones(2))[1] == []


def test_a_nullspace_without_small_integers_has_no_laws():
    assert sparse._integer_nullspace(residues((6, 8)), FIELD, np.array([0, 4])) == []
