"""Mirror maps by the second derivative that a torch function computes, entry by entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as keep
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.exact.field import DEFAULT_PRIMES, PrimeField
from gradlaws.exact.formal import RECIPROCAL
from gradlaws.exact.jet import Jet
from gradlaws.exact.ring import Ring
from gradlaws.flows.metric import Hessian, Metric

if TYPE_CHECKING:
    from gradlaws.models.record import Program

_EXAMPLES = (0.7, 1.3, 2.1)
_DEGREE = 64


@dataclass(frozen=True)
class TracedHessian(Metric):
    """``m(x) = 1 / h(x)`` for the second derivative h of a mirror map, written in torch: ``lambda x: torch.cosh(x)``.

    The function is recorded once and run over the field by the same rules as modules: smooth functions are known
    there by their differential equations.

    Args:
        function: maps a tensor to one of the same shape, entry by entry, by operations that modules may use too.

    Raises:
        InputError: it fails, mixes entries, or gives another shape.
        UnsupportedError: it uses an operation without an exact rule.
    """

    function: Callable[[Tensor], Tensor]
    program: Program = keep(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        from gradlaws.models.record import record  # noqa: PLC0415 - takes as long to import as torch

        x = torch.tensor(_EXAMPLES, dtype=torch.float64)
        try:
            whole, single = self.function(x), [self.function(entry) for entry in x]
        except Exception as error:
            raise InputError(f"the Hessian {self.label} fails on a tensor: {type(error).__name__}: {error}") from None
        if not (isinstance(whole, Tensor) and whole.shape == x.shape):
            raise InputError(f"the Hessian {self.label} must give a tensor of the shape that it takes")
        if not torch.allclose(whole, torch.stack(single), equal_nan=True):
            raise InputError(f"the Hessian {self.label} mixes entries: expected h(x) entry by entry")
        object.__setattr__(self, "program", record(_Wrapped(self.function), (x,), {}))
        self._over(Jet(torch.ones(1, 1, 1, dtype=torch.float64), PrimeField(DEFAULT_PRIMES[0])))  # refuse it now

    @property
    def label(self) -> str:
        """The name of the function."""
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return "h" if name == "<lambda>" else name

    @property
    def name(self) -> str:
        return f"hessian={self.label}"

    @property
    def degree(self) -> int:
        """A generous bound, for error probabilities of random tests only."""
        return _DEGREE

    @property
    def polynomial(self) -> bool:
        return False

    @property
    def odd(self) -> bool:
        """Not known, so taken to be."""
        return True

    def apply(self, x: Any, g: Any) -> Any:
        if isinstance(x, Jet):
            return g * RECIPROCAL(self._over(x))[0]
        return g / self.function(x)

    def singular(self, x: Tensor, field: PrimeField) -> Tensor:
        return self.hessian(x, field) == 0

    def hessian(self, x: Tensor, ring: Ring) -> Tensor:
        """H at real numbers, or at residues."""
        if isinstance(ring, PrimeField):
            return self._over(Jet(x.unsqueeze(0), ring)).coefficients[0]
        return self.function(x)

    def _over(self, x: Jet) -> Jet:
        from gradlaws.exact.execute import Context, execute  # noqa: PLC0415

        (name,) = self.program.inputs
        outputs = next(node for node in self.program.graph.nodes if node.op == "output").args[0]
        (wanted,) = [outputs[i] for i in self.program.outputs]
        bindings = {name: x, **self.program.constants}
        (value,) = execute(self.program.graph, bindings, [wanted], Context(x.field, {}))
        return value if isinstance(value, Jet) else Context(x.field, {}).jet(value)


def hessian(second_derivative: Any) -> Metric:
    """The metric of a mirror map by its second derivative: a text or SymPy expression in x, or a torch function.

    Raises:
        InputError: it is not understood, is zero, or does not work entry by entry.
    """
    symbolic = isinstance(second_derivative, str) or hasattr(second_derivative, "free_symbols")
    return Hessian(str(second_derivative)) if symbolic else TracedHessian(second_derivative)


class _Wrapped(nn.Module):
    """A function as a module, to be recorded."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x)
