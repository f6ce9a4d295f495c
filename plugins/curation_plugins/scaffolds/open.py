"""The scaffold that asks for nothing but the protocol."""

from __future__ import annotations

from collections.abc import Sequence

from curation_plugins.api import Scaffold, Task
from curation_plugins.gating import GateView
from curation_sandbox.protocol import Problem


class OpenScaffold(Scaffold):
    name = "open"
    summary = "the protocol only: how to hand in and read scores, no advice on how to curate"
    version = "1"

    def rules(self, task: Task) -> str:
        return PROTOCOL

    def gate(self, submission: GateView) -> Sequence[Problem]:
        return require_policy(submission)


PROTOCOL = (
    "Hand in with `curate submit FILE --policy DIR --note TEXT`: FILE is the selection, DIR holds the"
    " code that made it. `curate wait N` gives the score of attempt N; then revise and submit again."
    " `curate status` tells what is left of every budget. `curate done` ends the run; the attempt with"
    " the best public score is then trained again and scored on items you never saw."
)
"""How to hand in, the same under every scaffold."""


def require_policy(submission: GateView) -> Sequence[Problem]:
    """A submission without code is refused under every scaffold."""
    if submission.policy:
        return ()
    message = "a submission comes with the code that made it: --policy DIR with at least one file"
    return (Problem(code="no-policy", message=message),)
