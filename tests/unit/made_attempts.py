"""Accepted submissions, written into a record without an agent."""

from __future__ import annotations

from collections.abc import Iterable

from curation_harness.record.models import AttemptSubmission
from curation_harness.record.store import RunRecord
from curation_plugins import selection


def accept(record: RunRecord, n: int, rows: Iterable[int]) -> None:
    """As after a kill between the submission's folder and the event that tells of it."""
    chosen = selection.of_rows(list(rows))
    submission = AttemptSubmission(
        n=n, key=f"key-{n:05d}", digest=chosen.digest(), rows=len(chosen.rows), note="", policy=(), accepted="now"
    )
    record.write_submission(submission, chosen, {})
