"""Steps of Runge-Kutta and other methods, adaptive ones by scipy; after each step the state may be put right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from gradlaws.errors import InputError, UnclearError
from gradlaws.geometry.objective import Array

Slope = Callable[[float, Array], Array]
Settle = Callable[[float, Array], Array]
Passed = tuple[float, list[Array]]

ONE_STEP = ("RK23", "RK45", "DOP853")
IMPLICIT = ("Radau", "BDF", "LSODA")
FIXED = ("euler", "midpoint", "rk4")
METHODS = (*ONE_STEP, *IMPLICIT, *FIXED)


@dataclass(frozen=True, slots=True)
class Method:
    """How to step.

    Args:
        name: one of scipy's adaptive methods ``RK23``, ``RK45``, ``DOP853``, for stiff flows ``Radau``, ``BDF``,
            ``LSODA``, or of fixed step ``euler``, ``midpoint``, ``rk4``.
        rtol: of the adaptive ones: error of a step, relative to the state.
        atol: and absolute.
        most: steps that the adaptive ones may take.
        step: of the fixed ones; the last step before a time that is asked for is no longer than the others.

    Raises:
        InputError: there is no such method, or a number makes no sense.
    """

    name: str = "RK45"
    rtol: float = 1e-8
    atol: float = 1e-10
    step: float | None = None
    most: int = 3_000

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise InputError(f"unknown method {self.name!r}: expected one of {', '.join(METHODS)}")
        if self.name in FIXED and self.step is None:
            raise InputError(f"method {self.name!r} has a fixed step: pass step=, for example step=0.01")
        if self.name not in FIXED and self.step is not None:
            raise InputError(
                f"method {self.name!r} chooses its steps: leave out step=, pass rtol= and atol=, or use one of "
                + ", ".join(FIXED)
            )
        if self.step is not None and not 0 < self.step < np.inf:
            raise InputError(f"a step of {self.step} makes no sense: expected a positive number")
        if self.most < 1:
            raise InputError(f"at most {self.most} steps make no sense: expected at least 1")
        if not (1e-13 <= self.rtol < 1 and 0 <= self.atol < 1):
            raise InputError(
                f"tolerances rtol={self.rtol}, atol={self.atol} make no sense: expected rtol from 1e-13 to 1, "
                "such as 1e-8, and atol from 0 to 1"
            )

    def march(self, slope: Slope, times: Array, state: Array, settle: Settle | None = None) -> Iterator[Passed]:
        """Step by step: the time reached, and the states at the times that were passed, all but the first one.

        Args:
            slope: derivative of the state.
            times: increasing.
            state: at the first of them.
            settle: puts a state right, as `gradlaws.geometry.projection.Projection` does; for one-step methods.

        Raises:
            InputError: the method keeps more than one state, and there is `settle`.
            UnclearError: the state cannot be followed.
        """
        if settle is not None and self.name in IMPLICIT:
            raise InputError(
                f"method {self.name!r} cannot be projected onto laws: it is built on states of several steps; expected "
                f"one of {', '.join((*ONE_STEP, *FIXED))}"
            )
        if len(times) == 1:
            return iter(())
        return (self._evenly if self.name in FIXED else self._adaptively)(slope, times, state, settle)

    def _evenly(self, slope: Slope, times: Array, state: Array, settle: Settle | None) -> Iterator[Passed]:
        assert self.step is not None
        for begin, end in pairwise(times):
            count = max(1, int(np.ceil((end - begin) / self.step * (1 - 1e-12))))
            width = (end - begin) / count
            for i in range(count):
                with np.errstate(all="ignore"):
                    state = _RULES[self.name](slope, begin + i * width, state, width)
                if not np.isfinite(state).all():
                    raise UnclearError(
                        f"the state is infinite at t = {begin + (i + 1) * width:g}: the step {self.step:g} is too long "
                        "for this loss; expected a smaller one, or an adaptive method such as RK45"
                    )
                reached = begin + (i + 1) * width if i + 1 < count else end
                state = settle(reached, state) if settle else state
                yield reached, [state] if reached == end else []

    def _adaptively(self, slope: Slope, times: Array, state: Array, settle: Settle | None) -> Iterator[Passed]:
        if not np.isfinite(slope(times[0], state)).all():
            raise UnclearError(f"the field is NaN or infinite at t = {times[0]:g}: expected another start")
        solver = _solver(self.name)(slope, times[0], state, times[-1], rtol=self.rtol, atol=self.atol)
        waiting, taken = list(times[1:]), 0
        while waiting:
            taken += 1
            if taken > self.most:
                raise UnclearError(
                    f"after {self.most} steps the flow has only come to t = {solver.t:g} of {times[-1]:g}: it is "
                    "stiff, or slides along a kink of the loss, as ReLU networks do; expected method='LSODA' where it "
                    "is stiff, else a larger rtol, a fixed step as in method='rk4', step=0.01, or more steps, "
                    "max_steps="
                )
            with np.errstate(all="ignore"):
                solver.step()
            if solver.status == "failed":
                raise UnclearError(
                    f"the flow cannot be followed beyond t = {solver.t:g}: the steps became too short; the loss is "
                    "unbounded below or has no continuous gradient there, or rtol is too small; end earlier, or use a "
                    "fixed step, as in method='rk4', step=0.01"
                )
            between = solver.dense_output() if waiting[0] < solver.t else None
            if settle:  # a one-step method goes on from whatever state it finds
                solver.y = settle(solver.t, solver.y)
                solver.f = slope(solver.t, solver.y)
            passed: list[Array] = []
            while waiting and waiting[0] < solver.t:
                assert between is not None
                passed.append(settle(waiting[0], between(waiting[0])) if settle else between(waiting[0]))
                waiting.pop(0)
            if waiting and waiting[0] == solver.t:
                passed.append(solver.y.copy())
                waiting.pop(0)
            yield solver.t, passed


def _solver(name: str) -> Any:
    try:
        from scipy import integrate  # noqa: PLC0415 - takes longer to load than most flows to integrate
    except ImportError:
        raise InputError(f"method {name!r} needs scipy: pip install 'gradlaws[geometry]'") from None
    return getattr(integrate, name)


def _euler(slope: Slope, time: float, state: Array, width: float) -> Array:
    """Gradient descent."""
    return state + width * slope(time, state)


def _midpoint(slope: Slope, time: float, state: Array, width: float) -> Array:
    """Order 2."""
    return state + width * slope(time + width / 2, state + width / 2 * slope(time, state))


def _rk4(slope: Slope, time: float, state: Array, width: float) -> Array:
    """Order 4."""
    a = slope(time, state)
    b = slope(time + width / 2, state + width / 2 * a)
    c = slope(time + width / 2, state + width / 2 * b)
    d = slope(time + width, state + width * c)
    return state + width / 6 * (a + 2 * b + 2 * c + d)


_RULES = {"euler": _euler, "midpoint": _midpoint, "rk4": _rk4}
