"""Certificates: a proved answer in a file that anyone can check without this library (docs/certificate.md).

What is written is checked by `gradlaws.check` first, so no certificate leaves here that its checker refuses.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from math import lcm, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gradlaws import check, check_program
from gradlaws.errors import ContradictionError, InputError
from gradlaws.exact import linalg
from gradlaws.exact.field import DEFAULT_PRIMES, PrimeField
from gradlaws.exact.polynomial import Monomial, Polynomial
from gradlaws.laws.answer import as_family
from gradlaws.laws.count import Status
from gradlaws.laws.minor import Minor, find_minor
from gradlaws.laws.points import flat_samples
from gradlaws.laws.polynomial import variable_names
from gradlaws.laws.proof import EXPANSION_LIMIT, expanded_potential
from gradlaws.laws.result import Answer
from gradlaws.models.family import Family
from gradlaws.models.network import Network

if TYPE_CHECKING:
    from gradlaws.models.module import ModuleFamily

MAGNITUDES = (3, 9, 99, 999)
"""Bounds on the integers of the point and the samples, tried in turn."""

_POINTS = 8
"""Points that are tried for each bound where roots of parameters must exist."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-contained proof that the laws of an answer are laws, independent and complete.

    Args:
        document: the JSON object; its fields are documented in docs/certificate.md.
    """

    document: dict[str, Any]

    @property
    def hash(self) -> str:
        """SHA-256 of everything but the versions of the software: the same seed gives the same hash anywhere."""
        return self.document["hash"]

    @property
    def text(self) -> str:
        """JSON with one law, step, sample or word a line."""
        lines = [f"{json.dumps(key)}: {_layout(value)}" for key, value in self.document.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def save(self, path: str | Path) -> None:
        """Write the file at once or not at all: a crash in the middle leaves what was there.

        Raises:
            InputError: the file cannot be written.
        """
        target = writable(path)
        try:
            write_atomically(target, self.text)
        except OSError as error:
            raise InputError(
                f"cannot write {str(path)!r}: {error.strerror}; expected a file in a folder of yours"
            ) from None

    def __str__(self) -> str:
        claim = self.document["claim"]
        return f"certificate of {claim['laws']} laws in {claim['parameters']} parameters, {self.hash}"


def certify(
    model: str | Family | nn.Module, answer: Answer, example_inputs: Any = None, **module_options: Any
) -> Certificate:
    """The certificate of a proved answer.

    Args:
        model: the spec, family or module that the answer is about.
        answer: what `gradlaws.laws` said of it.
        example_inputs: for a module: those that `gradlaws.laws` was given.
        **module_options: for a module: those that `gradlaws.laws` was given.

    Raises:
        InputError: there is nothing to certify, or it is beyond the checker; the message says why.
    """
    if answer.flow != "gradient flow":
        raise InputError(f"no certificate for {answer.flow}: the checker knows gradient flow without a metric only")
    with torch.inference_mode(False), torch.enable_grad():
        family = as_family(model, example_inputs, module_options)
        _refuse(family, answer)
        described, monomials = _describe(family)
        document = _document(family, described, *_evidence(family, answer, described), monomials)
    _check(document, answer)
    return Certificate(document)


def _document(
    family: Family,
    described: dict[str, Any],
    laws: list[Polynomial],
    minor: Minor,
    prime: int,
    monomials: list[Monomial] | None,
) -> dict[str, Any]:
    """The JSON object."""
    names = variable_names(family.parameters)
    document = {
        "format": "gradlaws certificate",
        "version": 1,
        "model": described,
        "claim": {"parameters": family.dimension, "laws": len(laws), "lie_dimension": len(minor.words)},
        "laws": [_written(law.terms, names) for law in laws],
        "prime": prime,
        "point": minor.point.tolist(),
        "samples": _samples(minor, monomials),
        "words": [list(word) for word in minor.words],
        "columns": list(minor.columns),
        "software": {
            "gradlaws": version("gradlaws"),
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
    }
    document["hash"] = check.digest(document)
    return document


def writable(path: str | Path) -> Path:
    """Where a file is to be written, links followed.

    Raises:
        InputError: there is no such folder, or something that is not a file (replacing a device would destroy it).
    """
    target = Path(path).resolve()
    if not target.parent.is_dir() or (target.exists() and not target.is_file()):
        raise InputError(f"cannot write a certificate to {str(path)!r}: expected a file in a folder that exists")
    return target


def write_atomically(path: Path, text: str) -> None:
    """Write a temporary file beside the target, then put it in its place in one step."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes files private
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _refuse(family: Family, answer: Answer) -> None:
    """Raise InputError, with the reason, where no certificate exists."""
    name, count = family.name, answer.count
    if answer.model != name:
        raise InputError(f"the answer is about {answer.model!r}, not {name!r}: pass the model that was asked about")
    if not count.complete:
        raise InputError(
            f"no certificate of {name}: the bounds {count.lower} and {count.upper} do not meet, and only a complete "
            "list of laws is certified"
        )
    tested = count.status is Status.CERTAIN and _module(family)  # the checker tests laws of programs itself
    if count.status is not Status.PROVED and not tested:
        raise InputError(
            f"no certificate of {name}: its answer is {count.verdict}, some laws were tested at random points only, "
            "and only PROVED answers are certified"
        )
    if family.dimension > check.MAX_PARAMETERS:
        raise InputError(
            f"no certificate of {name}: it has {family.dimension} parameters, and the checker takes at most "
            f"{check.MAX_PARAMETERS}: certify a narrower network of the same shape"
        )
    if isinstance(family, Network) or _module(family):
        return
    if family.monomials * family.dimension > EXPANSION_LIMIT:
        raise InputError(
            f"no certificate of {name}: its potential is not at hand as polynomials of moderate length, and the "
            "checker needs it written out"
        )
    if type(family).draw is not Family.draw or type(family).draw_parameters is not Family.draw_parameters:
        raise InputError(f"no certificate of {name}: its instances are restricted, and the checker takes them as free")


def _describe(family: Family) -> tuple[dict[str, Any], list[Monomial] | None]:
    """The model for the checker; for explicit potentials also the monomial in the instance that goes with each."""
    if isinstance(family, Network):
        described = {
            "kind": "network",
            "activation": family.activation,
            "widths": list(family.widths),
            "bias": family.bias,
            "output_bias": family.output_bias,
        }
        return described, None
    if module := _module(family):
        from gradlaws.laws.unroll import unroll  # noqa: PLC0415 - only needed where a module is certified

        try:
            return unroll(module), None
        except InputError as error:
            raise type(error)(f"no certificate of {family.name}: {error}") from None
    psi = expanded_potential(family)
    scale = lcm(*(Fraction(c).denominator for c in psi.terms.values()))
    phis: dict[Monomial, dict[Monomial, Fraction | int]] = {}
    for monomial, c in psi.terms.items():
        theta = tuple(v for v in monomial if v < family.dimension)
        if theta:
            phis.setdefault(monomial[len(theta) :], {})[theta] = c * scale
    names = variable_names(family.parameters)
    potentials = [_written(phi, names) for phi in phis.values()]
    return {"kind": "potentials", "parameters": names, "potentials": potentials}, [
        tuple(v - family.dimension for v in monomial) for monomial in phis
    ]


def _written(terms: Any, names: list[str]) -> list[list[str]]:
    """A polynomial as the checker reads it: coefficient, then factors, term by term."""
    return [[str(Fraction(c)), *(names[v] for v in monomial)] for monomial, c in terms.items()]


def _module(family: Family) -> ModuleFamily | None:
    """Imports what records modules on first use: it takes as long as torch itself."""
    if family.monomials <= EXPANSION_LIMIT:
        return None
    from gradlaws.models.module import ModuleFamily  # noqa: PLC0415

    return family if isinstance(family, ModuleFamily) else None


def _evidence(family: Family, answer: Answer, described: dict[str, Any]) -> tuple[list[Polynomial], Minor, int]:
    """Independent laws and a minor at one point, with integers as small as possible."""
    scalars = [scalar for law in answer.laws for scalar in law.polynomials(family.parameters)]
    lower, rank = answer.count.lower, answer.count.lie_dimension
    primes: tuple[int, ...] = answer.evidence.primes
    if any(step[0] == "root" for step in described.get("steps", ())):  # the checker takes roots by a power
        primes = tuple(prime for prime in (*primes, *DEFAULT_PRIMES) if prime % 4 == 3)[:1] * _POINTS
    generator = torch.Generator().manual_seed(answer.evidence.seed)
    for magnitude in MAGNITUDES:
        for prime in primes:
            field = PrimeField(prime)
            program = None
            if described["kind"] == "program":
                program = check_program.read_model({"model": described, "prime": prime})
            minor = find_minor(family, field, rank, magnitude, generator, program)
            chosen = _independent(scalars, minor.point, field) if minor else []
            if minor and len(chosen) == lower:
                return [scalars[i] for i in chosen], minor, prime
    raise InputError(
        f"no certificate of {family.name}: integers up to {MAGNITUDES[-1]} did not show the full rank; try another seed"
    )


def _independent(scalars: list[Polynomial], point: torch.Tensor, field: PrimeField) -> list[int]:
    """Numbers of laws whose gradients at the point form a basis of all their gradients."""
    theta = point.tolist()
    rows = torch.zeros(len(theta), len(scalars), dtype=torch.float64)
    for number, scalar in enumerate(scalars):
        for monomial, c in scalar.terms.items():
            for at, variable in enumerate(monomial):
                others = (theta[v] for v in monomial[:at] + monomial[at + 1 :])
                slope = rows[variable, number].item() + field.residue(c * prod(others))
                rows[variable, number] = slope % field.prime
    return linalg.echelon(rows, field).pivots.sort().values.tolist()


def _samples(minor: Minor, monomials: list[Monomial] | None) -> list[list[int]]:
    """Instances as the checker reads them: for a network x, c and gates; otherwise the factor of each potential."""
    flat = flat_samples(minor.instances)
    if monomials is None:
        return flat
    return [[prod(instance[v] for v in monomial) for monomial in monomials] for instance in flat]


def _check(document: dict[str, Any], answer: Answer) -> None:
    """Whatever is written has passed the independent checker.

    Raises:
        InputError: it is beyond the limits of the checker.
        ContradictionError: the checker disagrees: a defect of ours.
    """
    try:
        check_program.prove(*check_program.interpret(document))
    except check.Unreadable as refusal:
        raise InputError(f"no certificate of {answer.model}: {refusal}") from None
    except check.Failed as failure:
        raise ContradictionError(
            f"the checker does not accept the certificate of {answer.model}, seed {answer.evidence.seed}: {failure}; "
            "please report this with the seed"
        ) from None


def _layout(value: Any) -> str:
    if isinstance(value, dict) and "steps" in value:
        return "{" + ",\n".join(f"{json.dumps(key)}: {_layout(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "[\n" + ",\n".join("  " + json.dumps(entry) for entry in value) + "\n]"
    return json.dumps(value)
