"""Instances from data, and gates as they are at the weights."""

from fractions import Fraction

import pytest
import torch
from torch import nn

import gradlaws as gl
from gradlaws.errors import InputError, UnsupportedError
from gradlaws.exact.constants import Residues
from gradlaws.models.module import from_module
from gradlaws.models.pool import MOST_ROWS
from tests.samplers import FIELD, generator

X = torch.zeros(1, 2)


def relu_net():
    """Four units: one dead, two always open, one that depends."""
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator(3)))
        net[0].bias.copy_(torch.tensor([-100.0, 100.0, 100.0, 0.0]))
    return net


def test_floats_are_the_binary_fractions_that_they_are():
    values = torch.tensor([0.0, 1.0, -2.5, 0.1, 1e-30, 1e30, -7.0], dtype=torch.float64)
    exact = [FIELD.residue(Fraction(v)) for v in values.tolist()]
    assert Residues(FIELD).exact(values).tolist() == exact
    assert Residues(FIELD).exact(values.float()).tolist() == [
        FIELD.residue(Fraction(v)) for v in values.float().tolist()
    ]


def test_infinite_data_are_refused():
    family = from_module(nn.Linear(2, 2), X, data=torch.tensor([[1.0, float("nan")]]))
    with pytest.raises(UnsupportedError, match="the data hold infinite numbers or NaN: remove those examples"):
        gl.count(family)


def test_a_dead_unit_is_frozen_and_open_units_are_linear():
    """8 frozen: 2 weights, 1 bias, 2 outgoing (5); 3 entries of a 2 x 2 matrix; 1 norm of the last unit."""
    answer = gl.laws(relu_net(), X, at="weights")
    assert (answer.count.lower, answer.count.upper) == (5 + 3 + 1, 9)
    assert {law.text for law in answer.laws if law.kind == "frozen"} == {
        "0.weight[0:1,:] never moves",
        "0.bias[0:1] never moves",
        "2.weight[:,0:1] never moves",
    }
    assert answer.scope.endswith("while the activation patterns seen at these weights last")
    assert gl.count(relu_net(), X).upper == 4


def test_both_engines_see_the_same_units():
    data = torch.randn(40, 2, generator=generator(5))
    answer = gl.laws(relu_net(), X, at="weights", data=data, engine="both")
    numeric = gl.laws(relu_net(), X, at="weights", data=data, engine="numeric")
    assert numeric.count.lower == answer.count.lower == answer.count.upper == 9


def test_data_in_a_subspace_leave_weights_alone():
    answer = gl.laws(
        nn.Linear(3, 2, bias=False), torch.zeros(1, 3), data=torch.tensor([[1.0, 2.0, 0.0], [0.5, 0.1, 0.0]])
    )
    assert (answer.count.lower, answer.count.upper) == (2, 2)
    assert [law.text for law in answer.laws] == ["weight[:,2:3] never moves"]
    assert answer.scope == "for these data and every loss"


def test_the_laws_of_few_data_need_not_be_simple():
    """One example of a linear layer moves one direction of each row: 2 of 3 remain, whatever the numbers are."""
    count = gl.count(nn.Linear(3, 2, bias=False), torch.zeros(1, 3), data=torch.tensor([[0.3, 0.1, 0.7]]))
    assert count.upper == 4


@pytest.mark.parametrize(
    ("module", "slope"),
    [
        (nn.LeakyReLU(0.25), 1),
        (nn.PReLU(), None),
        (nn.ELU(), None),
        (nn.Hardtanh(), None),
        (nn.ReLU6(), None),
    ],
)
def test_gates_are_read_for_every_piecewise_function(module, slope):
    family = from_module(nn.Sequential(nn.Linear(2, 3), module), X, at="weights")
    (values,) = family.pool.choices.values()
    assert values.shape == (512, 1, 3)
    assert set(values.unique().tolist()) <= ({0.25, 1.0} if slope else {0.0, 1.0})
    assert len(values.unique()) == 2 if slope else 1 <= len(values.unique()) <= 2


def test_a_gate_is_that_of_the_pre_activation():
    net = relu_net()
    data = torch.randn(30, 2, generator=generator(1))
    (values,) = from_module(net, X, at="weights", data=data).pool.choices.values()
    assert torch.equal(values[:, 0].bool(), net[0](data) > 0)


def test_draws_keep_inputs_and_gates_together():
    net = relu_net()
    data = torch.randn(30, 2, generator=generator(1))
    family = from_module(net, X, at="weights", data=data)
    drawn = family.draw(family.draw_parameters(200, FIELD, generator()), FIELD, generator())
    (gates,) = (value for name, value in drawn.items() if name.startswith("choice"))
    (inputs,) = (value for name, value in drawn.items() if name.startswith("input"))
    known = {tuple(row): tuple(gate) for row, gate in zip(*(t.tolist() for t in table(net, data)), strict=True)}
    assert {
        tuple(row): tuple(gate) for row, gate in zip(inputs[:, 0].tolist(), gates[:, 0].tolist(), strict=True)
    } == known


def table(net, data):
    return Residues(FIELD).exact(data), (net[0](data) > 0).double()


def test_a_batch_is_drawn_from_the_examples():
    family = from_module(nn.Linear(2, 2), torch.zeros(3, 2), data=torch.arange(10.0).view(5, 2))
    assert family.pool.inputs[next(iter(family.pool.inputs))].shape == (MOST_ROWS, 3, 2)


def test_tokens_may_be_data():
    table = nn.Embedding(6, 2)
    answer = gl.laws(table, torch.tensor([0, 1]), data=torch.tensor([[0, 2], [2, 4]]))
    assert answer.count.upper == 6
    assert {law.text for law in answer.laws} >= {"weight[1,k]"} or answer.count.lower == 6


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (torch.zeros(4, 3), r"the data have shape \[4, 3\] and an example input \[1, 2\]: expected \[n, 1, 2\] or"),
        ((torch.zeros(4, 2), torch.zeros(4, 2)), "the data hold 2 tensors and the example inputs 1"),
        (torch.zeros(0, 2), "must hold the same number of examples, at least one"),
    ],
)
def test_data_that_do_not_fit_are_refused(data, sentence):
    with pytest.raises(InputError, match=sentence):
        from_module(nn.Linear(2, 2), X, data=data)


def test_a_state_that_cannot_be_read_is_refused():
    net = nn.Sequential(nn.Conv1d(1, 2, 2), nn.MaxPool1d(2))
    with pytest.raises(UnsupportedError, match=r"cannot read the state of aten.max_pool1d .* ask without at='weights'"):
        from_module(net, torch.zeros(1, 1, 5), at="weights")


def test_an_unknown_place_is_refused():
    with pytest.raises(InputError, match="unknown at 'here': expected one of generic, weights"):
        from_module(nn.Linear(2, 2), X, at="here")
