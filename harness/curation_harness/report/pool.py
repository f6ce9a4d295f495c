"""What the report shows of a pool. The record holds row ids only, so task and files have to be here."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from curation_harness.record.models import RunSpec
from curation_plugins import assets as asset_files
from curation_plugins.api import Task
from curation_plugins.registry import Registry
from curation_sandbox.errors import CurationError

logger = logging.getLogger(__name__)

MEDIA_TYPES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))
INLINE_BYTES = 40_000
"""Images above this are shrunk: a report holds twelve for every attempt."""
THUMBNAIL = 320
"""Longer side of a shrunk image, pixels."""
TURNS = 8
"""Turns shown of one row."""
TURN_CHARACTERS = 600
"""Characters shown of one turn."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """One row for a reader."""

    row: int
    turns: tuple[tuple[str, str], ...] = ()
    """(who, what) in order."""
    more_turns: int = 0
    image: str | None = None
    """``data:`` URI."""
    source: str = ""
    good: bool | None = None
    """Planted truth; none where there is none."""
    why_not: str = ""
    """Why the row cannot be shown; empty if it is."""


@dataclass(frozen=True, kw_only=True)
class PoolView:
    """The pool's rows as far as they can be shown here."""

    task: Task | None = None
    assets: Path | None = None
    sources: np.ndarray = field(default_factory=lambda: np.array([], str))
    """Source of each row, shape (rows,); empty if the pool has none."""
    truth: np.ndarray = field(default_factory=lambda: np.array([], bool))
    """Planted truth of each row, shape (rows,); empty if there is none."""
    why_not: str = ""
    """Why no rows are shown; empty if they are."""

    def card(self, row: int) -> Card:
        """The row for a reader; a row that the task cannot show becomes a card that says so."""
        if self.task is None or self.assets is None:
            return Card(row=row, why_not=self.why_not)
        good = bool(self.truth[row]) if row < len(self.truth) else None
        try:
            shown = self.task.row_card(row, self.assets)
        except Exception as error:  # a plugin's code: its bug must not take the report with it
            logger.warning("row_card(%d) of task %s raised", row, self.task.name, exc_info=True)
            return Card(row=row, good=good, why_not=f"the task could not show it: {error!r}")
        if shown is None:
            return Card(row=row, good=good, why_not="the task does not show rows")
        return Card(
            row=row,
            turns=tuple((who, _cut(what)) for who, what in shown.turns[:TURNS]),
            more_turns=max(0, len(shown.turns) - TURNS),
            image=data_uri(shown.image) if shown.image else None,
            source=shown.source or (str(self.sources[row]) if row < len(self.sources) else ""),
            good=good,
        )


def installed(spec: RunSpec, registry: Registry, cache: Path) -> tuple[Task | None, Path | None]:
    """A run's task and its files, each as far as it is here: nothing of a record rests on what is only shown."""
    try:
        task = registry.tasks.get(spec.task.name).with_config(spec.task)
    except CurationError:  # no such plugin, or a version of it that knows other settings
        return None, None
    folder = asset_files.folder(cache, task)
    return task, folder if folder.is_dir() else None


def view(spec: RunSpec, task: Task | None, assets: Path | None) -> PoolView:
    """The pool of a run, if the task is installed and its pool is the one that the run had."""
    if task is None:
        return PoolView(why_not=f"task {spec.task.name}, with the settings of then, is not installed here")
    if assets is None or not assets.is_dir():
        return PoolView(why_not=f"the files of task {spec.task.name} are not on this machine")
    try:
        if asset_files.pool_digest(assets) != spec.pool_digest:
            return PoolView(why_not="the pool on this machine is not the one that the run had")
        return PoolView(
            task=task,
            assets=assets,
            sources=_column(task.sources(assets)),
            truth=_column(task.truth(assets)),
        )
    except Exception as error:  # a plugin's code, or files that were changed under it
        logger.warning("the pool of task %s cannot be read", task.name, exc_info=True)
        return PoolView(why_not=f"the pool could not be read: {error!r}")


def _column(values: Sequence[object] | np.ndarray | None) -> np.ndarray:
    return np.asarray(() if values is None else values)


def data_uri(image: bytes) -> str | None:
    """The image for ``src``, shrunk if it is large; none if it is neither PNG nor JPEG."""
    media_type = next((name for magic, name in MEDIA_TYPES if image.startswith(magic)), None)
    if media_type is None:
        return None
    if len(image) > INLINE_BYTES:
        smaller = _shrunk(image)
        if smaller is None:
            return None
        image, media_type = smaller, "image/jpeg"
    return f"data:{media_type};base64,{base64.b64encode(image).decode()}"


def _shrunk(image: bytes) -> bytes | None:
    try:
        with Image.open(io.BytesIO(image), formats=("PNG", "JPEG")) as opened:
            opened.thumbnail((THUMBNAIL, THUMBNAIL))
            small = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    out = io.BytesIO()
    small.save(out, "JPEG", quality=85)
    return out.getvalue()


def _cut(text: str) -> str:
    return text if len(text) <= TURN_CHARACTERS else text[:TURN_CHARACTERS] + " …"
