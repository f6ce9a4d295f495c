"""Where ``tasks/`` and our packages lie: beside each other in a wheel, in folders of the checkout otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import curation_sandbox

_PACKAGE: Final = Path(__file__).resolve().parent
_IN_WHEEL: Final = _PACKAGE / "_data" / "tasks"

TASKS: Final = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent.parent / "tasks"


def checkout() -> tuple[Path, ...]:
    """Folders from which another Python imports our packages: those of a checkout. None where they are installed
    beside other packages, which must not come along; there the other Python needs an installation of its own."""
    if _IN_WHEEL.is_dir():
        return ()
    return (_PACKAGE.parent, Path(curation_sandbox.__file__).resolve().parent.parent)
