"""The one family of errors: each message says what was given, what was expected and what to do."""

from __future__ import annotations


class GradlawsError(Exception):
    """Base of every error that gradlaws raises on purpose."""


class InputError(GradlawsError, ValueError):
    """The request cannot be understood or cannot be served; the message names the remedy."""


class TooLargeError(InputError):
    """The request is clear but does not fit in memory; the message gives the estimate and the remedy."""


class ExactnessError(GradlawsError, ArithmeticError):
    """A residue stopped being an exact integer below 2**53. Raised by guarded fields only; always a defect of ours."""


class ContradictionError(GradlawsError):
    """Two answers to one question exclude each other. Always a defect of ours; the message carries the seed."""


class UnsupportedError(InputError):
    """A model uses an operation that cannot be computed exactly; the message names it, its line and the remedy."""


class UnclearError(GradlawsError, ArithmeticError):
    """Floating point cannot tell: singular values without a gap, or derivatives that contradict finite differences."""
