"""Small real runs: models, data and optimizers that the tests of the room share."""

from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

from gradlaws.laws.contraction import Contraction
from gradlaws.laws.gram import GramLaw
from gradlaws.laws.sums import SumLaw


class Both:
    """Steps of several optimizers, as a loop takes them."""

    def __init__(self, *optimizers):
        self.optimizers = optimizers

    def step(self):
        for optimizer in self.optimizers:
            optimizer.step()


class SGDW(torch.optim.Optimizer):
    """Heavy ball with decoupled decay, written out."""

    def __init__(self, params, lr, momentum=0.0, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                buffer = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                buffer.mul_(group["momentum"]).add_(p.grad)
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(buffer, alpha=-group["lr"])


class Lion(torch.optim.Optimizer):
    """Sign of interpolated momentum, decoupled decay (Chen et al. 2023)."""

    def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            one, two = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                average = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_((average * one + p.grad * (1 - one)).sign(), alpha=-group["lr"])
                average.mul_(two).add_(p.grad, alpha=1 - two)


class SignSGD(torch.optim.Optimizer):
    """Signs of gradients or of their running mean (Bernstein et al. 2018)."""

    def __init__(self, params, lr, momentum=0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            keep = group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                mean = p.grad
                if keep:
                    mean = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                    mean.lerp_(p.grad, 1 - keep)
                p.sub_(mean.sign(), alpha=group["lr"])


class SignDescent(torch.optim.Optimizer):
    """The sign of the gradient, a class that nobody has heard of."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(p.grad.sign(), alpha=group["lr"])


EXACT = {
    "sgd": lambda ps: torch.optim.SGD(ps, lr=0.1),
    "heavy ball": lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.9),
    "nesterov": lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.9, nesterov=True),
    "nesterov foreach": lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.9, nesterov=True, foreach=True),
    "dampening": lambda ps: torch.optim.SGD(ps, lr=0.1, momentum=0.8, dampening=0.5),
    "coupled decay": lambda ps: torch.optim.SGD(ps, lr=0.1, weight_decay=0.05),
    "all of torch": lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.9, dampening=0.1, weight_decay=0.02),
    "nesterov decay": lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.02),
    "maximize": lambda ps: torch.optim.SGD(ps, lr=0.01, momentum=0.5, weight_decay=0.02, maximize=True),
    "decoupled decay": lambda ps: SGDW(ps, lr=0.1, weight_decay=0.05),
    "decoupled momentum": lambda ps: SGDW(ps, lr=0.05, momentum=0.9, weight_decay=0.05),
    "rates": lambda ps: torch.optim.SGD([{"params": [p], "lr": 0.02 * (i + 1)} for i, p in enumerate(ps)], lr=0.1),
    "rate in a tensor": lambda ps: torch.optim.SGD(ps, lr=torch.tensor(0.1, dtype=torch.float64), momentum=0.5),
}
READ_OFF_MOMENTS = {
    "adam": lambda ps: torch.optim.Adam(ps, lr=0.01),
    "adam l2": lambda ps: torch.optim.Adam(ps, lr=0.01, weight_decay=0.1, amsgrad=True),
    "adamw": lambda ps: torch.optim.AdamW(ps, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda ps: torch.optim.RMSprop(ps, lr=0.002, weight_decay=0.1),
    "rmsprop centered": lambda ps: torch.optim.RMSprop(ps, lr=0.001, centered=True, maximize=True),
    "rmsprop momentum": lambda ps: torch.optim.RMSprop(ps, lr=0.002, momentum=0.5),
}
SIGNS = {
    "lion": lambda ps: Lion(ps, lr=0.001, weight_decay=0.1),
    "sign sgd": lambda ps: SignSGD(ps, lr=0.001),
    "signs of means": lambda ps: SignSGD(ps, lr=0.001, momentum=0.9),
}
ORTHOGONAL = {  # of matrices only, so that biases stand still: a finding of its own
    "muon": lambda ps: torch.optim.Muon([p for p in ps if p.dim() == 2], lr=0.01, weight_decay=0.1),
    "muon plain": lambda ps: torch.optim.Muon(
        [p for p in ps if p.dim() == 2], lr=0.01, weight_decay=0.0, nesterov=False
    ),
    "muon as adamw": lambda ps: torch.optim.Muon(
        [p for p in ps if p.dim() == 2], lr=0.01, adjust_lr_fn="match_rms_adamw"
    ),
}
UNFORESEEN = {
    "sign": lambda ps: SignDescent(ps, lr=0.001),
    "adagrad": lambda ps: torch.optim.Adagrad(ps, lr=0.01),
}

KNOWN = EXACT | READ_OFF_MOMENTS | SIGNS
ALL = KNOWN | UNFORESEEN

LAWS = (
    GramLaw(
        ((Contraction("0.weight", 0, 2), 1), (Contraction("0.bias", 0, 1), 1), (Contraction("2.weight", 1, 2), -1)),
        12,
        "diagonal",
    ),
    GramLaw(
        ((Contraction("2.weight", 0, 2), 1), (Contraction("2.bias", 0, 1), 1), (Contraction("4.weight", 1, 2), -1)),
        12,
        "diagonal",
    ),
    SumLaw(((Contraction("4.weight", 1, 2), 1),), 12),
)
"""The laws of `classifier` under cross entropy, by hand, but for the sum of the last bias."""


def classifier(dtype=torch.float64, seed=0):
    """64-12-12-10 ReLU, weights and data of the digits."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 10)).to(dtype)


@cache
def digits(dtype=torch.float64):
    data = load_digits()
    return torch.tensor(data.data, dtype=dtype) / 16, torch.tensor(data.target)


class Loop:
    """An ordinary training loop over mini-batches."""

    def __init__(self, model, optimizer, batch=64):
        self.model, self.optimizer, self.batch, self.at = model, optimizer, batch, 0
        self.x, self.y = digits(next(model.parameters()).dtype)

    def loss(self):
        rows = slice(self.at, self.at + self.batch)
        self.at = (self.at + self.batch) % (len(self.x) - self.batch)
        return cross_entropy(self.model(self.x[rows]), self.y[rows])

    def backward(self):
        self.model.zero_grad()
        self.loss().backward()

    def run(self, steps, between=lambda: None, before_step=lambda: None):
        for _ in range(steps):
            self.backward()
            before_step()
            self.optimizer.step()
            between()


def start(optimizer="heavy ball", dtype=torch.float64):
    """A fresh classifier and its loop."""
    model = classifier(dtype)
    return Loop(model, ALL[optimizer](list(model.parameters())))
