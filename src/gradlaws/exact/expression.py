"""Reads rational expressions such as ``x*(2/3 - y)/(1 + y**2)``, as a person or SymPy writes them.

Nothing is evaluated by Python: the syntax tree is walked, and only sums, products, quotients and whole powers of
declared names and numbers are understood.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from gradlaws.errors import InputError
from gradlaws.exact.polynomial import Polynomial, constant

_MOST = 20_000
"""Terms and powers beyond which an expression is refused."""


@dataclass(frozen=True, slots=True)
class Quotient:
    """A numerator over a denominator that is not zero; common factors may remain."""

    above: Polynomial
    below: Polynomial

    def __add__(self, other: Quotient) -> Quotient:
        if self.below == other.below:
            return Quotient(self.above + other.above, self.below)
        return Quotient(self.above * other.below + other.above * self.below, self.below * other.below)

    def __mul__(self, other: Quotient) -> Quotient:
        return Quotient(self.above * other.above, self.below * other.below)

    def derivative(self, variable: int) -> Quotient:
        """Partial derivative."""
        if not any(variable in monomial for monomial in self.below.terms):
            return Quotient(self.above.derivative(variable), self.below)
        slope = self.above.derivative(variable) * self.below - self.above * self.below.derivative(variable)
        return Quotient(slope, self.below * self.below)


def read_expression(text: str, numbers: Mapping[str, int]) -> Quotient:
    """The rational function that a text describes.

    Args:
        text: with ``+ - * / **``, parentheses, numbers and names; ``^`` is read as ``**``.
        numbers: of the variables, by name.

    Raises:
        InputError: it is no such expression, uses a name that is not declared, or divides by zero.
    """
    source = text.strip().replace("^", "**")
    try:
        tree = ast.parse(source, mode="eval")
        return _Reader(source, text, numbers).read(tree.body)
    except (SyntaxError, ValueError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot read the expression {text!r}: expected one such as x*y - 2/3*x**2") from None
    except RecursionError:
        raise InputError(f"the expression {text[:40]!r}... is nested too deeply") from None


@dataclass(frozen=True, slots=True)
class _Reader:
    source: str
    text: str
    numbers: Mapping[str, int]

    def read(self, node: ast.expr) -> Quotient:
        """The value of one node of the syntax tree."""
        if isinstance(node, ast.Name):
            return self._variable(node.id)
        if isinstance(node, ast.Constant):
            return self._number(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            sign = -1 if isinstance(node.op, ast.USub) else 1
            return self.read(node.operand) * _whole(sign)
        if isinstance(node, ast.BinOp):
            return self._checked(self._binary(node))
        if isinstance(node, ast.Call):
            name = ast.get_source_segment(self.source, node.func)
            raise InputError(f"{name}(...) in {self.text!r} is not rational: only + - * / ** are understood")
        raise self._strange(node)

    def _binary(self, node: ast.BinOp) -> Quotient:
        left = self.read(node.left)
        if isinstance(node.op, ast.Pow):
            return self._power(left, node.right)
        right = self.read(node.right)
        match node.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left + right * _whole(-1)
            case ast.Mult():
                return left * right
            case ast.Div():
                return left * self._inverse(right)
        raise self._strange(node)

    def _power(self, base: Quotient, exponent: ast.expr) -> Quotient:
        value = self.read(exponent)
        number = Fraction(value.above.terms.get((), 0))
        if value.above.degree or value.below.terms != {(): 1} or number.denominator != 1:
            raise InputError(f"an exponent in {self.text!r} is not a whole number: the expression is not rational")
        if abs(number) > _MOST or (len(base.above.terms) > 1 and abs(number) > 64):
            raise InputError(f"the power {number} in {self.text!r} is too large to write out")
        total = _whole(1)
        for _ in range(abs(int(number))):
            total = self._checked(total * (base if number > 0 else self._inverse(base)))
        return total

    def _inverse(self, value: Quotient) -> Quotient:
        if not value.above.terms:
            raise InputError(f"{self.text!r} divides by zero at every point")
        if not value.above.degree:
            return Quotient(value.below * (1 / Fraction(value.above.terms[()])), constant(1))
        return Quotient(value.below, value.above)

    def _checked(self, value: Quotient) -> Quotient:
        if len(value.above.terms) + len(value.below.terms) > _MOST:
            raise InputError(f"the expression {self.text[:40]!r}... has more than {_MOST} terms when written out")
        return value

    def _variable(self, name: str) -> Quotient:
        if name not in self.numbers:
            raise InputError(f"{name!r} in {self.text!r} is not declared: expected one of {', '.join(self.numbers)}")
        return Quotient(Polynomial({(self.numbers[name],): 1}), constant(1))

    def _number(self, node: ast.Constant) -> Quotient:
        written = ast.get_source_segment(self.source, node) or ""
        if isinstance(node.value, bool) or not isinstance(node.value, int | float) or len(written) > 40:
            raise self._strange(node)
        if isinstance(node.value, float) and "e" in written.lower():
            raise InputError(f"{written} in {self.text!r}: write it as a fraction or a decimal without exponent")
        return Quotient(constant(Fraction(written.replace("_", ""))), constant(1))

    def _strange(self, node: ast.expr) -> InputError:
        part = ast.get_source_segment(self.source, node)
        return InputError(f"{part!r} in {self.text!r} is not understood: only numbers, names and + - * / ** are")


def _whole(number: int) -> Quotient:
    return Quotient(constant(number), constant(1))
