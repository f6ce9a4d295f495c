"""Everything the HTML report shows, gathered from a run record and, where it is here, the task's pool."""

from __future__ import annotations

import codecs
import random
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from curation_harness.errors import RecordInvalid
from curation_harness.record.mix import counts, mix_of
from curation_harness.record.models import (
    AttemptResult,
    AttemptSubmission,
    Headline,
    ReferenceTable,
    Refusal,
)
from curation_harness.record.store import RunRecord
from curation_harness.record.summary import AttemptLine, Summary, summarize
from curation_harness.report.pool import Card, PoolView
from curation_harness.trajectory.atif import Trajectory
from curation_harness.trajectory.building import load
from curation_plugins import selection
from curation_plugins.selection import Selection

SAMPLE = 12
"""Rows shown of each attempt."""
FILE_CHARACTERS = 20_000
"""Characters shown of one policy file."""
POLICY_CHARACTERS = 120_000
"""Characters shown of one attempt's policy files together."""
NOTE_CHARACTERS = 4000
"""Characters shown of a note."""


@dataclass(frozen=True, kw_only=True)
class ShownText:
    """Text as far as it is shown."""

    text: str
    left_out: int
    """Characters that are in the record only."""


@dataclass(frozen=True, kw_only=True)
class ShownFile:
    path: str
    size: int | None
    """Bytes; none if the record does not hold the file."""
    text: ShownText | None
    """None for a binary file, or one past what is shown of a policy."""
    why_not: str = ""
    """Why there is no text."""


@dataclass(frozen=True, kw_only=True)
class AttemptPage:
    line: AttemptLine
    submission: AttemptSubmission
    result: AttemptResult | None
    note: ShownText
    policy: tuple[ShownFile, ...]
    chosen: Selection
    mix: Mapping[str, int] | None
    """Selected rows per source."""
    cards: tuple[Card, ...]
    """A sample of the chosen rows."""


@dataclass(frozen=True, kw_only=True)
class Content:
    record: RunRecord
    summary: Summary
    headline: Headline | None
    references: ReferenceTable | None
    refusals: tuple[Refusal, ...]
    attempts: tuple[AttemptPage, ...]
    pool_mix: Mapping[str, int] | None
    trajectory: Trajectory | None
    """The agent's steps, if they were written."""
    pool_note: str
    """Why nothing of the pool's rows is shown; empty if they are."""

    @property
    def overlap(self) -> list[list[float]]:
        """Jaccard index of each two selections, in the order of attempts."""
        chosen = [page.chosen for page in self.attempts]
        above = [
            [selection.jaccard(one.rows, other.rows) for other in chosen[:place]] for place, one in enumerate(chosen)
        ]
        return [
            [1.0 if i == j else above[max(i, j)][min(i, j)] for j in range(len(chosen))] for i in range(len(chosen))
        ]


def gather(record: RunRecord, pool: PoolView) -> Content:
    """Read a record.

    Raises:
        RecordInvalid: a file of it is missing or damaged.
    """
    summary = summarize(record)
    lines = {line.n: line for line in summary.attempts}
    return Content(
        record=record,
        summary=summary,
        headline=record.headline(),
        references=record.references(),
        refusals=record.refusals(),
        attempts=tuple(
            _page(record, submission, lines[submission.n], pool)
            for submission in record.submissions()
            if submission.n in lines  # one accepted while this ran is in the next report
        ),
        pool_mix=counts(pool.sources) if len(pool.sources) else None,
        trajectory=load(record),
        pool_note=pool.why_not,
    )


def _page(record: RunRecord, submission: AttemptSubmission, line: AttemptLine, pool: PoolView) -> AttemptPage:
    folder = record.attempt_folder(submission.n)
    chosen = _selection(record.selection_file(submission.n))
    return AttemptPage(
        line=line,
        submission=submission,
        result=record.result(submission.n),
        note=_shown(submission.note, NOTE_CHARACTERS),
        policy=_policy(record.folder.resolve() / folder.relative_to(record.folder) / "policy", submission),
        chosen=chosen,
        mix=mix_of(chosen.rows, pool.sources) if len(pool.sources) else None,
        cards=tuple(pool.card(row) for row in sample(chosen.rows, submission.digest)),
    )


def sample(rows: Sequence[int], digest: str) -> list[int]:
    """Rows to show: the same ones for the same selection, chosen without regard to anything in them."""
    return sorted(random.Random(digest).sample(rows, min(SAMPLE, len(rows))))


def _selection(path: Path) -> Selection:
    try:
        return selection.read_canonical(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordInvalid(f"{path}: no selection ({error})", hint="The record was changed or damaged.") from None


def _shown(text: str, limit: int) -> ShownText:
    return ShownText(text=text[:limit], left_out=max(0, len(text) - limit))


# -- policy files ----------------------------------------------------------------------------------


def _policy(folder: Path, submission: AttemptSubmission) -> tuple[ShownFile, ...]:
    """Files of a policy as far as they are shown; ``folder`` is absolute and without links down to the record."""
    left = POLICY_CHARACTERS
    files: list[ShownFile] = []
    for file in submission.policy:
        shown = _policy_file(folder, file.path, min(FILE_CHARACTERS, left))
        left -= len(shown.text.text) if shown.text else 0
        files.append(shown)
    return tuple(files)


def _policy_file(folder: Path, name: str, limit: int) -> ShownFile:
    path = folder / name
    try:
        # A record may come from elsewhere, so a link anywhere inside it is not followed.
        if path.resolve() != path or not stat.S_ISREG(path.lstat().st_mode):
            return ShownFile(path=name, size=None, text=None, why_not="not a plain file in the record")
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(4 * limit + 1)
    except OSError:
        return ShownFile(path=name, size=None, text=None, why_not="missing from the record")
    text = _decoded(head)
    if text is None:
        return ShownFile(path=name, size=size, text=None, why_not="binary")
    if limit <= 0:
        return ShownFile(path=name, size=size, text=None, why_not="in the record only")
    return ShownFile(
        path=name,
        size=size,
        text=ShownText(text=text[:limit], left_out=max(0, max(len(text), size) - limit)),
    )


def _decoded(data: bytes) -> str | None:
    """The beginning of a file as text; none if it is binary.

    A NUL alone does not make it binary, or an agent could hide its code from a reader with one.
    """
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data)  # the last character may be cut
    except UnicodeDecodeError:
        return None if b"\0" in data else data.decode("utf-8", "replace")
