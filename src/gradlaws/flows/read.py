"""Reads how a model is trained: ``gradient``, ``mirror:entropy``, ``momentum:tau=1/2``, ``nesterov:mirror:burg:W2``."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from gradlaws.errors import InputError
from gradlaws.flows.decay import WeightDecay
from gradlaws.flows.flow import Flow
from gradlaws.flows.metric import ENTROPY, FLAT, Geometry, Hessian, Hypentropy, Metric, Power, mirror, rates
from gradlaws.flows.momentum import Descent, HeavyBall, Nesterov
from gradlaws.flows.natural import Natural
from gradlaws.flows.signs import SignFlow
from gradlaws.models.family import Family

Training = Callable[[Family], Flow]
"""Turns what is trained into the flow by which it is."""

FLOWS = (
    "gradient, gradient:rates:W1=1/10, mirror:entropy, mirror:entropy:W2, momentum, momentum:tau=1/2, "
    "momentum:tau=any, nesterov, nesterov:k=3, momentum:mirror:entropy, decay:lambda=1/100, decay:lambda=2/t, "
    "decay:lambda=any, natural, natural:blocks, sign"
)
_MIRRORS = "entropy, burg, hypentropy or hypentropy=BETA, pnorm=P, hessian=EXPRESSION in x"


def read_flow(text: str) -> Training:
    """How the text says a model is trained.

    The first word is ``gradient``, ``mirror``, ``momentum`` (constant friction tau, 1 if nothing is said),
    ``nesterov`` (friction k/t, k = 3 if nothing is said) or ``decay`` (weight decay lambda, a number or k/t, 1 if
    nothing is said), with ``any`` for any function of time; then the metric: ``mirror:MAP``, for all parameters or
    for those listed after it, or ``rates:NAME=RATE,...``. Or all of it is ``sign``: gradients enter by their signs
    only; ``natural``: natural gradient; or ``natural:blocks``: with one block of the Fisher matrix for each tensor.

    Raises:
        InputError: a word is not understood.
    """
    head, *rest = text.strip().split(":")
    if head in ("mirror", "rates"):
        head, rest = "gradient", [head, *rest]
    if head in _READERS:
        return _READERS[head](rest, text)
    if head == "sign" and not rest:
        return SignFlow
    if head == "natural" and rest in ([], ["blocks"]):
        return Natural(blocks=bool(rest))
    raise InputError(f"unknown flow {text!r}: expected one such as {FLOWS}")


def _descent(words: list[str], text: str) -> Descent:
    return Descent(_geometry(words, text))


def _momentum(words: list[str], text: str) -> HeavyBall:
    """``tau=1/2`` or ``tau=any``, then the metric."""
    if words[:1] == ["tau=any"]:
        return HeavyBall(None, _geometry(words[1:], text))
    tau, rest = _option("tau", words, text, Fraction(1))
    return HeavyBall(tau, _geometry(rest, text))


def _nesterov(words: list[str], text: str) -> Nesterov:
    """``k=2``, then the metric."""
    k, rest = _option("k", words, text, Fraction(3))
    if k.denominator != 1:
        raise InputError(f"damping {k}/t in {text!r}: expected a whole number k over t")
    return Nesterov(int(k), _geometry(rest, text))


def _decay(words: list[str], text: str) -> WeightDecay:
    """``lambda=1/2``, ``lambda=2/t`` or ``lambda=any``, then the metric."""
    if words[:1] == ["lambda=any"]:
        return WeightDecay(None, metric=_geometry(words[1:], text))
    if words and words[0].startswith("lambda=") and words[0].endswith("/t"):
        k = _number(words[0].removeprefix("lambda=").removesuffix("/t"), text)
        return WeightDecay(k, True, _geometry(words[1:], text))
    rate, rest = _option("lambda", words, text, Fraction(1))
    return WeightDecay(rate, False, _geometry(rest, text))


_READERS: dict[str, Callable[[list[str], str], Training]] = {
    "gradient": _descent,
    "momentum": _momentum,
    "nesterov": _nesterov,
    "decay": _decay,
}


def _option(name: str, words: list[str], text: str, default: Fraction) -> tuple[Fraction, list[str]]:
    """The number after ``name=`` if the next word has one, and the other words."""
    if words and words[0].startswith(f"{name}="):
        return _number(words[0].removeprefix(f"{name}="), text), words[1:]
    return default, words


def _geometry(words: list[str], text: str) -> Geometry:
    if not words:
        return FLAT
    kind, *rest = words
    if kind == "mirror" and len(rest) in (1, 2):
        tensors = tuple(rest[1].split(",")) if rest[1:] else ()
        return mirror(_metric(rest[0], text), tensors)
    if kind == "rates" and len(rest) == 1:
        pairs = [entry.partition("=") for entry in rest[0].split(",")]
        if not all(name and equals for name, equals, _ in pairs):
            raise InputError(f"cannot read the rates in {text!r}: expected NAME=RATE,..., for example W1=1/10")
        return rates({name: _number(rate, text) for name, _, rate in pairs})
    raise InputError(
        f"cannot read {':'.join(words)!r} in the flow {text!r}: expected mirror:MAP, mirror:MAP:NAME,NAME or "
        f"rates:NAME=RATE, for example one of {FLOWS}"
    )


def _metric(word: str, text: str) -> Metric:
    name, equals, value = word.partition("=")
    if word == "entropy":
        return ENTROPY
    if word == "burg":
        return Power(2)
    if name == "hypentropy":
        return Hypentropy(_number(value, text) if equals else Fraction(1))
    if name == "pnorm" and equals:
        p = _number(value, text)
        if p.denominator != 1 or p < 2:
            raise InputError(f"pnorm={p} in {text!r}: expected a whole number p >= 2")
        return Power(2 - int(p), Fraction(1) / (p - 1))
    if name == "hessian" and equals:
        return Hessian(value)
    raise InputError(f"unknown mirror map {word!r} in {text!r}: expected {_MIRRORS}")


def _number(word: str, text: str) -> Fraction:
    try:
        if len(word) > 30 or "e" in word.lower():
            raise ValueError
        return Fraction(word)
    except (ValueError, ZeroDivisionError):
        raise InputError(f"{word!r} in {text!r} is not a number: expected a fraction such as 3, 1/2 or 0.5") from None
