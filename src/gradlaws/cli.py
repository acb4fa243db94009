"""The command line: ``gradlaws count``, ``laws``, ``check`` and ``watch``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gradlaws import check_program as checker
from gradlaws import laws as laws_of
from gradlaws.errors import GradlawsError, InputError
from gradlaws.exact.field import DEFAULT_PRIMES
from gradlaws.flows.toml import is_fields_file, read_fields_file
from gradlaws.laws.answer import count as count_of
from gradlaws.laws.certificate import certify, writable
from gradlaws.laws.closure import Progress as Listener
from gradlaws.laws.count import Count
from gradlaws.laws.result import Answer
from gradlaws.models.load import is_factory, load_factory
from gradlaws.models.spec import read_spec
from gradlaws.report.json import answer_to_json, count_to_json
from gradlaws.report.text import answer_latex, answer_text, count_text
from gradlaws.report.watch import watch_view

ANSWERED, DEFECT, BAD_REQUEST, UNDECIDED, INTERRUPTED = 0, 1, 2, 3, 130

_REFRESH, _WIDE = 1.0, 200

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Finds every quantity that gradient training conserves, and proves that there are no others.",
    epilog="Exit status: 0 answered, 2 bad request, 3 the bounds do not meet.",
)

Spec = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="linear|relu|leaky|square a-b-...-z [bias], input width first; or FILE.py:FACTORY, a function that "
        "returns (module, example_inputs): this runs the file; or FILE.toml with vector fields or potentials.",
    ),
]
OutputBias = Annotated[bool, typer.Option("--output-bias", help="Put a bias on the output layer too.")]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
Primes = Annotated[str, typer.Option(help="Moduli, separated by commas.")]
Loss = Annotated[str, typer.Option(help="For a module: any, mse, bce or cross_entropy.")]
Eps = Annotated[str, typer.Option(help="For a module: generic keeps the epsilons of normalisations, zero drops them.")]
Part = Annotated[str | None, typer.Option("--parameters", help="For a module: only what is under this prefix moves.")]
At = Annotated[str, typer.Option(help="For a module: generic, or weights for its activation patterns as they are.")]
Engine = Annotated[str, typer.Option(help="For a module: exact, numeric (float64, proves nothing) or both.")]
Flow = Annotated[
    str,
    typer.Option(
        metavar="FLOW",
        help="How MODEL is trained: gradient, mirror:entropy, momentum:tau=1/2, nesterov:k=3, momentum:mirror:entropy.",
    ),
]
Device = Annotated[str, typer.Option(help="Torch device of the arithmetic: cpu or cuda.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (docs/json.md).")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer only: no evidence, no progress bar.")]
_PRIMES = ",".join(map(str, DEFAULT_PRIMES[:2]))


@app.command()
def count(
    model: Spec,
    output_bias: OutputBias = False,
    loss: Loss = "any",
    eps: Eps = "generic",
    parameters: Part = None,
    at: At = "generic",
    engine: Engine = "exact",
    flow: Flow = "gradient",
    seed: Seed = 0,
    primes: Primes = _PRIMES,
    device: Device = "cpu",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """How many independent conservation laws the training of MODEL has."""
    with _courteous():
        asked = _read(model, output_bias, {"loss": loss, "eps": eps, "parameters": parameters, "at": at}, engine)
        with _progress(quiet or as_json) as listener:
            result = count_of(
                *asked.model,
                **asked.options,
                flow=flow,
                seed=seed,
                primes=_read_primes(primes),
                device=device,
                on_progress=listener,
            )
        if as_json:
            _print(json.dumps({"model": asked.name, **count_to_json(result)}, indent=2))
        else:
            _print(str(result) if quiet else count_text(asked.name, result))
        _leave(result)


@app.command()
def laws(
    model: Spec,
    degree: Annotated[
        int | None, typer.Option(help="Search all polynomials up to this degree, written out term by term.")
    ] = None,
    output_bias: OutputBias = False,
    loss: Loss = "any",
    eps: Eps = "generic",
    parameters: Part = None,
    at: At = "generic",
    engine: Engine = "exact",
    flow: Flow = "gradient",
    seed: Seed = 0,
    primes: Primes = _PRIMES,
    device: Device = "cpu",
    as_json: AsJson = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print the laws as LaTeX.")] = False,
    explained: Annotated[bool, typer.Option("--explain", help="Say for each law which symmetry is behind it.")] = False,
    lower_only: Annotated[bool, typer.Option("--lower-only", help="List the laws, do not ask for others.")] = False,
    quiet: Quiet = False,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a proof that `gradlaws check` verifies on its own.")
    ] = None,
) -> None:
    """The conservation laws of the training of MODEL, and whether there are any others."""
    with _courteous():
        if certificate:
            writable(certificate)  # refuse at once what would fail after all the work
        asked = _read(model, output_bias, {"loss": loss, "eps": eps, "parameters": parameters, "at": at}, engine)
        with _progress(quiet or as_json) as listener:
            answer = laws_of(
                *asked.model,
                **asked.options,
                flow=flow,
                degree=degree,
                lower_only=lower_only,
                seed=seed,
                primes=_read_primes(primes),
                device=device,
                on_progress=listener,
            )
        _print(_shown(answer, as_json, latex, quiet, explained))
        if certificate:
            _certify(asked, answer, certificate)
        _leave(answer.count)


@app.command()
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A certificate that `gradlaws laws` wrote.")],
) -> None:
    """Verify a certificate with arithmetic of its own: exit status 0 proved, 1 a check fails, 2 not a certificate."""
    with _courteous():
        status = checker.main([file])
    raise typer.Exit(status)


@app.command()
def watch(
    store: Annotated[str, typer.Argument(metavar="FILE.db", help="A store that gradlaws.track writes or has written.")],
    run: Annotated[int | None, typer.Option(help="Number of the run; the last one if not given.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Refresh every second until interrupted.")] = False,
) -> None:
    """How far the laws of a training run have gone, and what was found."""
    with _courteous():
        console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
        if not live:
            console.print(watch_view(store, run))
            return
        with Live(watch_view(store, run), console=console, auto_refresh=False) as screen:
            while True:
                time.sleep(_REFRESH)
                screen.update(watch_view(store, run), refresh=True)


def main() -> None:
    """Entry point of the ``gradlaws`` command."""
    app()


def _shown(answer: Answer, as_json: bool, latex: bool, quiet: bool, explained: bool) -> str:
    if as_json:
        return json.dumps(answer_to_json(answer), indent=2)
    if latex:
        return answer_latex(answer)
    return "\n".join(law.text for law in answer.laws) if quiet else answer_text(answer, explained=explained)


def _certify(asked: _Asked, answer: Answer, path: Path) -> None:
    """Write the certificate; where the bounds do not meet, say so and leave the exit status to them."""
    model, *example_inputs = asked.model
    options = {name: value for name, value in asked.options.items() if name != "engine"}
    try:
        written = certify(model, answer, *example_inputs, **options)
    except InputError as error:
        if answer.complete:
            raise
        sys.stderr.write(f"gradlaws: {error}\n")
        return
    written.save(path)
    sys.stderr.write(f"gradlaws: wrote {path}, {written}\n")


@dataclass(frozen=True, eq=False, slots=True)
class _Asked:
    """What a command is about: arguments and options of `gradlaws.count` and `gradlaws.laws`."""

    name: str
    model: tuple[Any, ...]
    options: dict[str, Any]


def _read(text: str, output_bias: bool, options: dict[str, Any], engine: str) -> _Asked:
    """A network from its spec, or the module that a factory makes."""
    if is_fields_file(text):
        fields = read_fields_file(Path(text))
        return _Asked(text, (fields,), {"engine": engine})
    if is_factory(text):
        module, example_inputs = load_factory(text)
        return _Asked(type(module).__name__, (module, example_inputs), options | {"engine": engine})
    family = read_spec(text + " output-bias" if output_bias else text)
    return _Asked(family.name, (family,), {"engine": engine})


def _read_primes(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 30 for part in parts):
        raise InputError(
            f"cannot read --primes {text!r}: expected whole numbers separated by commas, such as {_PRIMES}"
        )
    return [int(part) for part in parts]


def _print(text: str) -> None:
    """Write to standard output as it is: no markup, no wrapping."""
    sys.stdout.write(text + "\n")


def _leave(count: Count) -> None:
    """Exit status 3 when the question stays open."""
    if count.lower != count.upper:
        raise typer.Exit(UNDECIDED)


@contextmanager
def _courteous() -> Iterator[None]:
    """One sentence and an exit status instead of a traceback."""
    try:
        yield
    except GradlawsError as error:
        sys.stderr.write(f"gradlaws: {error}\n")
        raise typer.Exit(BAD_REQUEST if isinstance(error, InputError) else DEFECT) from None
    except KeyboardInterrupt:
        sys.stderr.write("gradlaws: interrupted\n")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _progress(silent: bool) -> Iterator[Listener | None]:
    """A progress bar on the terminal's error stream; nothing elsewhere."""
    console = Console(stderr=True)
    if silent or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        yield _listener(bars)


def _listener(bars: Progress) -> Callable[[str, float], None]:
    """One bar, renamed from stage to stage."""
    task = bars.add_task("starting", total=1.0)

    def listen(stage: str, fraction: float) -> None:
        bars.update(task, description=stage, completed=fraction)

    return listen
