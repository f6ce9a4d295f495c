"""Raise with a reason."""

from __future__ import annotations

import re

_NAME = re.compile(r"^[a-z0-9][a-z0-9.-]{0,62}$")


def require(holds: object, message: str) -> None:
    """Raises:
    AssertionError: ``message``, when something does not hold. Unlike ``assert``, also under ``python -O``.
    """
    if not holds:
        raise AssertionError(message)


def require_name(kind: str, name: str) -> None:
    require(
        isinstance(name, str) and _NAME.match(name),
        f"{kind} {name!r}: a name is lower-case letters, digits, dots and dashes, at most 63 characters",
    )


def require_summary(kind: str, name: str, summary: str) -> None:
    require(
        summary.strip() and "\n" not in summary and len(summary) <= 200,
        f"{kind} {name}: the summary is one line of at most 200 characters for `harness {kind}s`",
    )
