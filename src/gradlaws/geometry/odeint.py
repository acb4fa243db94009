"""The interfaces that users of scipy and torchdiffeq know: ``odeint(func, y0, t)``, and training as such a func."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradlaws.errors import InputError
from gradlaws.geometry.motion import Friction, read_motion
from gradlaws.geometry.objective import Array, Loss, Objective
from gradlaws.geometry.steps import FIXED, METHODS, Method

Field = Callable[[Any, Any], Any]

_SAME_AS = {"dopri5": "RK45", "dopri8": "DOP853", "bosh3": "RK23"}
"""Names of torchdiffeq."""


def odeint(
    func: Field,
    y0: Tensor,
    t: Any,
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    method: str = "dopri5",
    options: Mapping[str, Any] | None = None,
) -> Tensor:
    """Solve ``y' = func(t, y)``, called as torchdiffeq's function of this name; without derivatives of the solution.

    Args:
        func: of a time, a tensor of no dimensions, and a state in the shape and precision of y0.
        y0: at the first time, a tensor of any shape.
        t: increasing, ``[T]``.
        rtol: error allowed to a step of adaptive methods, relative to each number of the state.
        atol: the same, absolute.
        method: ``dopri5``, ``dopri8``, ``bosh3``, or any of `gradlaws.geometry.steps`: ``LSODA``, ``rk4``, ...
        options: ``step_size`` of the fixed methods ``euler``, ``midpoint``, ``rk4``, the gaps of t without it;
            ``max_num_steps`` of the adaptive ones.

    Returns:
        ``[T, *y0.shape]`` in the precision and on the device of y0; steps are taken in float64.

    Raises:
        InputError: something is NaN, of the wrong shape, or unknown, or times do not increase.
        UnclearError: the solution cannot be followed.
    """
    start, times = _state(y0), _times(t)
    how = _method(method, rtol, atol, dict(options or {}), times)

    def slope(time: float, state: Array) -> Array:
        here = torch.as_tensor(state).reshape(y0.shape).to(y0)
        found = func(torch.tensor(time, dtype=torch.float64).to(y0), here)
        if not isinstance(found, Tensor) or found.shape != y0.shape:
            what = f"shape {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise InputError(f"func gives {what} at t = {time:g}: expected a tensor like y0, {list(y0.shape)}")
        return found.detach().double().cpu().reshape(-1).numpy()

    states = [start, *(state for _, passed in how.march(slope, times, start) for state in passed)]
    return torch.as_tensor(np.stack(states)).reshape(len(times), *y0.shape).to(y0)


def training_field(model: nn.Module, loss: Loss, flow: str | Friction = "gradient") -> tuple[Field, Tensor]:
    """The flow of training as ``func(t, y)`` and y0, for `odeint`, ``scipy.integrate.solve_ivp`` and their like.

    Args:
        model: a private float64 copy is moved.
        loss: of the copy.
        flow: as for `gradlaws.geometry.integrate.integrate`, which also gives names back and keeps laws.

    Returns:
        A function of a time and a flat state, tensor or array, that gives the same kind; and the state of the module,
        float64 ``[D]``, with momentum ``[2 D]``.

    Raises:
        InputError: as for `integrate`.
    """
    motion = read_motion(Objective(model, loss), flow, None)

    def func(t: Any, y: Any) -> Any:
        if float(t) == 0:
            motion.start(0.0)  # refuses what is infinite there
        if isinstance(y, Tensor):
            return torch.as_tensor(motion.slope(float(t), y.detach().double().cpu().numpy())).to(y)
        return motion.slope(float(t), np.asarray(y, dtype=np.float64))

    return func, torch.as_tensor(motion.start(1.0)).clone()


def _method(name: str, rtol: float, atol: float, options: dict[str, Any], times: Array) -> Method:
    if not isinstance(name, str) or name not in (*_SAME_AS, *METHODS):
        raise InputError(f"unknown method {name!r}: expected one of {', '.join((*_SAME_AS, *METHODS))}")
    name = _SAME_AS.get(name, name)
    known = {"step_size"} if name in FIXED else {"max_num_steps"}
    if not options.keys() <= known:
        raise InputError(f"options {sorted(options)} of method {name!r} are not understood: expected {known}")
    bad = [f"{key}={value!r}" for key, value in options.items() if not isinstance(value, int | float)]
    if bad:
        raise InputError(f"option {bad[0]} is no number: expected one")
    if name in FIXED:
        return Method(name, rtol, atol, float(options.get("step_size", np.diff(times).max(initial=1e-300))))
    return Method(name, rtol, atol, most=int(options.get("max_num_steps", 2**31 - 1)))


def _state(y0: Tensor) -> Array:
    if not isinstance(y0, Tensor) or not y0.is_floating_point():
        raise InputError(f"y0 is {getattr(y0, 'dtype', type(y0).__name__)}: expected a tensor of real numbers")
    if y0.requires_grad:
        raise InputError("y0 requires a gradient, and none is kept: expected y0.detach(), or torchdiffeq for adjoints")
    if not bool(torch.isfinite(y0).all()):
        raise InputError("y0 has entries that are NaN or infinite: expected finite numbers")
    return y0.double().cpu().reshape(-1).numpy().copy()


def _times(t: Any) -> Array:
    values = np.asarray(t.detach().cpu().numpy() if isinstance(t, Tensor) else t)
    if values.dtype.kind not in "iuf" or values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise InputError(f"times {t!r} are not understood: expected finite numbers [T], such as [0, 1, 10]")
    if (np.diff(values) <= 0).any():
        raise InputError("times do not increase: expected each one later than the one before, such as [0, 1, 10]")
    return values.astype(np.float64)
