"""What an optimizer says it does to one tensor: its update as decay + gradient + momentum, or decay + direction.

Everything is read off ``param_groups``, ``p.grad`` and ``state``; see torch.optim, and Loshchilov and Hutter (2019) for
decoupled decay. A tensor without a gradient, or in no group, does not move.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Options = Mapping[str, Any]


@dataclass(frozen=True, eq=False, slots=True)
class Parts:
    """An update as a sum; None stands for zero. Tensors of the shape of the parameter, at least float32.

    Args:
        decay: of the weights, first of all.
        gradient: of this step's gradient.
        momentum: of the momentum buffer before the step.
        direction: of what an adaptive method makes of all gradients so far.
        open: where rounding decides the direction, truth values; None where it does so nowhere.
        complete: whether the optimizer is known well enough for the sum to be the whole update.
    """

    decay: Tensor | None = None
    gradient: Tensor | None = None
    momentum: Tensor | None = None
    direction: Tensor | None = None
    open: Tensor | None = None
    complete: bool = True

    @property
    def terms(self) -> tuple[Tensor, ...]:
        """Those that are not zero, in order."""
        every = (self.decay, self.gradient, self.momentum, self.direction)
        return tuple(term for term in every if term is not None)


def wide(x: Tensor) -> Tensor:
    """Numbers to calculate with: as they are, but no less than float32."""
    return x.float() if x.dtype.itemsize < 4 else x


class Formula(ABC):
    """The update of one tensor by one kind of optimizer."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Entries of the state that must be copied before the step."""
        return ()

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether `parts` predicts the whole update."""

    @abstractmethod
    def parts(self, theta: Tensor, grad: Tensor, options: Options, before: Options, after: Options) -> Parts:
        """The update of one tensor.

        Args:
            theta: weights before the step, at least float32.
            grad: gradient, likewise.
            options: the tensor's group, as plain numbers.
            before: copies of the entries of the state that `needs` names, at least float32, None where absent.
            after: the state after the step.
        """


@dataclass(frozen=True, slots=True)
class Momentum(Formula):
    """SGD, heavy ball and Nesterov as in torch.optim.SGD, with dampening, maximize and either decay.

    With ``g' = g + lambda theta`` (or g' = g where decay is decoupled), ``v+ = beta v + (1 - d) g'`` from the second
    step on and ``v+ = g'`` on the first; then ``theta+ = theta - lr v+``, or Nesterov's ``theta - lr (g' + beta v+)``.

    Args:
        decoupled: decay acts on the weights directly and stays out of the buffer.
    """

    decoupled: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        return ("momentum_buffer",)

    @property
    def complete(self) -> bool:
        return True

    def parts(self, theta: Tensor, grad: Tensor, options: Options, before: Options, after: Options) -> Parts:
        lr, beta = options["lr"], options.get("momentum", 0.0)
        buffer = before.get("momentum_buffer") if beta else None
        fresh, old = _weights(beta, options.get("dampening", 0.0), bool(options.get("nesterov")), buffer is None)
        decay = options.get("weight_decay", 0.0) * (1.0 if self.decoupled else fresh)
        sign = -1.0 if options.get("maximize") else 1.0
        return Parts(
            decay=theta * (-lr * decay) if decay else None,
            gradient=grad * (-lr * fresh * sign),
            momentum=buffer * (-lr * old) if buffer is not None and old else None,
        )


@dataclass(frozen=True, slots=True)
class Adam(Formula):
    """Adam and AdamW (Kingma and Ba 2015): the direction is read off the moments after the step.

    Args:
        decoupled: AdamW.
    """

    decoupled: bool = False

    @property
    def complete(self) -> bool:
        return True

    def parts(self, theta: Tensor, grad: Tensor, options: Options, before: Options, after: Options) -> Parts:
        lr, (beta1, beta2), steps = options["lr"], options["betas"], float(after["step"])
        second = wide(after["max_exp_avg_sq" if options.get("amsgrad") else "exp_avg_sq"])
        root = second.sqrt().div_((1 - beta2**steps) ** 0.5).add_(options["eps"])
        direction = wide(after["exp_avg"]).mul(-lr / (1 - beta1**steps)).div_(root)
        decay = options.get("weight_decay", 0.0) if self.decoupled else 0.0
        return Parts(decay=theta * (-lr * decay) if decay else None, direction=direction)


@dataclass(frozen=True, slots=True)
class RMSprop(Formula):
    """RMSprop (Hinton 2012) as in torch.optim.RMSprop: the direction is read off the averages after the step."""

    @property
    def complete(self) -> bool:
        return True

    def parts(self, theta: Tensor, grad: Tensor, options: Options, before: Options, after: Options) -> Parts:
        lr = options["lr"]
        if options.get("momentum", 0.0):
            return Parts(direction=wide(after["momentum_buffer"]) * -lr)
        gradient = (-grad if options.get("maximize") else grad) + options.get("weight_decay", 0.0) * theta
        average = wide(after["square_avg"])
        if options.get("centered"):
            average = average - wide(after["grad_avg"]).square()
        return Parts(direction=gradient * -lr / (average.sqrt() + options["eps"]))


@dataclass(frozen=True, slots=True)
class Signs(Formula):
    """Lion (Chen et al. 2023), and signs of gradients or of their running mean: every entry moves by the rate.

    ``theta+ = theta - lr lambda theta - lr sign(beta m + (1 - beta) g)``, m being ``exp_avg`` of Lion, with the first
    of its betas, or ``momentum_buffer``. The sign of what rounding could turn is left open.
    """

    @property
    def needs(self) -> tuple[str, ...]:
        return ("exp_avg", "momentum_buffer")

    @property
    def complete(self) -> bool:
        return True

    def parts(self, theta: Tensor, grad: Tensor, options: Options, before: Options, after: Options) -> Parts:
        lr, lion = options["lr"], "betas" in options
        keep, name = (options["betas"][0], "exp_avg") if lion else (options.get("momentum", 0.0), "momentum_buffer")
        if (keep and name not in after) or options.get("weight_decouple") is False:
            return Parts(complete=False)
        fresh = grad * (keep - 1.0 if options.get("maximize") else 1.0 - keep)
        kept = before[name] * keep if keep and name in before else torch.zeros_like(fresh)
        mixed, size = fresh + kept, fresh.abs() + kept.abs()
        decay = options.get("weight_decay", 0.0)
        return Parts(
            decay=theta * (-lr * decay) if decay else None,
            direction=mixed.sign() * -lr,
            open=mixed.abs() < _ROUNDING * torch.finfo(mixed.dtype).eps * size,
            complete=options.get("cautious_factor", 1.0) == 1.0 and not any(options.get(name) for name in _OTHERWISE),
        )


@dataclass(frozen=True, slots=True)
class Muon(Formula):
    """Muon (Jordan et al. 2024) as in torch.optim.Muon: the mean of the gradients made orthogonal, as it does so.

    Orthogonal is what five steps of a Newton-Schulz iteration in bfloat16 make so; they are done again.
    """

    @property
    def complete(self) -> bool:
        return True

    def parts(self, theta: Tensor, grad: Tensor, options: Options, before: Options, after: Options) -> Parts:
        lr, buffer = options["lr"], after["momentum_buffer"]
        if buffer.dtype != theta.dtype:  # a mean of low precision is not rounded as here
            return Parts(complete=False)
        mean = grad.lerp(buffer, options["momentum"]) if options["nesterov"] else buffer
        rows, columns = theta.shape
        if options["adjust_lr_fn"] == "match_rms_adamw":
            scale = 0.2 * max(rows, columns) ** 0.5
        else:
            scale = max(1.0, rows / columns) ** 0.5
        rounded = _orthogonal(mean, options["ns_coefficients"], options["ns_steps"], options["eps"])
        decay = options["weight_decay"]
        return Parts(
            decay=theta * (-lr * decay) if decay else None,
            direction=rounded.to(theta.dtype) * (-lr * scale),
        )


@dataclass(frozen=True, slots=True)
class Unforeseen(Formula):
    """Whatever else: at most the decay is known.

    Args:
        decoupled: the weights decay by lr * weight_decay.
    """

    decoupled: bool = False

    @property
    def complete(self) -> bool:
        return False

    def parts(self, theta: Tensor, grad: Tensor, options: Options, before: Options, after: Options) -> Parts:
        decay = options.get("weight_decay", 0.0) if self.decoupled else 0.0
        return Parts(decay=theta * (-options["lr"] * decay) if decay else None, complete=False)


_BY_NAME: dict[str, Formula] = {
    "SGDW": Momentum(decoupled=True),
    "Lion": Signs(),
    "SignSGD": Signs(),
    "Muon": Unforeseen(decoupled=True),
}
"""Those that torch does not have, by the names of their classes."""

_ROUNDING = 4
_OTHERWISE = ("caution", "cautious", "fixed_decay", "adanorm")
"""Options of other implementations under which their steps are not those of the papers."""


def formula_of(optimizer: torch.optim.Optimizer) -> Formula:
    """The formula of an optimizer, by its class; subclasses are taken at the word of their base."""
    if isinstance(optimizer, torch.optim.SGD):
        return Momentum(bool(optimizer.defaults.get("decoupled_weight_decay")))
    if isinstance(optimizer, torch.optim.Adam):
        decoupled = isinstance(optimizer, torch.optim.AdamW) or optimizer.defaults.get("decoupled_weight_decay")
        return Adam(bool(decoupled))
    if isinstance(optimizer, torch.optim.RMSprop):
        return RMSprop()
    if isinstance(optimizer, torch.optim.Muon):
        return Muon()
    own = ("decoupled_wd", "cautious", "use_gc")  # of Lion elsewhere, where they are not in the options
    if any(getattr(optimizer, name, False) for name in own):
        return Unforeseen()
    return _BY_NAME.get(type(optimizer).__name__, Unforeseen())


def _weights(beta: float, dampening: float, nesterov: bool, first: bool) -> tuple[float, float]:
    """How much of the fresh gradient and of the old buffer is in one update, per unit of learning rate."""
    if not beta:
        return 1.0, 0.0
    kept = 1.0 if first else 1.0 - dampening
    if nesterov:
        return 1.0 + beta * kept, 0.0 if first else beta * beta
    return kept, 0.0 if first else beta


def _orthogonal(mean: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """The quintic iteration of torch.optim.Muon, operation by operation, ``[rows, columns]`` in bfloat16."""
    one, three, five = coefficients
    tall = mean.shape[0] > mean.shape[1]
    x = mean.bfloat16().T if tall else mean.bfloat16()
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=three, alpha=five), x, beta=one)
    return x.T if tall else x
