"""Writes docs/flows.md: architecture x flow -> number of laws and the laws, every row computed.

    python docs/make_flows.py           # writes the document; fails where a number is not the expected one
    python docs/make_flows.py --check   # fails where the document is not what would be written

Expected numbers are those of the literature or of proofs that the document gives.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.models.rows import ROWS  # noqa: E402

from gradlaws import Answer, laws  # noqa: E402
from gradlaws.flows.fields import vector_fields  # noqa: E402
from gradlaws.flows.hessian import HessianMap  # noqa: E402
from gradlaws.models import zoo  # noqa: E402
from gradlaws.models.spec import read_spec  # noqa: E402
from gradlaws.models.symbolic import parametrised  # noqa: E402
from gradlaws.report.text import laws_text  # noqa: E402

DOCUMENT = Path(__file__).with_name("flows.md")
TEXT = Path(__file__).with_name("flows_text.md")


@dataclass(frozen=True)
class Entry:
    """One row of a table.

    Args:
        name: of the model.
        make: the model, as arguments of `gradlaws.laws`.
        flow: how it is trained.
        expected: number of laws; a pair where the bounds do not meet.
        options: further options.
    """

    name: str
    make: Callable[[], Sequence[Any]]
    flow: str
    expected: int | tuple[int, int]
    options: dict[str, Any] = field(default_factory=dict)

    def answer(self) -> Answer:
        """Computed now.

        Raises:
            SystemExit: it is not the expected one.
        """
        found = laws(*self.make(), flow=self.flow, **self.options)
        bounds = (self.expected,) * 2 if isinstance(self.expected, int) else self.expected
        if (found.count.lower, found.count.upper) != bounds:
            raise SystemExit(f"{self.name}, {self.flow}: {found.count} laws, expected {self.expected}")
        return found

    def line(self) -> str:
        """The row."""
        found = self.answer()
        formulas = laws_text(found).replace("|", r"\|").replace("    ", " · ").splitlines() if found.laws else []
        count = f"{found.count.lower}" if found.complete else f"{found.count.lower} to {found.count.upper}"
        cell = "<br>".join(f"`{line.strip()}`" for line in formulas)
        return f"| {self.name} | `{self.flow}` | {found.count.parameters} | {count} | {found.status.value} | {cell} |"


def spec(text: str, flow: str, expected: int | tuple[int, int], name: str = "") -> Entry:
    """A fully connected network."""
    return Entry(f"{name} `{text}`".strip(), lambda: (read_spec(text),), flow, expected)


def trained(made: zoo.Trained, label: str, expected: int, flow: str = "") -> Entry:
    """A factorisation with the flow of its name, or another one."""
    return Entry(f"{label} `{made.family.name}`", lambda: (made.family,), flow or made.flow, expected)


def symbolic(label: str, family: Any, flow: str, expected: int) -> Entry:
    """A parametrisation or explicit fields."""
    return Entry(label, lambda: (family,), flow, expected)


def module(name: str, flow: str = "gradient", expected: int | None = None) -> Entry:
    """A module of the tests, by the start of its name."""
    row = next(row for row in ROWS if row.name == name)
    return Entry(
        name.partition(" ")[2],
        lambda: (row.module(), row.inputs()),
        flow,
        row.laws if expected is None else expected,
        row.options,
    )


FRICTIONS = ("momentum:tau=0", "momentum", "nesterov")


def networks() -> list[Entry]:
    """Linear networks and PCA, networks with activations, plain gradient flow."""
    linear = {
        "1-1-1": 1,
        "2-1-1": 1,
        "1-2-1": 3,
        "1-3-1": 5,
        "2-2-2": 3,
        "3-2-2": 3,
        "2-4-2": 10,
        "2-5-2": 14,
        "3-3-3": 6,
    }
    deep = {"2-2-2-2": 6, "2-4-4-2": 20, "1-1-1-1": 2, "2-1-2-2-1": (7, 8), "1-2-2-1": (6, 7), "1-3-3-1": (12, 14)}
    return [
        *[
            spec(f"linear {widths}", "gradient", count, "PCA" if len(widths) == 5 else "")
            for widths, count in linear.items()
        ],
        *[spec(f"linear {widths}", "gradient", count) for widths, count in deep.items()],
        spec("linear 2-2-2 bias", "gradient", 3),
        *[spec(f"{kind} 2-2-2", "gradient", 2) for kind in ("relu", "leaky", "square")],
        spec("relu 2-2-2 bias", "gradient", 2),
        spec("relu 2-2-2-2", "gradient", 4),
        spec("relu 3-5-2-2 bias", "gradient", 7),
    ]


def mirrors() -> list[Entry]:
    """Metrics."""
    maps = ["entropy", "burg", "hypentropy", "pnorm=3", "hessian=1 + x**2"]
    return [
        trained(zoo.nmf(2, 2, 2), "NMF", 2),
        trained(zoo.nmf(2, 3, 2), "NMF", 3),
        trained(zoo.nmf(1, 2, 1), "NMF", 3),
        trained(zoo.icnn(2, 2, 2), "ICNN", 2),
        trained(zoo.icnn(2, 2, 2, bias=True), "ICNN", 2),
        trained(zoo.icnn(1, 2, 1), "ICNN", 2),
        *[spec("linear 2-2-2", f"mirror:{name}", 2) for name in maps[1:]],
        *[spec("relu 2-2-2 bias", f"mirror:{name}", 2) for name in maps],
        spec("linear 2-2-2", "rates:W1=1/10", 3),
        spec("relu 2-2-2", "rates:W1=1/10", 2),
        spec("linear 2-2-2", "natural", 3),
        spec("relu 2-2-2 bias", "natural", 2),
        spec("linear 2-2-2", "natural:blocks", 0),
        spec("linear 1-2-1", "natural:blocks", 1),
        spec("linear 2-2-2", "decay", 3),
        *[spec("linear 2-2-2", f"decay:lambda={rate}", 3) for rate in ("2/t", "any")],
        spec("relu 2-2-2 bias", "decay:lambda=1/100", 2),
        trained(zoo.nmf(2, 2, 2), "NMF", 2, "decay:mirror:entropy"),
        *[
            spec(f"linear {widths}", "sign", count)
            for widths, count in {"1-1-1": 1, "1-2-1": 3, "2-1-1": 0, "2-2-1": 2, "3-2-1": 3, "2-2-2": 0}.items()
        ],
        spec("relu 2-2-2", "sign", 0),
    ]


def momenta() -> list[Entry]:
    """Heavy ball and Nesterov's method, with each metric."""
    counts = {
        "1-1-1": 0,
        "1-2-1": 2,
        "1-3-1": 6,
        "2-2-1": 1,
        "2-3-1": 3,
        "2-6-1": 15,
        "2-7-1": 21,
        "2-2-2": 1,
        "2-5-2": 10,
    }
    counts |= {"3-3-3": 3, "2-2-2-2": 2, "3-3-3-3": 6, "1-2-2-1": 2, "2-1-2-1": 2, "1-3-1-1": 6}
    metrics = ["mirror:entropy", "mirror:hypentropy", "mirror:pnorm=3", "rates:W1=1/10"]
    lost = dict.fromkeys(metrics, 0) | {"rates:W1=1/10": 1}
    return [
        *[spec(f"linear {widths}", "momentum:tau=0", count) for widths, count in counts.items()],
        *[spec("linear 2-2-2", flow, 1) for flow in (*FRICTIONS[1:], "momentum:tau=any")],
        *[spec("linear 1-2-1", flow, 2) for flow in FRICTIONS[1:]],
        *[spec(text, flow, 0) for text in ("relu 2-2-2", "relu 2-2-2 bias") for flow in FRICTIONS],
        *[spec("linear 2-2-2", f"{flow}:{metric}", lost[metric]) for metric in metrics for flow in FRICTIONS[1:]],
        *[spec(text, "momentum:mirror:burg", 2) for text in ("linear 2-2-2", "relu 2-2-1 bias")],
        spec("linear 2-2-2", "nesterov:mirror:burg", 0),
        *[trained(zoo.icnn(2, 2, 2, bias=True), "ICNN", 0, f"{flow}:mirror:entropy:W2") for flow in FRICTIONS],
    ]


def formulas() -> list[Entry]:
    """What is given by formulas."""
    prey = vector_fields(["x", "y"], [["x*(2/3 - 4/3*y)", "y*(x - 1)"]])
    hessian = HessianMap([["1", "1", "0"], ["1", "2", "0"], ["0", "0", "1/z"]])
    bent = hessian(parametrised(["x", "y", "z"], ["x*y*z"]))
    spring = vector_fields(["t", "x", "v"], [["1", "v", "-3*v - 2*x"]])
    return [
        symbolic("`x1 x2 x3`", zoo.monomial(3), "gradient", 2),
        symbolic("`w_i = u_i v_i`", zoo.diagonal(3), "gradient", 3),
        symbolic("`w_i = u_i^2 - v_i^2`", zoo.differences(3), "gradient", 3),
        symbolic("`U U^T`, U of shape 2 x 3", zoo.gram(2, 3), "gradient", 2),
        symbolic("`U U^T`, U of shape 2 x 4", zoo.gram(2, 4), "gradient", 4),
        symbolic("`U U^T`, U of shape 3 x 2", zoo.gram(3, 2), "gradient", 0),
        symbolic("`U U^T`, U of shape 2 x 3", zoo.gram(2, 3), "momentum:tau=0", 3),
        symbolic("rank-1 tensor 2 x 2 x 2", zoo.rank_one(2, 2, 2), "gradient", 2),
        symbolic("rank-1 tensor 1 x 2 x 3", zoo.rank_one(1, 2, 3), "gradient", 2),
        symbolic("`x y z`, Hessian of `x^2/2 + x y + y^2 + z log z`", bent, "gradient", (1, 2)),
        symbolic("predator and prey", prey, "gradient", 1),
        symbolic("a spring with friction", spring, "gradient", 2),
    ]


def modules() -> list[Entry]:
    """Torch modules."""
    plain = [row.name for row in ROWS if row.name.startswith("s")]
    momentum = {"s49 softmax head": 4, "s38 one head": 2, "s40 head wider than input": 6, "s45 rope": 2}
    return [
        *[module(name) for name in plain],
        *[module(name, flow, count) for name, count in momentum.items() for flow in ("momentum", "nesterov")],
    ]


TABLES: dict[str, Callable[[], list[Entry]]] = {
    "networks": networks,
    "mirrors": mirrors,
    "momenta": momenta,
    "formulas": formulas,
    "modules": modules,
}
QUICK = ("networks", "mirrors", "momenta", "formulas")
"""Tables without modules, whose recording takes its time."""
HEAD = "| model | flow | variables | laws | status | the laws |\n|---|---|---|---|---|---|"


def table(name: str) -> str:
    """One table, computed."""
    return "\n".join([HEAD, *[entry.line() for entry in TABLES[name]()]])


def document() -> str:
    """The text with its tables."""
    text = TEXT.read_text()
    for name in TABLES:
        text = text.replace(f"<!-- {name} -->", table(name))
    return text


def main() -> None:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    written = document()
    if not parser.parse_args().check:
        DOCUMENT.write_text(written)
    elif DOCUMENT.read_text() != written:
        raise SystemExit(f"{DOCUMENT} is not what docs/make_flows.py writes: run it")


if __name__ == "__main__":
    main()
