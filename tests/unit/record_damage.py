"""What does not fit together in a run's record, or is half-written there."""

from __future__ import annotations

from collections import Counter

from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord


def record_damage(record: RunRecord) -> list[str]:
    """A line each; for a record of which nothing is under way."""
    found = []
    numbers = [submission.n for submission in record.submissions()]
    refusals = [refusal.n for refusal in record.refusals()]
    if numbers != list(range(1, len(numbers) + 1)):
        found.append(f"attempts are {numbers}")
    for kind, expected in (("accepted", numbers), ("attempt-scored", numbers), ("refused", refusals)):
        told = [event.data["n"] for event in record.events.of(kind)]
        if told != expected:
            found.append(f"events {kind} are {told}, the record holds {expected}")
    if [result.n for result in record.results()] != numbers:
        found.append(f"results of {[result.n for result in record.results()]}, submissions {numbers}")
    if ledger(record).iterations != len(numbers):
        found.append(f"the ledger has {ledger(record).iterations} iterations, the record {len(numbers)}")
    keys = [entry.key for entry in (*record.submissions(), *record.refusals())]
    found += [f"key {key} was answered {count} times" for key, count in Counter(keys).items() if count > 1]
    found += [f"left: {path}" for path in (record.folder / "blobs" / "incoming").iterdir()]
    names = (path for path in record.folder.rglob("*") if path.name.startswith(".") or ".tmp" in path.name)
    return found + [f"left: {path}" for path in names]
