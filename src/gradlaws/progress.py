"""How long work reports: a listener hears the name of a stage and the fraction done."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
