"""docs/failures.md: every test it names is there, and every way in which the engine says that work failed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from curation_plugins.errors import WorkFailed, WorkStopped

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
NAMED: Final = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)


def test_every_test_that_the_page_names_exists() -> None:
    assert len(NAMED) > 20
    for file, name in NAMED:
        (path,) = (ROOT / "tests").rglob(file)
        assert f"def {name}(" in path.read_text(encoding="utf-8"), f"{file} has no {name}"


def test_every_class_of_failed_work_is_on_the_page() -> None:
    found, unseen = set(), [WorkFailed]
    while unseen:
        kinds = unseen.pop().__subclasses__()
        found |= {kind.__name__ for kind in kinds if kind.__module__ == WorkFailed.__module__}
        unseen += kinds
    missing = {name for name in found - {WorkStopped.__name__} if f"`{name}`" not in PAGE}
    assert missing == set()
