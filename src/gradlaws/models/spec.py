"""Reads the one-line description of a network: ``relu 784-128-10 bias``."""

from __future__ import annotations

import re
from typing import cast

from gradlaws.errors import InputError
from gradlaws.models.network import ACTIVATIONS, Activation, Network

_EXAMPLE = "for example 'relu 2-5-3' or 'linear 4-3-2 bias'"
_OPTIONS = ("bias", "output-bias")


def read_spec(text: str) -> Network:
    """The network that `text` describes: kind, widths from input to output, then ``bias`` and ``output-bias``.

    Raises:
        InputError: the text is not of the form ``KIND a-b-...-z [bias] [output-bias]``.
    """
    words = text.split()
    if len(words) < 2:
        raise InputError(f"cannot read the network {text!r}: expected a kind and widths, {_EXAMPLE}")
    kind, widths, *options = words
    if kind not in ACTIVATIONS:
        raise InputError(f"unknown kind {kind!r}: expected one of {', '.join(ACTIVATIONS)}, {_EXAMPLE}")
    for option in options:
        if option not in _OPTIONS:
            raise InputError(f"unknown option {option!r} in {text!r}: expected {' or '.join(_OPTIONS)}")
    return Network(
        cast(Activation, kind), _read_widths(widths), bias="bias" in options, output_bias="output-bias" in options
    )


def _read_widths(text: str) -> tuple[int, ...]:
    parts = re.split(r"(?<=[^-])-", text)
    for part in parts:
        if not re.fullmatch(r"[+-]?\d{1,18}", part):
            raise InputError(f"width {part!r} in {text!r} is not a whole number, {_EXAMPLE}")
        if int(part) < 1:
            raise InputError(f"width {part} in {text!r} is not positive: every layer needs at least one unit")
    if len(parts) < 2:
        raise InputError(f"{text!r} has one width only: expected at least an input and an output width, {_EXAMPLE}")
    return tuple(int(part) for part in parts)
