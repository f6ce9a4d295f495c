"""What a replay came to: ``reruns/NNN-replay.json``."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from curation_harness.record.entry import Entry
from curation_harness.record.models import CodeRevision, Hardware
from curation_harness.replay.compare import Kind
from curation_harness.rerun.stages import Cause, Stage


class RequestReplay(Entry):
    """One request of the replay beside the recorded one whose reply it got."""

    recorded: int | None
    """Number of the recorded exchange; none: the record had none left."""
    kind: Kind
    where: str = ""
    """The first place that differs, as a path in the request's body."""
    before: str = ""
    after: str = ""


class Replay(Entry):
    """One replay of a run."""

    run_id: str
    verdict: Literal["equal", "differs"]
    """``equal``: the same submissions and the same refusals, byte for byte. A run without either is equal if the
    replay asked for every recorded reply and for no other."""
    stages: tuple[Stage, ...]
    """The conversation, every submission, the refusals."""
    requests: tuple[RequestReplay, ...]
    not_asked: tuple[int, ...]
    """Recorded exchanges whose reply was not asked for."""
    causes: tuple[Cause, ...]
    """What is different from when the run was made."""
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
