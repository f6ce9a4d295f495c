"""What was handed in before in a run, in order, as a scaffold's gate is shown it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from curation_harness.record.events import Event
from curation_harness.record.models import AttemptSubmission, Refusal
from curation_harness.record.store import RunRecord
from curation_plugins.gating import EarlierTry
from curation_plugins.selection import Selection, read_canonical
from curation_sandbox.protocol import PolicyFile

CARD_READ: Final = "method-read"
"""The event of a method card that was read."""


def earlier_tries(record: RunRecord) -> tuple[EarlierTry, ...]:
    """Every submission of the run, refused ones among them, oldest first. Selections are read when they are asked
    for."""
    submissions = {submission.n: submission for submission in record.submissions()}
    refusals = {refusal.n: refusal for refusal in record.refusals()}
    tries: list[EarlierTry] = []
    for event in record.events.of("accepted", "refused"):
        n = int(event.data["n"])
        if event.kind == "accepted" and n in submissions:
            tries.append(_accepted(record, submissions[n]))
        elif event.kind == "refused" and n in refusals:
            tries.append(_refused(record, refusals[n]))
    return tuple(tries)


def cards_read(record: RunRecord) -> dict[str, int]:
    """Id of each method card that was read → how many attempts had been accepted before it was first read."""
    return dict(reversed([_reading(event) for event in record.events.of(CARD_READ)]))


def _reading(event: Event) -> tuple[str, int]:
    return str(event.data["id"]), int(event.data["attempts"])


def _accepted(record: RunRecord, submission: AttemptSubmission) -> EarlierTry:
    folder = record.attempt_folder(submission.n)
    result = record.result(submission.n)
    failed = result is not None and result.status == "failed"
    return EarlierTry(
        n=submission.n,
        outcome="failed" if failed else "accepted",
        policy=policy_of(folder, submission.policy),
        select=lambda: read_canonical(record.selection_file(submission.n)),
        feedback=None if result is None else result.feedback,
        cited=submission.cited,
    )


def _refused(record: RunRecord, refusal: Refusal) -> EarlierTry:
    folder = record.refusal_folder(refusal.n)

    def select() -> Selection | None:
        kept = record.refused_file(refusal.n)
        return read_canonical(kept) if kept.exists() else None

    return EarlierTry(
        n=None,
        refusal=refusal.n,
        outcome="refused",
        policy=policy_of(folder, refusal.policy),
        select=select,
        feedback=None,
        cited=refusal.cited,
        problems=refusal.problems,
    )


def policy_of(folder: Path, policy: tuple[PolicyFile, ...]) -> dict[str, Path]:
    """Path in a policy → its copy in an attempt's or a refusal's folder; of a refused policy that was too large to be
    kept, nothing."""
    places = {file.path: folder / "policy" / file.path for file in policy}
    return {path: place for path, place in places.items() if place.is_file()}
