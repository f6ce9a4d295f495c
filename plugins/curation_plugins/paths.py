"""Where ``tasks/`` lies: beside the package in a wheel, at the top of the checkout otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent
_IN_WHEEL: Final = _PACKAGE / "_data" / "tasks"

TASKS: Final = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent.parent / "tasks"
