"""Laws by module."""

import torch
from torch import nn

import gradlaws as gl
from gradlaws.laws.contraction import Contraction
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.sums import FrozenLaw
from gradlaws.report.grouping import grouped, home, runs
from gradlaws.report.text import answer_text


def between(*tensors):
    return GramLaw(tuple((Contraction(name, 0, 2), 1) for name in tensors), 2, "diagonal")


def lines(laws):
    return grouped([(law, law.text) for law in laws])


def test_the_home_of_a_law_is_the_innermost_module_that_owns_its_tensors():
    assert home(between("h.0.attn.q.weight", "h.0.attn.k.weight")) == "h.0.attn"
    assert home(between("h.0.ln.weight", "h.0.attn.k.weight")) == "h.0"
    assert home(between("wte.weight", "wpe.weight")) == ""
    assert home(between("weight")) == ""
    assert home(FrozenLaw(Contraction("a.b.bias", 0, 1), 2)) == "a.b"
    assert home(gl.laws("linear 1-2-1", degree=2).laws[0]) == ""


def test_names_are_relative_and_equal_layers_are_printed_once():
    laws = [between(f"h.{i}.a.weight", f"h.{i}.b.weight") for i in (0, 1, 2, 4)]
    assert lines(laws) == [("h.0..2,4", ("|a.weight[k,:]|^2 + |b.weight[k,:]|^2",))]


def test_layers_that_differ_stay_apart():
    assert [path for path, _ in lines([between("h.0.a.weight"), between("h.1.b.weight")])] == ["h.0.a", "h.1.b"]


def test_experts_within_layers_are_merged_in_both_numbers():
    laws = [between(f"h.{i}.e.{j}.w") for i in range(2) for j in range(3)]
    assert [path for path, _ in lines(laws)] == ["h.0..1.e.0..2"]


def test_names_are_shortened_as_whole_words_only():
    law = between("a.w", "a.aa.w")
    assert lines([law]) == [("a", ("|w[k,:]|^2 + |aa.w[k,:]|^2",))]
    deep = between("a.w", "a.a.w")
    assert lines([deep]) == [("a", ("|w[k,:]|^2 + |a.w[k,:]|^2",))]


def test_runs():
    assert runs([3, 0, 1, 2, 7]) == "0..3,7"
    assert runs([5]) == "5"


def test_a_module_is_printed_by_module():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.h = nn.ModuleList(
                nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 2)) for _ in range(2)
            )

        def forward(self, x):
            for block in self.h:
                x = x + block(x)
            return x

    text = answer_text(gl.laws(Net(), torch.zeros(2)), explained=True).splitlines()
    assert text[1:4] == [
        "  h.0..1:",
        "    |0.weight[k,:]|^2 - |2.weight[:,k]|^2    k = 0..2",
        "        because scaling 0.weight by s > 0 is undone by 1/s on 2.weight "
        "(Marcotte, Gribonval, Peyre 2023, arXiv 2307.00144)",
    ]
