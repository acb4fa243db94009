"""Small models with names of their own, for examples, tests and tables.

Matrix factorisations are fully connected networks read as products of matrices: what makes them PCA, NMF or an
input-convex network is how they are trained, so a flow goes with each name (Marcotte, Gribonval, Peyre 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from gradlaws.models.network import Network
from gradlaws.models.symbolic import Parametrised, parametrised


@dataclass(frozen=True, slots=True)
class Trained:
    """A model and the text of the flow that belongs to its name.

    Args:
        family: what is trained.
        flow: how, as `gradlaws.laws(..., flow=)` reads it.
    """

    family: Network
    flow: str


def pca(n: int, r: int, m: int) -> Trained:
    """``Y = U V`` with U of shape ``[n, r]`` and V of shape ``[r, m]``, by gradient flow."""
    return Trained(Network("linear", (m, r, n)), "gradient")


def nmf(n: int, r: int, m: int) -> Trained:
    """Nonnegative ``Y = U V``: multiplicative updates, the entropy as mirror map of both factors."""
    return Trained(Network("linear", (m, r, n)), "mirror:entropy")


def icnn(n: int, r: int, m: int, bias: bool = False) -> Trained:
    """Input-convex ``U relu(V x + b)`` (Amos, Xu, Kolter 2017): the entropy keeps U nonnegative, V and b are free."""
    return Trained(Network("relu", (m, r, n), bias=bias), "mirror:entropy:W2")


def diagonal(k: int) -> Parametrised:
    """``w_i = u_i v_i``."""
    return parametrised(_names("uv", k), [f"u{i}*v{i}" for i in range(k)])


def differences(k: int) -> Parametrised:
    """``w_i = u_i^2 - v_i^2``."""
    return parametrised(_names("uv", k), [f"u{i}**2 - v{i}**2" for i in range(k)])


def gram(n: int, r: int) -> Parametrised:
    """``U U^T`` for U of shape ``[n, r]``."""
    rows = [(i, j) for i in range(n) for j in range(i, n)]
    names = [f"u{i}{a}" for i in range(n) for a in range(r)]
    return parametrised(names, [" + ".join(f"u{i}{a}*u{j}{a}" for a in range(r)) for i, j in rows])


def rank_one(*sizes: int) -> Parametrised:
    """The tensor ``a x b x c x ...`` of vectors of these sizes."""
    letters = [[f"{name}{i}" for i in range(size)] for name, size in zip("abcdefgh", sizes, strict=False)]
    return parametrised([name for names in letters for name in names], ["*".join(entry) for entry in product(*letters)])


def monomial(count: int) -> Parametrised:
    """``x_1 x_2 ... x_D``."""
    names = [f"x{i + 1}" for i in range(count)]
    return parametrised(names, ["*".join(names)])


def _names(letters: str, count: int) -> list[str]:
    return [f"{letter}{i}" for letter in letters for i in range(count)]
