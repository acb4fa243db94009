"""Back onto the invariant set: the nearest state, to first order, at which the laws have the values they began with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from gradlaws.errors import InputError, UnclearError
from gradlaws.geometry.motion import Motion
from gradlaws.geometry.objective import Array
from gradlaws.laws.law import Law

DENSE = 4_000_000
"""Entries of all gradients up to which they are written out."""

_MOST = 8
_ROUNDING = 4 * np.finfo(np.float64).eps
_MOVES = 1e-7
"""Derivative of a law along its flow, relative to the sizes of both gradients, that is not rounding."""

_FAR = 1e-7
"""Breach, relative to what the laws' gradients make of the state, at which projection has failed."""


@final
class Projection:
    """Gauss-Newton's method on ``h(t, y) = h(t_0, y_0)``: each step is the shortest that solves the linearised laws.

    The shortest step lies in the span of the gradients of the laws, which may be dependent. Where they do not fit in
    memory it is found by LSMR (Fong, Saunders 2011) from products with them and their transpose only. A method of order
    p keeps its order (Hairer, Lubich, Wanner 2006, section IV.4).

    Args:
        motion: which is projected.
        laws: of its flow, as `gradlaws.laws(model, ..., flow=...)` lists them. That they are is tested at one state.
        time: t_0.
        state: y_0.
        later: a time at which the laws are tested.

    Raises:
        InputError: a law is about other parameters, or no law of this flow.
    """

    def __init__(self, motion: Motion, laws: Sequence[Law], time: float, state: Array, later: float) -> None:
        if not isinstance(laws, Sequence) or not all(isinstance(law, Law) for law in laws):
            raise InputError("laws are not understood: expected a list of laws, such as gradlaws.laws(model, x).laws")
        self._motion, self._laws = motion, tuple(laws)
        self._kept = self._values(time, state)
        self._test(later, motion.shaken(state))

    def __call__(self, time: float, state: Array) -> Array:
        """The state, projected.

        Raises:
            UnclearError: it is too far from the invariant set for Newton's method.
        """
        best, found, slope, size = np.inf, state, 1.0, float(np.linalg.norm(state))
        for _ in range(_MOST):
            breach = self._values(time, state) - self._kept
            missed = float(np.linalg.norm(breach))
            if missed < best:
                best, found = missed, state
            else:
                break
            if missed == 0:
                return found
            rows = _Rows(self._motion, self._laws, time, state)
            slope = float(np.linalg.norm(rows.transposed(breach))) / missed
            if missed <= _ROUNDING * slope * size:
                break
            state = state - rows.shortest(breach)
        if not best <= _FAR * slope * size:
            raise UnclearError(
                f"at t = {time:g} the state is too far from the invariant set to be projected: smaller steps would "
                "help (step=, or rtol=), or the laws are not those of this flow"
            )
        return found

    def _test(self, time: float, state: Array) -> None:
        """Refuse what moves along the flow."""
        slope, point = self._motion.slope(time, state), self._motion.point(time, state)
        moving = self._motion.direction(slope, self._motion.ticking(time))
        for law in self._laws:
            moved = law.derivative(point, moving).reshape(-1).numpy()
            size = float(np.linalg.norm(moved))
            steepness = float(np.linalg.norm(_Rows(self._motion, [law], time, state).transposed(moved)))
            if size**2 > _MOVES * steepness * float(np.linalg.norm(slope)):
                raise InputError(
                    f"{law.text} is not a law of this flow ({self._motion.title}): expected those that "
                    "gradlaws.laws(model, inputs, flow=...) lists for the same flow"
                )

    def _values(self, time: float, state: Array) -> Array:
        point = self._motion.point(time, state)
        try:
            return np.concatenate([law.value(point).reshape(-1).numpy() for law in self._laws])
        except KeyError as error:
            raise InputError(
                f"a law is about {error}, which is not in this flow: expected the laws of this module under this "
                f"flow, with {', '.join(point)}"
            ) from None


@final
class _Rows:
    """Derivatives of all laws at one state, as a linear map from directions ``[D]`` and its transpose."""

    def __init__(self, motion: Motion, laws: Sequence[Law], time: float, state: Array) -> None:
        self._motion, self._laws, self._point = motion, laws, motion.point(time, state)
        self._size = len(state)
        with torch.inference_mode(False), torch.enable_grad():
            self._direction = {name: torch.zeros_like(x).requires_grad_() for name, x in self._point.items()}
            self._image = self._slopes(self._direction)

    def shortest(self, breach: Array) -> Array:
        """The shortest direction with these derivatives, or the best there is."""
        if len(breach) * self._size <= DENSE:
            return np.asarray(np.linalg.lstsq(self.matrix(), breach, rcond=None)[0], dtype=np.float64)
        from scipy.sparse.linalg import LinearOperator, lsmr  # noqa: PLC0415 - only large projections need it

        shape = (len(breach), self._size)
        operator = LinearOperator(shape, self.applied, self.transposed, dtype=np.float64)
        return np.asarray(lsmr(operator, breach, atol=1e-12, btol=1e-12, conlim=0)[0])

    def matrix(self) -> Array:
        """All gradients, ``[laws, state]``."""
        return self._pulled(torch.eye(len(self._image), dtype=torch.float64), batched=True)

    def applied(self, direction: Array) -> Array:
        """Derivatives along a direction, the clock standing still."""
        return self._slopes(self._motion.direction(np.asarray(direction, dtype=np.float64).reshape(-1))).numpy()

    def transposed(self, weights: Array) -> Array:
        """The combination of gradients with these weights."""
        return self._pulled(torch.as_tensor(np.asarray(weights, dtype=np.float64).reshape(-1)), batched=False)

    def _pulled(self, weights: Tensor, batched: bool) -> Array:
        """Combinations of gradients, ``[*batch, state]``, for weights ``[*batch, laws]``."""
        along = self._direction
        found = torch.autograd.grad(
            self._image, list(along.values()), weights, retain_graph=True, allow_unused=True, is_grads_batched=batched
        )
        shape = weights.shape[:-1]
        filled = {
            name: x.new_zeros((*shape, *x.shape)) if pulled is None else pulled
            for (name, x), pulled in zip(along.items(), found, strict=True)
        }
        return self._motion.flat(filled)

    def _slopes(self, direction: dict[str, Tensor]) -> Tensor:
        return torch.cat([law.derivative(self._point, direction).reshape(-1) for law in self._laws])
