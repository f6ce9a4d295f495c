"""What agents handed in and sent: every content against its name, every submission and refusal against the events."""

from __future__ import annotations

from collections.abc import Iterator

from curation_harness.record import integrity, listing
from curation_harness.record.event_order import Walk
from curation_harness.record.exchanges import ExchangeLog
from curation_harness.record.layout import shown, walk
from curation_harness.record.store import RunRecord
from curation_harness.verification.outcome import Check, holds, unfit
from curation_plugins.selection import read_canonical


def check(record: RunRecord, events: Walk) -> Iterator[Check]:
    """Raises:
    RecordInvalid: at the first thing that does not fit.
    """
    integrity.check_submissions(record)
    submissions = record.submissions()
    for place, submission in enumerate(submissions, start=1):
        name = f"attempts/{place:03d}/submission.json"
        if submission.n != place:
            unfit(name, f"it is of attempt {submission.n}")
        if submission.n not in events.accepted:
            if events.ended is not None:
                unfit(name, "no event says that it was accepted")
            continue  # its process was killed in between; whoever resumes the run notes it
        if events.accepted[submission.n] != submission.digest:
            unfit(name, "events.jsonl says that another selection was accepted")
        _check_rows(record, submission.n, submission.rows)
    for n in events.accepted:
        if n > len(submissions):
            unfit(f"attempts/{n:03d}", "it is missing; events.jsonl says that it was accepted")
    yield holds("submissions", f"{len(submissions)}: selections and policies have the digests they were accepted by")
    yield _refusals(record, events)
    yield _blobs(record)
    yield from _traffic(record)


def _check_rows(record: RunRecord, n: int, rows: int) -> None:
    path = record.selection_file(n)
    try:
        chosen = read_canonical(path)
    except (ValueError, RecursionError) as error:
        unfit(f"attempts/{n:03d}/{path.name}", f"no frozen selection: {error}")
    if len(chosen.rows) != rows:
        name = f"attempts/{n:03d}/submission.json"
        unfit(name, f"{rows} rows are recorded, and the selection has {len(chosen.rows)}")


def _refusals(record: RunRecord, events: Walk) -> Check:
    refusals = record.refusals()
    told = {event.data["n"]: sorted(event.data["codes"]) for event in record.events.of("refused")}
    for place, refusal in enumerate(refusals, start=1):
        name = f"refusals/{place:03d}.json"
        if refusal.n != place:
            unfit(name, f"it is of refusal {refusal.n}")
        codes = sorted({problem.code for problem in refusal.problems})
        if refusal.n in told and told[refusal.n] != codes:
            unfit(name, "events.jsonl gives other reasons")
        if refusal.n not in told and events.ended is not None:
            unfit(name, "no event says that it was refused")
        selection = record.refused_file(refusal.n)
        if selection.exists() and listing.digest_of(selection) != refusal.digest:
            unfit(f"refusals/{place:03d}/{selection.name}", "its digest is not the one that was refused")
        for file in refusal.policy:
            path = record.refusal_folder(refusal.n) / "policy" / file.path
            if path.exists() and listing.digest_of(path) != file.blob:
                unfit(f"refusals/{place:03d}/policy/{shown(file.path)}", "it is not the file that was refused")
    if events.refused > len(refusals):
        unfit(f"refusals/{len(refusals) + 1:03d}.json", "it is missing; events.jsonl says that it was refused")
    return holds("refusals", f"{len(refusals)}: as events.jsonl tells them")


def _blobs(record: RunRecord) -> Check:
    count = 0
    for path, kind in walk(record.folder):
        if kind.name == "blobs/":
            count += 1
            if listing.digest_of(record.folder / path) != path.rpartition("/")[2]:
                unfit(path, "it does not hold what its name says")
    return holds("uploads", f"{count} hold what their names say")


def _traffic(record: RunRecord) -> Iterator[Check]:
    prompt = record.spec.agent.prompt
    if prompt is not None:
        path = record.folder / "prompt.md"
        if not path.is_file():
            unfit("prompt.md", "it is missing")
        if listing.digest_of(path) != prompt:
            unfit("prompt.md", "it is not what run.json says the agent was told")
        yield holds("prompt", "the one that run.json names")
    log = ExchangeLog(record.folder)
    entries = log.entries()
    if not entries:
        return
    integrity.check_replies(log)
    named = {digest for entry in entries for digest in (entry.request, entry.sent, entry.response) if digest}
    for digest in sorted(named):
        log.body(digest)
    kept = (path for path, kind in walk(record.folder) if kind.name == "model/bodies/")
    bodies = {path.rpartition("/")[2].removesuffix(".zst") for path in kept}
    if len({entry.id for entry in entries}) != len(entries):
        unfit("model/exchanges.jsonl", "two exchanges have one number")
    for digest in sorted(bodies - named):
        log.body(digest)  # of an exchange whose line a killed process did not write any more
    yield holds("model traffic", f"{len(entries)} exchanges, {len(bodies)} bodies: each holds what its name says")
