"""How one process's work on a run ends: with a seal, unless something of it may yet write."""

from __future__ import annotations

import threading

import pytest

from curation_harness.errors import RecordInvalid, RunBusy
from curation_harness.record.sealing import check_sealed, root
from curation_harness.record.store import RunRecord
from curation_harness.run import loop as runs


def test_a_run_is_sealed_when_the_work_on_it_is_over(open_loop):
    with open_loop("budgets.iterations=1") as loop:
        assert root(loop.record.folder) is None
        loop.record.events.append("interrupted")
    check_sealed(loop.record.folder)


def test_a_run_that_goes_wrong_is_sealed_and_says_what_went_wrong(open_loop):
    with pytest.raises(ZeroDivisionError), open_loop("budgets.iterations=1") as loop:
        raise ZeroDivisionError
    check_sealed(loop.record.folder)


def test_a_seal_that_was_not_broken_is_not_made_anew(open_loop):
    """Another one would cover what was changed since."""
    with open_loop("budgets.iterations=1") as loop:
        pass
    sealed = root(loop.record.folder)
    (loop.record.folder / "beside.sha256").write_text("nonsense\n")
    (loop.record.folder / "workers.log").write_text("changed\n")
    with pytest.raises(RecordInvalid, match=r"beside\.sha256"), open_loop(record=loop.record):
        pass
    assert root(loop.record.folder) == sealed
    with loop.record.lock():  # and it was let go of
        pass


def test_a_seal_that_fails_does_not_hide_what_went_wrong_before(open_loop, monkeypatch):
    def full(record):
        raise OSError(28, "no space left")

    monkeypatch.setattr(runs, "seal", full)
    with pytest.raises(ZeroDivisionError), open_loop("budgets.iterations=1") as loop:
        raise ZeroDivisionError
    with pytest.raises(OSError, match="no space left"), open_loop(record=loop.record):
        pass


def test_a_run_whose_work_does_not_end_is_not_sealed(open_loop, monkeypatch):
    monkeypatch.setattr(runs, "STOP_SECONDS", 0.05)
    begun, go_on, written = threading.Event(), threading.Event(), threading.Event()
    with open_loop("budgets.iterations=1") as loop:

        def deaf() -> None:
            begun.set()
            go_on.wait()
            loop.record.events.append("interrupted")
            written.set()

        loop.work.add(deaf)
        assert begun.wait(10)
        loop.stop()
    assert loop.outlived
    assert root(loop.record.folder) is None
    with pytest.raises(RunBusy), RunRecord.open_run(loop.record.folder).lock():
        pass
    go_on.set()  # and it writes, while nobody else does
    assert written.wait(10)
    assert [event.kind for event in RunRecord.open_run(loop.record.folder).events.all()][-1] == "interrupted"
