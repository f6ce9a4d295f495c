"""Owners that ``/proc`` does not show: mounted with ``hidepid``, it hides other users' processes."""

from __future__ import annotations

import os

import pytest

from curation_sandbox import owners


@pytest.mark.parametrize(
    ("refusal", "dead"),
    [(PermissionError(1, "Operation not permitted"), False), (ProcessLookupError(3, "No such process"), True)],
    ids=["hidden", "gone"],
)
def test_a_process_that_is_only_hidden_is_not_called_dead(
    refusal: OSError, dead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its containers, its binds and its volumes would be taken from a live run."""

    def kill(pid: int, signal: int) -> None:
        assert (pid, signal) == (other.pid, 0), "looking must not harm it"
        raise refusal

    other = owners.current().model_copy(update={"pid": 4_000_000})
    monkeypatch.setattr(owners, "_started", lambda pid: None)
    monkeypatch.setattr(os, "kill", kill)
    assert other.dead is dead
