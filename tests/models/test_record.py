"""Recording: the user's module is left as it is, and what cannot be recorded is refused in one sentence."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import gradlaws as gl
from gradlaws.errors import InputError, UnsupportedError
from gradlaws.models.record import record
from tests.models.operations import Apply, between
from tests.models.zoo import Attention


def snapshot(module):
    """Everything of a module that a recording might disturb."""
    parts = {
        f"{kind} {name}": t for kind in ("parameters", "buffers") for name, t in getattr(module, f"named_{kind}")()
    }
    return {
        "values": {name: t.detach().clone() for name, t in parts.items()},
        "identities": {name: id(t) for name, t in parts.items()},
        "flags": {name: (t.requires_grad, t.dtype, t._version) for name, t in parts.items()},
        "gradients": {name: None if t.grad is None else t.grad.clone() for name, t in parts.items()},
        "modes": [part.training for part in module.modules()],
        "hooks": [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()],
        "names": [sorted(vars(part)) for part in module.modules()],
        "random": torch.random.get_rng_state(),
        "grad mode": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
    }


def assert_untouched(before, after):
    for key in ("identities", "flags", "modes", "hooks", "names", "grad mode", "threads"):
        assert before[key] == after[key], key
    assert torch.equal(before["random"], after["random"])
    for key in ("values", "gradients"):
        for name, tensor in before[key].items():
            other = after[key][name]
            assert (tensor is None) == (other is None), (key, name)
            assert tensor is None or torch.equal(tensor, other), (key, name)


def used():
    """A module in the middle of its training, with hooks, frozen parts and gradients."""
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(0.3), nn.Linear(3, 2))
    module[0].bias.requires_grad_(False)
    module[4].eval()
    module(torch.randn(4, 2)).sum().backward()
    module[2].register_forward_hook(lambda *_: None)
    return module


@pytest.mark.parametrize("make", [used, lambda: used().eval(), lambda: Attention(2, 2, causal=True)])
def test_the_module_is_left_bit_identical(make):
    module = make()
    inputs = torch.ones(3, 2)
    before = snapshot(module)
    gl.count(module, inputs)
    assert_untouched(before, snapshot(module))
    assert torch.equal(inputs, torch.ones(3, 2))


FAULTS = {
    "a value": lambda m: m[0].weight.data.add_(1e-7),
    "a buffer": lambda m: m[1].running_mean.add_(1e-7),
    "a flag": lambda m: m[0].bias.requires_grad_(True),
    "a mode": lambda m: m[4].train(),
    "a hook": lambda m: m[0].register_forward_hook(lambda *_: None),
    "a gradient": lambda m: m.zero_grad(),
    "an attribute": lambda m: setattr(m[0], "note", 1),
    "random numbers": lambda _: torch.rand(1),
    "another parameter": lambda m: setattr(m[0], "weight", nn.Parameter(m[0].weight.detach().clone())),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_trace_is_seen(fault):
    module = used()
    before = snapshot(module)
    FAULTS[fault](module)
    with pytest.raises(AssertionError):
        assert_untouched(before, snapshot(module))


class Counter(nn.Linear):
    """Adds one to a buffer at every call."""

    def __init__(self, dtype=torch.float32):
        super().__init__(2, 2)
        self.register_buffer("calls", torch.zeros((), dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class Drifting(nn.Linear):
    """Changes its weight at every call."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.weight.mul_(0.9)
        return super().forward(x)


def noisy(m, x):
    return m["a"](x) + torch.randn(2)


def branching(m, x):
    y = m["a"](x)
    return y if y.sum() > 0 else -y


def counting(m, x):
    return m["a"](x) * m["a"](x).sum().item()


def without_gradient(m, x):
    with torch.no_grad():
        return m["a"](x)


BRANCH = "cannot record Apply: .*; a forward pass must not branch on values or depend on anything but its inputs"


def apply(function):
    return Apply(function, a=nn.Linear(2, 2))


class Closed(nn.Linear):
    """Holds something that cannot be copied."""

    def __deepcopy__(self, memo):
        raise TypeError("holds an open file\nand more")


REFUSED = {
    "a buffer changes": (
        lambda: Counter().eval(),
        UnsupportedError,
        "Counter changes its own parameters or buffers when it runs: compute new tensors instead",
    ),
    "a buffer changes in training": (
        Counter,
        UnsupportedError,
        "Counter changes its buffer calls when it runs: only the running statistics of batch normalisation",
    ),
    "a parameter changes": (lambda: Drifting(2, 2).eval(), UnsupportedError, "Drifting changes its own parameters"),
    "noise": (
        lambda: apply(noisy).eval(),
        UnsupportedError,
        "Apply draws random numbers: two runs on the same inputs differ; call model.eval.. or remove the noise",
    ),
    "noise in training": (
        lambda: apply(noisy),
        UnsupportedError,
        r"Apply draws random numbers \(aten.randn at operations.py:\d+: .*\): pass the noise as an input, or remove it",
    ),
    "a branch": (lambda: apply(branching), UnsupportedError, BRANCH),
    "a number from a tensor": (
        lambda: apply(counting),
        UnsupportedError,
        r"a number is taken out of a tensor \(aten.item at .*\): keep it",
    ),
    "nothing": (
        lambda: apply(lambda m, x: None),
        UnsupportedError,
        "Apply returns no floating point tensor: nothing can be trained",
    ),
    "whole numbers": (
        lambda: apply(lambda m, x: m["a"](x).argmax(-1)),
        UnsupportedError,
        "Apply returns no floating point tensor: nothing can be trained",
    ),
    "a detached output": (
        lambda: apply(lambda m, x: m["a"](x).detach()),
        UnsupportedError,
        "no output of Apply depends on a parameter that moves: return something that a loss can be made of",
    ),
    "no gradient": (lambda: apply(without_gradient), UnsupportedError, "no output of Apply depends on a parameter"),
    "no parameters": (
        nn.Identity,
        InputError,
        "Identity has no parameters that require a gradient: nothing is trained",
    ),
    "frozen": (
        lambda: nn.Linear(2, 2).requires_grad_(False),
        InputError,
        "Linear has no parameters that require a gradient",
    ),
    "complex numbers": (
        lambda: nn.Linear(2, 2, dtype=torch.complex64),
        UnsupportedError,
        "the parameter weight holds complex64: expected real floating point numbers",
    ),
    "another width": (
        lambda: nn.Linear(3, 2),
        InputError,
        "Linear fails on the example inputs: .*; pass inputs that its forward accepts",
    ),
    "no copy": (lambda: Closed(2, 2), UnsupportedError, "cannot copy Closed: holds an open file$"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_recorded_is_refused_in_one_sentence(name):
    make, kind, sentence = REFUSED[name]
    with pytest.raises(kind, match=sentence) as caught:
        gl.count(make(), torch.ones(2))
    assert "\n" not in str(caught.value)


def test_a_refused_module_is_left_alone_too():
    module = Counter()
    before = snapshot(module)
    with pytest.raises(UnsupportedError, match="changes its buffer"):
        gl.count(module, torch.ones(2))
    assert_untouched(before, snapshot(module))


def test_whole_number_counters_and_running_statistics_may_change():
    assert gl.count(Counter(torch.int64), torch.ones(2)).upper == 0
    assert gl.count(between(nn.BatchNorm1d(2, eps=0.5)).train(), torch.ones(3, 2)).upper == 2


def stopped(m, x):
    with torch.no_grad():
        y = m["a"](x)
    return m["b"](x) * y


@pytest.mark.parametrize("function", [stopped, lambda m, x: m["b"](x) * m["a"](x).detach()], ids=["no_grad", "detach"])
def test_what_is_computed_without_gradients_does_not_move(function):
    module = Apply(function, a=nn.Linear(2, 2, bias=False), b=nn.Linear(2, 2, bias=False))
    found = gl.laws(module, torch.ones(2))
    assert (found.count.lower, found.count.upper) == (4, 4)
    assert all("parts.a" in law.text and law.kind == "frozen" for law in found.laws)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_gradient_mode_of_the_caller_does_not_matter(mode):
    module = between(nn.ReLU())
    with mode():
        assert gl.count(module, torch.ones(2)).upper == 2
        assert gl.count("relu 2-3-2").upper == 3


def test_tied_parameters_share_a_name():
    module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Tanh(), nn.Linear(2, 2, bias=False))
    module[2].weight = module[0].weight
    program = record(module, (torch.ones(2),), {})
    assert set(program.parameters.values()) == {"0.weight"}


def test_keyword_arguments_may_come_in_any_order_and_be_none():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 2, bias=False), nn.Linear(3, 2, bias=False)

        def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
            return self.a(x) * self.b(y)

    straight = gl.laws(Two(), {"x": torch.ones(2), "y": torch.ones(3), "mask": None})
    swapped = gl.laws(Two(), {"mask": None, "y": torch.ones(3), "x": torch.ones(2)})
    positional = gl.laws(Two(), (torch.ones(2), torch.ones(3)))
    assert straight.laws == swapped.laws == positional.laws
    assert straight.count.upper == 2


def test_a_recorded_module_gives_the_same_program_as_its_copy():
    module = Attention(2, 2)
    first, second = (str(record(m, (torch.ones(2, 2),), {}).graph) for m in (module, copy.deepcopy(module)))
    assert first == second


def test_parametrized_weights_are_recorded_through_their_parametrization():
    module = parametrizations.weight_norm(nn.Linear(2, 2, bias=False))
    program = record(module, (torch.ones(2),), {})
    assert set(program.parameters.values()) == {f"parametrizations.weight.original{i}" for i in (0, 1)}
