"""The LaTeX of laws as MathML, which browsers typeset by themselves; a formula breaks between its terms only.

Understood is what `Law.latex` writes: names, indices, powers, norms, brackets and sums.
Whatever else is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise

_TOKEN = re.compile(
    r"\\(?:mathrm|text|operatorname)\{(?P<name>(?:[^{}]|\{[^{}]*\})*)\}"
    r"|(?P<space>\\,|\\ |\s+)"
    r"|(?P<command>\\(?:[a-zA-Z]+|.))"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<word>[^\W\d_]{2,}[\w.]*(?<!_)|[^\W\d_]\d[\w.]*(?<!_))"
    r"|(?P<letter>[^\W\d_])"
    r"|(?P<sign>.)",
    re.DOTALL,
)
_OPERATORS = {
    r"\|": "‖",
    r"\langle": "⟨",
    r"\rangle": "⟩",
    r"\top": "⊤",
    r"\sum": "∑",
    r"\cdot": "·",
    r"\left": "",
    r"\right": "",
    r"\textstyle": "",
    "-": "−",
    "*": "·",
}
_SPACE = '<mspace width="0.22em"></mspace>'
_SIGN = re.compile(r"(<msu[bp]+>)*<mo")
_FENCES = frozenset("‖⟨⟩()[]")
_FUNCTIONS = frozenset({r"\log", r"\exp", r"\sin", r"\cos", r"\tanh"})
_ACCENTS = {r"\dot": "˙", r"\ddot": "¨", r"\bar": "¯", r"\tilde": "˜", r"\hat": "^"}


def mathml(latex: str, module: str = "") -> str:
    """Inline MathML, one `<math>` for each term of a sum, so that a line can break between them.

    Args:
        latex: of a law.
        module: whose path is left out of the names.
    """
    if module:
        path = module.replace("_", r"\_")
        latex = re.sub(rf"(?<![\w.]){re.escape(path)}\.", "", latex)
    pieces = "</math> <math>".join(_Reader(_tokens(term)).row() for term in _terms(latex))
    return f"<math>{pieces}</math>"


def _terms(latex: str) -> list[str]:
    """The summands with their signs; signs within brackets and groups do not count."""
    depth, start, terms = 0, 0, []
    for at, letter in enumerate(latex):
        depth += (letter in "{([") - (letter in "})]")
        if depth == 0 and letter in "+-" and latex[start:at].strip():
            terms.append(latex[start:at])
            start = at
    return [*terms, latex[start:]]


def _tokens(latex: str) -> list[tuple[str, str]]:
    found = [(str(match.lastgroup), match[str(match.lastgroup)]) for match in _TOKEN.finditer(latex)]
    return [(kind, text) for kind, text in found if kind != "space"]


@dataclass(eq=False, slots=True)
class _Reader:
    """Goes through the tokens once.

    Args:
        tokens: kind and text.
        at: the next one.
    """

    tokens: list[tuple[str, str]]
    at: int = 0

    def row(self, stop: str = "") -> str:
        """Everything up to a closing token, which is taken."""
        parts: list[str] = []
        while self.at < len(self.tokens):
            if self.tokens[self.at][1] == stop:
                self.at += 1
                break
            parts += self._scripted()
        signs = [True, *(bool(_SIGN.match(part)) for part in parts)]
        apart = (not (before or after) for before, after in pairwise(signs))
        return "".join(_SPACE * space + part for space, part in zip(apart, parts, strict=True))

    def _scripted(self) -> Iterator[str]:
        """One atom with the index and the power that follow it."""
        base, below, above = self._atom(), "", ""
        while base and self._next() in ("_", "^", "["):
            mark = self._take()[1]
            if mark == "^":
                above = self._group()
                continue
            if below:  # W_1[k,:]
                base = f"<msub>{base}<mrow>{below}</mrow></msub>"
            below = self.row("]") if mark == "[" else self._group()
        if below and above:
            yield f"<msubsup>{base}<mrow>{below}</mrow><mrow>{above}</mrow></msubsup>"
        elif below or above:
            tag = "msub" if below else "msup"
            yield f"<{tag}>{base}<mrow>{below or above}</mrow></{tag}>"
        elif base:
            yield base

    def _group(self) -> str:
        if self._next() == "{":
            self._take()
            return self.row("}")
        return self._atom()

    def _atom(self) -> str:
        if self.at == len(self.tokens):
            return ""
        kind, text = self._take()
        if kind in _LEAVES:
            return _LEAVES[kind](text)
        if text in _ACCENTS:
            return f'<mover accent="true"><mrow>{self._group()}</mrow><mo>{_ACCENTS[text]}</mo></mover>'
        if text == r"\sqrt":
            return f"<msqrt>{self._group()}</msqrt>"
        return f"<mrow>{self.row('}')}</mrow>" if text == "{" else _sign(text)

    def _next(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _take(self) -> tuple[str, str]:
        self.at += 1
        return self.tokens[self.at - 1]


def _name(text: str) -> str:
    """A name set upright; of a name with an index in brackets, the index below; words as words."""
    text = text.replace(r"\_", "_")
    name, bracket, index = text.partition("[")
    words = name.split(" ")
    lead, last = " ".join(words[:-1]), words[-1]
    if not bracket or not index.endswith("]") or "[" in index:
        return f"<mtext>{escape(text)}</mtext>"
    below = _Reader(_tokens(index[:-1])).row()
    before = "<mo>∑</mo>" if lead == "sum" else f"<mtext>{escape(lead)} </mtext>" * bool(lead)
    return f"<mrow>{before}<msub><mtext>{escape(last)}</mtext><mrow>{below}</mrow></msub></mrow>"


def _sign(text: str) -> str:
    """An operator, a bracket or the name of a function."""
    if text in _FUNCTIONS:
        return f"<mi>{text[1:]}</mi>"
    shown = _OPERATORS.get(text, text)
    stretch = ' stretchy="false"' if shown in _FENCES else ""
    return f"<mo{stretch}>{escape(shown)}</mo>" if shown else ""


_LEAVES: dict[str, Callable[[str], str]] = {
    "name": _name,
    "word": lambda text: f"<mtext>{escape(text)}</mtext>",
    "number": lambda text: f"<mn>{text}</mn>",
    "letter": lambda text: f"<mi>{escape(text)}</mi>",
}
