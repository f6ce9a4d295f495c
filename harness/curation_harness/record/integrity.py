"""Whether a record is what it was when it was written, as far as replays and reruns rest on it. A damaged one would
show as another way that the agent went."""

from __future__ import annotations

import hashlib
from pathlib import Path

from curation_harness.errors import RecordInvalid
from curation_harness.record.exchanges import ExchangeLog
from curation_harness.record.store import RunRecord

_HINT = "The record was changed or damaged; a copy of it from another place may be whole."


def check_submissions(record: RunRecord) -> None:
    """Hash the selection and the policy's files of every recorded submission.

    Raises:
        RecordInvalid: a file is missing, or is not the one that was submitted; with its name.
    """
    for submission in record.submissions():
        folder = record.attempt_folder(submission.n)
        _check(record.selection_file(submission.n), submission.digest)
        for file in submission.policy:
            _check(folder / "policy" / file.path, file.blob)


def check_replies(log: ExchangeLog) -> None:
    """Read every recorded reply, one at a time, and hold it against its name and the lengths of its pieces.

    Raises:
        RecordInvalid: a body is missing or damaged, or the list of exchanges has other lengths; with the file's name.
    """
    sizes: dict[str, int] = {}
    for entry in log.entries():
        if entry.response not in sizes:  # equal bodies are kept once
            sizes[entry.response] = len(log.body(entry.response))
        lengths = [length for _, length in entry.chunks]
        if sum(lengths) != sizes[entry.response] or min(lengths, default=0) < 0:
            raise RecordInvalid(
                f"model/exchanges.jsonl: the pieces of exchange {entry.id} have {sum(lengths)} bytes, and its reply"
                f" {entry.response[:16]}… has {sizes[entry.response]}",
                hint=_HINT,
            )


def _check(path: Path, digest: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RecordInvalid(f"{path}: {error.strerror}", hint="The record is incomplete.") from None
    if found != digest:
        raise RecordInvalid(f"{path} is not the file that was submitted: its digest is another one", hint=_HINT)
