"""What a replay came to: ``reruns/NNN-replay.json``."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from curation_harness.record.entry import Entry
from curation_harness.record.models import CodeRevision, Hardware
from curation_harness.replay.compare import Kind


class RequestReplay(Entry):
    """One request of the replay beside the recorded one whose reply it got."""

    recorded: int | None
    """Number of the recorded exchange; none: the record had none left."""
    kind: Kind
    where: str = ""
    """The first place that differs, as a path in the request's body."""
    before: str = ""
    after: str = ""


class SubmissionReplay(Entry):
    n: int
    same_rows: bool | None
    """Whether the selection is the same byte for byte; none: one of the two runs has no submission n."""
    same_policy: bool | None
    """Whether the policy's files are."""

    @property
    def equal(self) -> bool:
        return bool(self.same_rows and self.same_policy)


class Replay(Entry):
    """One replay of a run."""

    run_id: str
    verdict: Literal["equal", "differs"]
    """``equal``: the same submissions, byte for byte, and as many refused ones. A run without submissions is equal
    if the replay asked for every recorded reply and for no other."""
    submissions: tuple[SubmissionReplay, ...]
    refusals: tuple[int, int]
    """Refused submissions, then and now."""
    requests: tuple[RequestReplay, ...]
    not_asked: tuple[int, ...]
    """Recorded exchanges whose reply was not asked for."""
    causes: tuple[str, ...]
    """What is different from when the run was made: image, agent, code."""
    record: str
    """The replay's own run record, relative to this file."""
    code: CodeRevision
    hardware: Hardware
    packages: dict[str, str]
    made: str
    """ISO 8601, UTC."""

    def counts(self) -> dict[str, int]:
        """How many requests there are of each kind."""
        return dict(Counter(request.kind for request in self.requests))
