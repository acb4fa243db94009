"""Checks certificates of PyTorch modules, and all others: ``python check_program.py certificate.json``.

Standard library only; needs `check.py` beside it, which reads files, eliminates, and explains what a certificate is. A
module is in its certificate as a *program*: scalar steps, each from earlier ones, the last one the potential
``psi(theta; s)``. Steps are sums, products, rational numbers and

* *generic numbers*, constants of which nothing is used but that equal names have equal values;
* *functions* that are known by their differential equations (`slope`) and symmetries (`MIRROR`) only. Wherever nothing
  else is known of a function its value is free: equal arguments give equal values, and that is all. ``reciprocal`` and
  ``root`` (of 1/u) are what they are, ``sine`` and ``cosine`` lie on the circle.

What is proved is a theorem on this program and these assumptions. The three facts of check.py are checked modulo a
prime: fields come from one run of the program and back (`gradient`), brackets from the same run in dual numbers. A
program of sums and products only is expanded where that is affordable. Otherwise a law is tested at a random point
modulo a prime of thousands of bits, with random values of the functions; there ``root`` is any function r with
``r' = -r u' / (2 u)``: what all these conserve the root conserves. The chance that a false law passes is at most
degree / prime (Schwartz, Zippel; the degree comes from the same run, in `Bound`). Exit status: 0 PROVED or CERTAIN,
1 a check fails, 2 not a certificate.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

if __package__:
    from gradlaws import check
else:  # a script: nothing but the file beside it is loaded
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import check  # type: ignore[import-not-found, no-redef]

MAX_COST = 200_000  # steps and their operands
MAX_BITS = 4_000  # of a degree
LARGE_PRIME = 2**4423 - 1  # prime (Hurwitz, 1961), and 3 modulo 4
MAX_TERMS = 20_000  # of an expansion

Number = Any  # a residue, a dual number, a polynomial or a bound
Step = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """What a rational function is at most: degrees of numerator and denominator, and terms where it is a polynomial."""

    above: int
    below: int
    terms: float

    def __add__(self, other: Number) -> Bound:
        other = other if isinstance(other, Bound) else Bound(0, 0, 1.0)
        above = max(self.above + other.below, other.above + self.below)
        return Bound(above, self.below + other.below, self.terms + other.terms)

    def __mul__(self, other: Number) -> Bound:
        if not isinstance(other, Bound):
            return self
        return Bound(self.above + other.above, self.below + other.below, self.terms * other.terms)

    __radd__, __rmul__ = __add__, __mul__


# ---- three kinds of numbers to run a program on ----------------------------------------------------------------------


class Residues:
    """Integers modulo a prime, and dual numbers over them."""

    def __init__(self, prime: int, draw: Callable[[tuple[str, int]], int] | None = None) -> None:
        """Unknown values come from `draw`; without it from a hash, the same in every run, and roots are exact."""
        self.prime, self.exact, self.draw = prime, draw is None, draw or self._hashed
        self.drawn: dict[tuple[str, int], int] = {}

    def reduce(self, x: Number) -> Number:
        """The same number with residues below the prime."""
        if isinstance(x, check.Dual):
            return check.Dual(self.reduce(x.value), self.reduce(x.slope))
        return x % self.prime

    def number(self, value: Fraction) -> int:
        """A rational number; its denominator is not a multiple of the prime."""
        return value.numerator * self._inverse(value.denominator) % self.prime

    def generic(self, name: str) -> int:
        """An unknown number, the same for equal names."""
        return self._free(name, -1)

    def call(self, name: str, u: Number) -> Number:
        """A function: f(u + e v) = f(u) + e f'(u) v."""
        if isinstance(u, check.Dual):
            return check.Dual(self.call(name, u.value), self.reduce(slope(self, name, u.value) * u.slope))
        u %= self.prime
        if name == "reciprocal":
            return self._inverse(u)
        if name == "root" and self.exact:
            return self.root(u)
        if name in ("sine", "cosine"):
            t = self._value("angle", u)
            return (2 * t if name == "sine" else 1 - t * t) * self._inverse(1 + t * t) % self.prime
        return self._value(name, u)

    def _value(self, name: str, u: int) -> int:
        """A free value for each u in the lower half; f(-u) and f(0) are what the symmetry of f leaves."""
        if name not in MIRROR:
            return self._free(name, u)
        if u == 0 and name in AT_ZERO:
            return self.number(AT_ZERO[name])
        if 2 * u < self.prime:
            return self._free(name, u)
        return MIRROR[name](self, self._free(name, self.prime - u), self.prime - u) % self.prime

    def _free(self, name: str, u: int) -> int:
        """A value of which nothing is known but its name and argument."""
        if (name, u) not in self.drawn:
            self.drawn[name, u] = self.draw((name, u)) % self.prime
        return self.drawn[name, u]

    def _inverse(self, u: int) -> int:
        if u % self.prime == 0:
            raise check.Failed("the program divides by zero at the point or at a random one")
        return pow(u, -1, self.prime)

    def root(self, u: int) -> int:
        """``r**2 u = 1``, by a power: the prime is 3 modulo 4."""
        r = pow(self._inverse(u), (self.prime + 1) // 4, self.prime)
        if r * r * u % self.prime != 1:
            raise check.Failed(f"the inverse root of {u} modulo {self.prime} does not exist: it is not a square")
        return r

    def _hashed(self, key: tuple[str, int]) -> int:
        return int.from_bytes(hashlib.sha256(f"{key} modulo {self.prime}".encode()).digest(), "big")


class Bounds:
    """Degrees of everything that a run modulo a prime computes; unknown values are variables of their own."""

    def __init__(self) -> None:
        self.arguments: list[Bound] = []

    def reduce(self, x: Number) -> Number:
        """The same, if it is not too large."""
        if isinstance(x, Bound) and (x.above + x.below).bit_length() > MAX_BITS:
            raise check.Unreadable("the degrees in the program are too large to test a law at random")
        return x

    def number(self, _: Fraction) -> Number:
        """A number has degree zero."""
        return 1

    def generic(self, _: str) -> Number:
        """A variable."""
        return Bound(1, 0, 1.0)

    def call(self, name: str, u: Number) -> Number:
        """A reciprocal, or a variable, or what `MIRROR` makes of one; sines and cosines are quotients of quadratics."""
        u = u if isinstance(u, Bound) else Bound(0, 0, 1.0)
        self.arguments.append(u)
        if name == "reciprocal":
            return Bound(u.below, u.above, float("inf"))
        if name == "softplus":
            return Bound(1 + u.above + u.below, u.below, float("inf"))
        degree = 2 if name in ("sine", "cosine") else 1
        return Bound(degree, degree * (name in ("sine", "cosine", "exp")), float("inf"))

    def passing(self, change: Number) -> float:
        """The chance that a nonzero rational function vanishes at a random point, or that the point is not fair.

        It is unfair where different arguments of functions happen to be equal, opposite or zero.
        """
        largest = max((u.above + u.below for u in self.arguments), default=0)
        bad = (change.above if isinstance(change, Bound) else 0) + 4 * len(self.arguments) ** 2 * largest
        return float(Fraction(bad, LARGE_PRIME))


class Symbols:
    """Polynomials; generic numbers are variables too, numbered from `first` on."""

    def __init__(self, first: int) -> None:
        self.first, self.names = first, dict[str, int]()

    def reduce(self, x: Number) -> Number:
        """The same."""
        return x

    def number(self, value: Fraction) -> Number:
        """Itself."""
        return value

    def generic(self, name: str) -> Number:
        """A variable."""
        return check.Polynomial({(self.names.setdefault(name, self.first + len(self.names)),): 1})

    def call(self, name: str, _: Number) -> Number:
        """Programs with functions are never expanded."""
        raise OverflowError(name)


Arithmetic = Residues | Bounds | Symbols

MIRROR: dict[str, Callable[[Residues, int, int], int]] = {  # f(-u) from v = f(u)
    "exp": lambda field, v, u: field.call("reciprocal", v),
    "tanh": lambda field, v, u: -v,
    "erf": lambda field, v, u: -v,
    "angle": lambda field, v, u: -v,
    "sigmoid": lambda field, v, u: 1 - v,
    "normal": lambda field, v, u: 1 - v,
    "density": lambda field, v, u: v,
    "gauss": lambda field, v, u: v,
    "softplus": lambda field, v, u: v - u,
}
AT_ZERO = {"exp": Fraction(1), "sigmoid": Fraction(1, 2), "normal": Fraction(1, 2)}
AT_ZERO |= dict.fromkeys(("tanh", "erf", "angle"), Fraction(0))
Slope = Callable[[Callable[[str], Number], Number], Number]
EQUATIONS: dict[str, tuple[str, Slope]] = {  # in words, and from the values f(name) of functions at u
    "exp": ("exp' = exp", lambda f, u: f("exp")),
    "tanh": ("tanh' = 1 - tanh^2", lambda f, u: 1 + -1 * f("tanh") * f("tanh")),
    "sigmoid": ("sigmoid' = sigmoid - sigmoid^2", lambda f, u: f("sigmoid") + -1 * f("sigmoid") * f("sigmoid")),
    "softplus": ("softplus' = sigmoid", lambda f, u: f("sigmoid")),
    "logarithm": ("logarithm' = 1/u", lambda f, u: f("reciprocal")),
    "normal": ("normal' = density", lambda f, u: f("density")),
    "density": ("density' = -u density", lambda f, u: -1 * u * f("density")),
    "erf": ("erf' = gauss", lambda f, u: f("gauss")),
    "gauss": ("gauss' = -2 u gauss", lambda f, u: -2 * u * f("gauss")),
    "sine": ("sine' = cosine", lambda f, u: f("cosine")),
    "cosine": ("cosine' = -sine", lambda f, u: -1 * f("sine")),
    "reciprocal": ("u reciprocal = 1", lambda f, u: -1 * f("reciprocal") * f("reciprocal")),
    "root": ("u root^2 = 1", lambda f, u: f("minus half") * f("root") * f("reciprocal")),
}


def slope(field: Arithmetic, name: str, u: Number) -> Number:
    """The derivative of a function at u, by its differential equation."""
    half = field.number(Fraction(-1, 2))
    return field.reduce(EQUATIONS[name][1](lambda other: half if other == "minus half" else field.call(other, u), u))


# ---- programs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Program:
    """Parameters, then a sample, then steps are numbered from 0 on; a step has a name and the numbers of operands.

    A token is in a sample as its row of the unit matrix, without the last entry: that is one minus the others.
    ``sum`` adds, ``dot`` adds the products of its first and second, third and fourth operand and so on, functions have
    one operand, so has ``still``, through which nothing is learnt, and ``number`` and ``generic`` stand for themselves.
    """

    title: str
    parameters: list[str]
    sample_size: int
    steps: list[Step]
    prime: int
    tokens: int = 0  # how many places of a sample hold one
    degree = 0  # what check.py bounds for other models; see Bounds
    scope = "for every data set and every loss whose inputs and derivatives are samples of the program"

    @property
    def sizes(self) -> list[int]:
        """All parameters, as one part."""
        return [len(self.parameters)]

    @property
    def cost(self) -> int:
        """Of one gradient."""
        return sum(map(len, self.steps)) + len(self.parameters) + self.sample_size

    def names(self) -> list[str]:
        """Of the parameters."""
        return self.parameters

    def gradient(self, theta: Sequence[Number], s: Sequence[Number]) -> list[Number]:
        """Of psi(.; s) at theta, modulo the prime of the certificate."""
        return gradient(self.steps, Residues(self.prime), theta, s)

    def __str__(self) -> str:
        used = dict.fromkeys(step[0] for step in self.steps)
        equations = ", ".join(EQUATIONS[name][0] for name in used if name in EQUATIONS)
        known = [f"of its functions only symmetries and {equations} are used"] * bool(equations)
        known += ["its generic numbers may be any"] * ("generic" in used)
        known += [f"{self.tokens} places of a sample hold a token, and the laws hold for mixtures of tokens too"]
        known = known if self.tokens else known[:-1]
        said = f" ({'; '.join(known)})" if known else ""
        return f"the program {self.title!r} of {len(self.steps)} steps{said}"


def gradient(steps: list[Step], field: Arithmetic, theta: Sequence[Number], s: Sequence[Number]) -> list[Number]:
    """The derivatives of the last value by theta: every step forwards, then every step backwards."""
    values = [*theta, *s]
    for step in steps:
        values.append(field.reduce(value_of(step, values, field)))
    back: list[Number] = [0] * (len(values) - 1) + [1]
    for at in range(len(values) - 1, len(theta) + len(s) - 1, -1):
        (name, *operands), weight = steps[at - len(theta) - len(s)], field.reduce(back[at])
        if (isinstance(weight, int) and weight == 0) or name in ("number", "generic", "still"):
            continue
        if name == "sum":
            slopes = [(i, 1) for i in operands]
        elif name == "dot":
            pairs = list(zip(operands[::2], operands[1::2], strict=True))
            slopes = [(i, values[j]) for i, j in pairs] + [(j, values[i]) for i, j in pairs]
        else:
            slopes = [(i, slope(field, name, values[i])) for i in operands]
        for i, factor in slopes:
            back[i] = back[i] + weight * factor
    return [field.reduce(entry) for entry in back[: len(theta)]]


def value_of(step: Step, values: list[Number], field: Arithmetic) -> Number:
    """One step forwards."""
    name, *operands = step
    if name == "number":
        return field.number(Fraction(operands[0]))
    if name == "generic":
        return field.generic(operands[0])
    if name == "sum":
        return sum(values[i] for i in operands)
    if name == "still":
        return values[operands[0]]
    if name == "dot":
        return check.dot((values[i] for i in operands[::2]), (values[i] for i in operands[1::2]))
    return field.call(name, values[operands[0]])


# ---- laws ------------------------------------------------------------------------------------------------------------


def conserved(model: Any, law: check.Terms, title: str, fields: dict[Any, Any]) -> float:
    """Fact 1, see check.conserved: by expansion if that is short, otherwise at a random point."""
    if not isinstance(model, Program):
        return check.conserved(model, law, title, fields)
    bounds, bound = change(model, law, "bounds", fields)
    small = not isinstance(bound, Bound) or (bound.terms <= MAX_TERMS and bound.above <= check.MAX_DEGREE)
    short = small and not bounds.arguments  # without functions
    _, moved = change(model, law, "symbols" if short else "random", fields)
    if any(moved.terms.values()) if isinstance(moved, check.Polynomial) else moved:
        raise check.Failed(f"{title} is not conserved: its derivative along the fields is not zero")
    return 0.0 if short else max(bounds.passing(bound), sys.float_info.min)  # a chance too small for a float is not 0


def change(program: Program, law: check.Terms, kind: str, fields: dict[Any, Any]) -> tuple[Any, Number]:
    """The derivative of a law along a field, in one kind of numbers; the field is computed once for all laws."""
    if kind not in fields:
        size, count = len(program.parameters), len(program.parameters) + program.sample_size
        numbers, every = starting(kind, count)
        fields[kind] = numbers, every[:size], gradient(program.steps, numbers, every[:size], every[size:])
    numbers, theta, field = fields[kind]
    slopes = check.polynomial_gradient(law, theta)
    return numbers, numbers.reduce(sum(entry * field[i] for i, entry in slopes.items()))


def starting(kind: str, count: int) -> tuple[Arithmetic, list[Number]]:
    """Parameters and a sample: variables, or random residues."""
    if kind == "bounds":
        return Bounds(), [Bound(1, 0, 1.0)] * count
    if kind == "symbols":
        return Symbols(count), [check.Polynomial({(i,): 1}) for i in range(count)]
    source = random.SystemRandom()
    every = [source.randrange(LARGE_PRIME) for _ in range(count)]
    return Residues(LARGE_PRIME, lambda _: source.randrange(LARGE_PRIME)), every


# ---- reading ---------------------------------------------------------------------------------------------------------

PROGRAM = {"kind": re.compile("program"), "title": check.TEXT, "parameters": [check.TEXT], "sample": [check.TEXT]}
PROGRAM |= {"tokens": [[check.INDEX]], "steps": [list]}
NUMBER = re.compile(rf"-?[0-9]{{1,{check.MAX_DIGITS}}}(/[1-9][0-9]{{0,{check.MAX_DIGITS}}})?")


def read_model(document: dict[str, Any]) -> Any:
    """A program, or whatever else check.py reads."""
    value = document["model"]
    if value.get("kind") != "program":
        return check.read_model(value)
    check.fit(value, PROGRAM, "the model")
    tokens = value["tokens"]
    program = Program(
        value["title"], value["parameters"], len(value["sample"]), value["steps"], document["prime"], len(tokens)
    )
    if program.cost > MAX_COST:
        raise check.Unreadable(f"the program has more than {MAX_COST} steps, operands and entries")
    first = len(program.parameters) + program.sample_size
    for at, (name, *operands) in enumerate(program.steps):
        if not (type(name) is str and fits(name, operands, first + at)):
            raise check.Unreadable(f"step {at} of the program is no step: {[name, *operands][:4]!a:.99}")
    if not program.steps or len(set(program.parameters)) < len(program.parameters):
        raise check.Unreadable("the program has no steps, or two parameters of the same name")
    if not all(len(token) == 2 and sum(token) <= program.sample_size for token in tokens):
        raise check.Unreadable("'tokens' are not pairs of a first entry of a sample and a number of entries")
    rows = [sample[at : at + size] for sample in document.get("samples", []) for at, size in tokens]
    if not all(set(row) <= {0, 1} and sum(row) <= 1 for row in rows):
        raise check.Unreadable("a sample has no token where 'tokens' has one: zeros, and at most one 1, are expected")
    if program.prime % 4 != 3 and any(step[0] == "root" for step in program.steps):
        raise check.Unreadable(f"the modulus {program.prime} is not 3 modulo 4, as programs with roots need it")
    return program


def fits(name: str, operands: list[Any], before: int) -> bool:
    """Whether a step has the operands that belong to its name: numbers of what comes before it, or one text."""
    if name in ("number", "generic"):
        pattern = NUMBER if name == "number" else check.TEXT
        if not (len(operands) == 1 and type(operands[0]) is str and pattern.fullmatch(operands[0])):
            return False
        return name == "generic" or str(Fraction(operands[0])) == operands[0]
    counts = name == "sum" or len(operands) % 2 == 0 if name in ("sum", "dot") else name in EQUATIONS or name == "still"
    one = name in ("sum", "dot") or len(operands) == 1
    return bool(operands) and counts and one and all(type(i) is int and 0 <= i < before for i in operands)


def prove(model: Any, laws: list[check.Terms], given: dict[str, Any]) -> str:
    """What the certificate proves; raises check.Failed with the first thing that fails."""
    return check.prove(model, laws, given, conserved)


def interpret(document: Any) -> tuple[Any, list[check.Terms], dict[str, Any]]:
    """Model, laws and the rest, once every type, index and size is right."""
    return check.interpret(document, read_model)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check one file and print the verdict."""
    return check.main(arguments, read_model, conserved)


if __name__ == "__main__":
    sys.exit(main())
