"""``gradlaws check``."""

from __future__ import annotations

from typing import Annotated

import typer

from gradlaws import check_program as checker
from gradlaws.commands.terminal import courteous


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A certificate that `gradlaws laws` wrote.")],
) -> None:
    """Verify a certificate with arithmetic of its own: exit status 0 proved, 1 a check fails, 2 not a certificate."""
    with courteous():
        status = checker.main([file])
    raise typer.Exit(status)
