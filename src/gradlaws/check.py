"""Checks a certificate of gradlaws without gradlaws: ``python check.py certificate.json``. Standard library only.

A certificate says: *these k polynomials are all conservation laws of gradient flow on this model*. The model is a
potential ``psi(theta; s)``, a polynomial in D parameters theta and a sample s (input, cotangent, gates). Training moves
theta along combinations of the fields ``X_s = grad_theta psi(.; s)``, whatever the data and the loss. Three facts are
checked, and nothing else has to be believed:

1. every law h is conserved: ``<grad h, X_s>`` is the zero polynomial in theta and s;
2. the k gradients of the laws are linearly independent at the integer point of the certificate;
3. at that point, D - k iterated brackets of fields are linearly independent. A law that annihilates two fields
   annihilates their bracket, so the gradients of all laws live in the k dimensions that are left.

For 2 and 3 it is enough to look modulo a prime: a determinant that is not 0 there is not 0. By Frobenius every function
that is conserved near a point where 2 and 3 hold, so near almost every point, is a function of the k laws (Marcotte,
Gribonval, Peyre 2023). All the calculus is in `Network.gradient` and `polynomial_gradient`, run over three kinds of
numbers: integers, dual numbers (derivatives of fields, hence brackets) and polynomials (identities). The format is in
docs/certificate.md. Exit status: 0 PROVED, 1 a check fails, 2 not a certificate, or too large.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import stat
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, islice, pairwise
from math import isqrt, lcm
from operator import add, mul
from typing import Any

MAX_BYTES = 2**24  # of the file
MAX_DIGITS = 30  # of any number in it
MAX_ENTRY = 10**6  # of the point and the samples
MAX_PARAMETERS = 5_000
MAX_DEGREE = 100  # of the potential and the laws: keeps integers short
MAX_WORD = 10**7  # a bracket of k fields costs about 3**k times one field
MAX_SECONDS = 900
MAX_TERMS = 10**6  # of an expansion; beyond, an identity is tested at a random point
RANDOM_BITS = 128  # of the coordinates of that point

Number = Any  # an integer, a dual number or a polynomial
Terms = tuple[tuple[int, tuple[int, ...]], ...]  # of a polynomial in theta: coefficient, ascending parameter numbers


class Unreadable(Exception):  # noqa: N818
    """This is not a certificate, or it is too large to check."""


class Failed(Exception):  # noqa: N818
    """This is a certificate that proves nothing; the message is the first thing that fails."""


@dataclass(slots=True)
class Dual:
    """``value + slope e`` with ``e**2 = 0``: any program run on it gives its derivative along the slope.

    Value and slope may be dual numbers of another e: all those in one computation are nested equally deep.
    """

    value: Number
    slope: Number

    def __add__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.slope + other.slope)
        return Dual(self.value + other, self.slope)

    def __mul__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value * other.value, self.value * other.slope + self.slope * other.value)
        return Dual(self.value * other, self.slope * other)

    __radd__, __rmul__ = __add__, __mul__


@dataclass(slots=True)
class Polynomial:
    """A map from monomials, ascending variable numbers with repetition, to coefficients."""

    terms: dict[tuple[int, ...], Any]

    def __iadd__(self, other: Number) -> Polynomial:
        for monomial, c in (other.terms if isinstance(other, Polynomial) else {(): other}).items():
            self.terms[monomial] = self.terms.get(monomial, 0) + c
        if len(self.terms) > MAX_TERMS:
            raise OverflowError
        return self

    def __add__(self, other: Number) -> Polynomial:
        total = Polynomial(dict(self.terms))
        total += other
        return total

    def __mul__(self, other: Number) -> Polynomial:
        total: dict[tuple[int, ...], Any] = {}
        others = other.terms if isinstance(other, Polynomial) else {(): other}
        if len(self.terms) * len(others) > MAX_TERMS:
            raise OverflowError
        for left, a in self.terms.items():
            for right, b in others.items():
                monomial = tuple(sorted(left + right))
                total[monomial] = total.get(monomial, 0) + a * b
        return Polynomial(total)

    __radd__, __rmul__ = __add__, __mul__


def dot(a: Iterable[Number], b: Iterable[Number]) -> Number:
    """``a_1 b_1 + a_2 b_2 + ...``."""
    return sum(map(mul, a, b))


# ---- models: named parameters, samples s, and the gradient of psi(.; s) ----------------------------------------------


class Network:
    """``psi = <c, W_q act( ... act(W_1 x + b_1) ... ) + b_q>``; theta is W_1, b_1, W_2, ... row by row.

    The activation act(z) is z, gate * z (relu and leaky: the gate of a unit has two values, psi is affine in it, so
    both values together span what all numbers span) or z**2. A sample is x, then c, then the gates, in one list.
    """

    def __init__(self, activation: str, widths: Sequence[int], biases: Sequence[bool]) -> None:
        self.activation, self.widths, self.biases = activation, widths, biases
        self.gated, square = activation in ("relu", "leaky"), activation == "square"
        self.layers = [(*pair, bias) for pair, bias in zip(pairwise(widths), biases, strict=True)]
        self.sizes = [out * (into + bias) for into, out, bias in self.layers]
        self.sample_size = widths[0] + widths[-1] + self.gated * sum(widths[1:-1])
        self.degree = 3 * len(biases) * 2 ** (square * (len(biases) - 1))  # a bound, in theta and s together
        paths = 1  # bounds the monomials of psi, or passes MAX_TERMS
        for into, *_ in self.layers:
            paths = min(paths, MAX_TERMS) ** (1 + square) * (into + 1)
        self.cost = sum(self.sizes)  # of one gradient
        self.terms = paths * widths[-1] * self.degree // 3  # each gives one to the gradient for each parameter in it

    def names(self) -> Iterator[str]:
        """Of the parameters: ``W2[0,3]``, ``b1[4]``."""
        for number, (into, out, bias) in enumerate(self.layers, start=1):
            yield from (f"W{number}[{i},{j}]" for i in range(out) for j in range(into))
            yield from (f"b{number}[{i}]" for i in range(out * bias))

    def gradient(self, theta: Sequence[Number], s: Sequence[Number]) -> list[Number]:
        """Of psi(.; s) at theta, by backpropagation."""
        parameters, sample = iter(theta), iter(s)
        z, back, slopes = list(islice(sample, self.widths[0])), list(islice(sample, self.widths[-1])), list[Number]()
        forward, pieces = [], []
        for number, (into, out, bias) in enumerate(self.layers):
            hidden, slopes = self._activate(z, sample) if number else (z, slopes)
            weight = [list(islice(parameters, into)) for _ in range(out)]
            z = [dot(row, hidden) for row in weight]
            z = list(map(add, z, list(islice(parameters, out)))) if bias else z
            forward.append((weight, hidden, slopes, bias))
        for weight, hidden, slopes, bias in reversed(forward):
            pieces.append([d * u for d in back for u in hidden] + back * bias)
            back = [slope * dot(column, back) for slope, column in zip(slopes, zip(*weight, strict=True), strict=False)]
        return [entry for piece in reversed(pieces) for entry in piece]

    def _activate(self, z: list[Number], sample: Iterator[Number]) -> tuple[list[Number], list[Number]]:
        """Values and derivatives of the activation."""
        if self.activation == "square":
            return list(map(mul, z, z)), [2 * a for a in z]
        slopes = list(islice(sample, len(z))) if self.gated else [1] * len(z)
        return list(map(mul, slopes, z)), slopes

    def part(self, law: Terms) -> tuple[Network, int]:
        """The layers that a law lives in as a network of its own, and the number of their first parameter.

        By the chain rule psi has the same derivatives in these parameters as the part with the activations that enter
        it as x and the cotangent that comes back to it as c. An identity for all x and c holds for these.
        """
        used = {variable for _, factors in law for variable in factors}
        starts = [sum(self.sizes[:layer]) for layer in range(len(self.sizes))]
        first = max(layer for layer, start in enumerate(starts) if start <= min(used))
        last = max(layer for layer, start in enumerate(starts) if start <= max(used))
        return Network(self.activation, self.widths[first : last + 2], self.biases[first : last + 1]), starts[first]

    def __str__(self) -> str:
        extras = ["hidden biases"] * any(self.biases[:-1]) + ["output biases"] * self.biases[-1] or ["no biases"]
        extras += ["free gates (every pattern of gates is taken to occur)"] * (self.gated and len(self.biases) > 1)
        return f"the {self.activation} network of widths {'-'.join(map(str, self.widths))} with {', '.join(extras)}"


class Potentials:
    """``psi = s_1 phi_1 + ... + s_n phi_n`` with explicit polynomials phi; a sample is the list of the free s_i."""

    def __init__(self, names: list[str], phis: list[Terms]) -> None:
        self.parameters, self.phis, self.sizes, self.sample_size = names, phis, [len(names)], len(phis)
        degrees = [len(factors) for phi in phis for _, factors in phi]
        self.degree, self.terms, self.cost = 1 + max(degrees), sum(degrees), sum(degrees) + len(names)

    def names(self) -> Iterator[str]:
        """Of the parameters."""
        return iter(self.parameters)

    def gradient(self, theta: Sequence[Number], s: Sequence[Number]) -> list[Number]:
        """Of psi(.; s) at theta."""
        total: list[Number] = [0] * len(theta)
        for weight, phi in zip(s, self.phis, strict=True):
            for variable, slope in polynomial_gradient(phi, theta).items():
                total[variable] += weight * slope
        return total

    def part(self, _: Terms) -> tuple[Potentials, int]:
        """The whole."""
        return self, 0

    def __str__(self) -> str:
        return f"the potential psi = sum of s_i phi_i, i = 1 to {len(self.phis)}, of the certificate"


Model = Network | Potentials


def polynomial_gradient(terms: Terms, theta: Sequence[Number]) -> dict[int, Number]:
    """Entries of the gradient of a polynomial, by the product rule; those left out are zero."""
    total: dict[int, Number] = defaultdict(int)
    for coefficient, factors in terms:
        left, right = list(accumulate((theta[v] for v in factors), mul, initial=coefficient)), 1
        for at, variable in reversed(list(enumerate(factors))):
            total[variable] += left[at] * right
            right = theta[variable] * right
    return total


# ---- the three facts -------------------------------------------------------------------------------------------------


def prove(model: Model, laws: list[Terms], given: dict[str, Any], confirm: Any = None) -> str:
    """What the certificate proves; raises Failed with the first thing that fails."""
    point, prime, words, dimension = given["point"], given["prime"], given["words"], len(given["point"])
    for divisor in range(2, isqrt(prime) + 1):
        if prime % divisor == 0:
            raise Failed(f"the modulus {prime} is not prime: {divisor} divides it")
    if given["claim"] != (counted := {"parameters": dimension, "laws": len(laws), "lie_dimension": len(words)}):
        raise Failed(f"the claim {given['claim']} is not what the certificate holds: {counted}")
    if len(laws) + len(words) != dimension:
        raise Failed(f"the bounds do not meet: {len(laws)} laws and {len(words)} brackets for {dimension} parameters")
    fields: dict[Any, list[Number]] = {}
    chance = sum((confirm or conserved)(model, law, f"law {i}", fields) for i, law in enumerate(watched(laws)))
    slopes = (polynomial_gradient(law, point) for law in laws)
    require_independent(([entries.get(i, 0) for i in range(dimension)] for entries in slopes), prime, "laws", "law")
    brackets = (bracket(model, word, point, given["samples"]) for word in words)
    require_independent(([row[i] for i in given["columns"]] for row in brackets), prime, "rows of the minor", "word")
    return statement(model, len(laws), len(words), prime, chance)


def conserved(model: Model, law: Terms, title: str, fields: dict[Any, list[Number]]) -> float:
    """Fact 1, by expansion where that is affordable; returns the chance that a false law would have passed.

    Otherwise by Schwartz and Zippel: a nonzero polynomial vanishes at random integers below N with chance degree / N.
    """
    part, start = model.part(law)
    law = tuple((c, tuple(variable - start for variable in factors)) for c, factors in law)
    size, chance = sum(part.sizes), 0.0
    every: list[Number] = [Polynomial({(i,): 1}) for i in range(size + part.sample_size)]
    try:
        if part.terms > MAX_TERMS:
            raise OverflowError
        if (start, size) not in fields:
            fields[start, size] = part.gradient(every[:size], every[size:])
        slopes, field = polynomial_gradient(law, every), fields[start, size]
        change = Polynomial({})
        for i, slope in slopes.items():
            change += slope * field[i]
    except OverflowError:
        every = [random.SystemRandom().getrandbits(RANDOM_BITS) for _ in every]
        slopes, field = polynomial_gradient(law, every), part.gradient(every[:size], every[size:])
        change = Polynomial({(): sum(slope * field[i] for i, slope in slopes.items())})
        chance = (part.degree + max(len(factors) for _, factors in law)) / 2**RANDOM_BITS
    if any(change.terms.values()):
        raise Failed(f"{title} is not conserved: its derivative along the fields is not the zero polynomial")
    return chance


def bracket(model: Any, word: Sequence[int], theta: Sequence[Number], samples: list[list[int]]) -> list[Number]:
    """The bracket ``[X_k, [..., [X_2, X_1]]]`` of the fields of samples 1, ..., k; ``[X, Y] = DY X - DX Y``."""
    *shorter, last = word
    field = model.gradient(theta, samples[last])
    if not shorter:
        return field
    moved = bracket(model, shorter, list(map(Dual, theta, field)), samples)
    inner = [entry.value if isinstance(entry, Dual) else entry for entry in moved]
    across = model.gradient(list(map(Dual, theta, inner)), samples[last])
    first, second = ([entry.slope if isinstance(entry, Dual) else 0 for entry in row] for row in (moved, across))
    return [a + -1 * b for a, b in zip(first, second, strict=True)]


def require_independent(rows: Iterable[Sequence[int]], prime: int, what: str, one: str) -> None:
    """Facts 2 and 3: raise Failed if the rows are dependent modulo the prime, by Gauss elimination.

    A row is one long integer with its entries as digits, so that adding a multiple of another row is two operations.
    No digit overflows: to an entry below prime come fewer products below prime**2 than there are columns.
    """
    pivots: list[tuple[int, int]] = []  # where a reduced row has its 1, and the row
    for number, row in enumerate(watched(rows)):
        width = (2 * prime.bit_length() + len(row).bit_length() + 8) // 8  # bytes of a digit
        packed, mask = pack([entry % prime for entry in row], width), (1 << 8 * width) - 1
        for shift, pivot in pivots:
            packed += -(packed >> shift & mask) % prime * pivot
        digits = packed.to_bytes(width * len(row), "little")
        reduced = [int.from_bytes(digits[i : i + width], "little") % prime for i in range(0, len(digits), width)]
        column = next((i for i, entry in enumerate(reduced) if entry), None)
        if column is None:
            raise Failed(f"the {what} are dependent at the point modulo {prime}: {one} {number} adds nothing")
        inverse = pow(reduced[column], -1, prime)
        pivots.append((8 * width * column, pack([entry * inverse % prime for entry in reduced], width)))


def pack(digits: list[int], width: int) -> int:
    """The integer with these digits to base ``256**width``, lowest first."""
    return int.from_bytes(b"".join(digit.to_bytes(width, "little") for digit in digits), "little")


def watched(things: Iterable[Any]) -> Iterator[Any]:
    """The same things, one at a time; refuses to go on for ever."""
    started = time.monotonic()
    for thing in things:
        yield thing
        if time.monotonic() > started + MAX_SECONDS:
            raise Unreadable(f"checking takes more than MAX_SECONDS = {MAX_SECONDS}")


def statement(model: Model, laws: int, rank: int, prime: int, chance: float) -> str:
    """The theorem, in one paragraph."""
    verdict = f"CERTAIN({chance:.0e})" if chance else "PROVED"
    scope = getattr(model, "scope", "for every data set and every loss")
    how = f" or vanishes at random numbers, where a false one would with chance {chance:.0e}" if chance else ""
    return (
        f"{verdict}: the number of independent conservation laws of gradient flow on {model} is {laws}. The "
        f"certificate lists them: each is constant along training, {scope}, because its "
        f"derivative along every field, expanded, is the zero polynomial{how}; at the point of the certificate their "
        f"gradients are independent modulo {prime}, and so are fields and brackets of fields, {rank} in number, hence "
        f"near almost every point. {laws} + {rank} = {laws + rank}, the number of parameters, so there every conserved "
        "function is a function of these laws (Frobenius)."
    )


# ---- reading, with suspicion: nothing in the file is ever executed ---------------------------------------------------

TEXT = re.compile(r"[^\n]{1,100}")
ENTRY, INDEX, WIDTH = range(-MAX_ENTRY, MAX_ENTRY + 1), range(MAX_PARAMETERS + 1), range(1, MAX_PARAMETERS + 1)
POLYNOMIAL = [[TEXT]]
NETWORK = {"kind": re.compile("network"), "activation": re.compile("linear|relu|leaky|square"), "widths": [WIDTH]}
NETWORK |= {"bias": bool, "output_bias": bool}
POTENTIALS = {"kind": re.compile("potentials"), "parameters": [TEXT], "potentials": [POLYNOMIAL]}
CLAIM = {"parameters": INDEX, "laws": INDEX, "lie_dimension": INDEX}
CERTIFICATE = {"format": re.compile("gradlaws certificate"), "version": range(1, 2), "model": dict, "claim": CLAIM}
CERTIFICATE |= {"laws": [POLYNOMIAL], "prime": range(2, 2**31), "point": [ENTRY], "samples": [[ENTRY]]}
CERTIFICATE |= {"words": [[range(10**6)]], "columns": [INDEX], "software": dict, "hash": TEXT}


def read(path: str, reader: Any = None) -> tuple[Model, list[Terms], dict[str, Any]]:
    """Open a file of bounded size and read it as strict JSON: UTF-8, no floats, no repeated keys, no long numbers."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Unreadable(f"{path!r:.99} is not a file")
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise Unreadable(f"{path!r:.99} has more than {MAX_BYTES} bytes")
        options: Any = dict.fromkeys(("parse_int", "parse_float", "parse_constant"), _short)
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_once, **options)
    except (OSError, ValueError, RecursionError) as error:
        raise Unreadable(f"cannot read {path!r:.99} as a certificate: {error!s:.200}") from None
    return interpret(document, reader)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return dict(pairs)


def _short(text: str) -> int:
    if not re.fullmatch(rf"-?[0-9]{{1,{MAX_DIGITS}}}", text):
        raise ValueError(f"{text[:MAX_DIGITS]} is not a whole number of at most {MAX_DIGITS} digits")
    return int(text)


def digest(document: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON of everything but the versions of the software and the hash itself."""
    hashed = {key: value for key, value in document.items() if key not in ("software", "hash")}
    return "sha256:" + hashlib.sha256(json.dumps(hashed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def fit(value: Any, shape: Any, where: str) -> None:
    """Raise Unreadable unless the value has the shape: keys, lists, texts that match, whole numbers in a range."""
    kind: Any = {range: int, re.Pattern: str}.get(type(shape), shape if isinstance(shape, type) else type(shape))
    if type(value) is not kind:  # true and false are no numbers here
        raise Unreadable(f"{where} is not of type {kind.__name__}")
    if isinstance(shape, dict):
        for key in [*shape, *value]:
            if key not in value or key not in shape:
                raise Unreadable(f"{where} {'lacks' if key in shape else 'has the unknown'} key {key[:40]!a}")
            fit(value[key], shape[key], ascii(key))
    elif isinstance(shape, list):
        for i, entry in enumerate(value):
            fit(entry, shape[0], f"entry {i} of {where}")
            if entry == []:
                raise Unreadable(f"entry {i} of {where} is empty")
    elif isinstance(shape, range) and value not in shape:
        raise Unreadable(f"{where} is {value}: expected {shape.start} to {shape.stop - 1}")
    elif isinstance(shape, re.Pattern) and not shape.fullmatch(value):
        raise Unreadable(f"{where} is {value[:40]!a}: expected {shape.pattern}")


def interpret(document: Any, reader: Any = None) -> tuple[Model, list[Terms], dict[str, Any]]:
    """Model, laws and the rest, once every type, index and size is right."""
    fit(document, CERTIFICATE, "the certificate")
    model = reader(document) if reader else read_model(document["model"])
    if document["hash"] != digest(document):
        raise Failed("the hash does not belong to this certificate: it was altered after it was written")
    point, samples, words, columns = (document[key] for key in ("point", "samples", "words", "columns"))
    for right, wrong in (
        (model.degree <= MAX_DEGREE, f"the potential has degree {model.degree}, above {MAX_DEGREE}"),
        (len(point) <= MAX_PARAMETERS, f"'point' has more than {MAX_PARAMETERS} entries"),
        (len(point) == sum(model.sizes), f"'point' has {len(point)} entries for {sum(model.sizes)} parameters"),
        (all(len(sample) == model.sample_size for sample in samples), f"a sample has not {model.sample_size} entries"),
        (all(max(word) < len(samples) for word in words), "a word has a letter that numbers no sample"),
        (all(3 ** len(word) * model.cost <= MAX_WORD for word in words), "a word is too long to be evaluated"),
        (columns == sorted({i for i in columns if i < len(point)}), "'columns' are not ascending parameter numbers"),
        (len(columns) == len(words), "there are not as many columns as words"),
    ):
        if not right:
            raise Unreadable(wrong)
    numbers = {name: i for i, name in enumerate(model.names())}
    laws = [read_polynomial(law, numbers, f"law {i}") for i, law in enumerate(document["laws"])]
    return model, laws, document


def read_model(value: dict[str, Any]) -> Model:
    """A network to expand, or explicit potentials."""
    if value.get("kind") == "potentials":
        fit(value, POTENTIALS, "the model")
        names = value["parameters"]
        numbers = {name: i for i, name in enumerate(names)}
        phis = [read_polynomial(phi, numbers, f"potential {i}") for i, phi in enumerate(value["potentials"])]
        if len(numbers) < len(names) or not phis:
            raise Unreadable("the model has no potentials, or two parameters of the same name")
        return Potentials(names, phis)
    if value.get("kind") == "program":
        raise Unreadable("the model is a program: use check_program.py, with this file beside it")
    fit(value, NETWORK, "the model")
    widths = value["widths"]
    if not 2 <= len(widths) <= 100:
        raise Unreadable("'widths' does not have an input, an output and at most 98 widths between")
    biases = (value["bias"],) * (len(widths) - 2) + (value["output_bias"],)
    return Network(value["activation"], widths, biases)


def read_polynomial(value: list[list[str]], numbers: dict[str, int], what: str) -> Terms:
    """``[["-1/2", "W1[0,0]", "W1[0,0]"], ...]``, made integral: coefficients in lowest terms, then factors in order."""
    terms: dict[tuple[int, ...], Fraction] = {}
    for coefficient, *names in value:
        if not re.fullmatch(rf"-?[1-9][0-9]{{0,{MAX_DIGITS}}}(/[1-9][0-9]{{0,{MAX_DIGITS}}})?", coefficient):
            raise Unreadable(f"a coefficient of {what} is not a nonzero fraction: {coefficient[:40]!a}")
        factors = tuple(numbers.get(name, -1) for name in names)
        if (
            not 0 < len(factors) <= MAX_DEGREE
            or min(factors) < 0
            or list(factors) != sorted(factors)
            or factors in terms
        ):
            raise Unreadable(
                f"a term of {what} is not a new product of parameters in their order: {str(names[:4])!a:.99}"
            )
        terms[factors] = Fraction(coefficient)
        if str(terms[factors]) != coefficient:
            raise Unreadable(f"a coefficient of {what} is not in lowest terms: {coefficient[:40]!a}")
    scale = lcm(*(c.denominator for c in terms.values()))
    return tuple((int(c * scale), factors) for factors, c in terms.items())


def main(arguments: Sequence[str] | None = None, reader: Any = None, confirm: Any = None) -> int:
    """Check one file and print the verdict."""
    paths = sys.argv[1:] if arguments is None else arguments
    try:
        if len(paths) != 1:
            raise Unreadable("expected one argument, python check.py CERTIFICATE.json")
        print(prove(*read(paths[0], reader), confirm))
    except Failed as failure:
        print(f"NOT PROVED: {failure}")
        return 1
    except Unreadable as refusal:
        print(f"check: {refusal}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
