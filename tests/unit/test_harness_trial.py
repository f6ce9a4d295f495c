"""What a trainer keeps for going on: there again after a kill, gone when the training is over."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from curation_harness.attempts.trial import KEPT, TrialRunner
from curation_plugins.errors import WorkerCrashed, WorkStopped
from curation_plugins.jobs import TrainJob, TrainResult


class _Session:
    """An engine's session whose trainer leaves something in `kept`, then ends as told."""

    def __init__(self, end: Exception | None) -> None:
        self.end = end
        self.found: list[str] = []

    def call(self, spec: Any, role: str, job: TrainJob, result: Any, progress: Any) -> TrainResult:
        assert job.kept is not None
        self.found = [path.name for path in job.kept.iterdir()] if job.kept.exists() else []
        job.kept.mkdir(exist_ok=True)
        (job.kept / "state").write_text("half way")
        if self.end is not None:
            raise self.end
        (job.out / "model").write_text("done")
        return TrainResult(model="model", steps=1, samples=1, loss=0.0)


def _train(items: Path, end: Exception | None, seed: int = 5) -> list[str]:
    """One training; what its trainer found of an earlier one."""
    session: Any = _Session(end)
    task: Any = SimpleNamespace(config=SimpleNamespace(recipe={}), worker=lambda role: None)
    scratch = items / f".trial-{len(list(items.iterdir()))}"
    scratch.mkdir()
    with contextlib.suppress(WorkStopped, WorkerCrashed):
        TrialRunner(task, items, session)._train(items / "selection", seed, scratch, lambda what, done: None)
    found: list[str] = session.found
    return found


def test_what_was_kept_is_there_again_after_a_run_was_stopped(tmp_path: Path) -> None:
    assert _train(tmp_path, WorkStopped("the run ended")) == []
    assert _train(tmp_path, None) == ["state"]
    assert not list(tmp_path.glob(f"{KEPT}*"))


def test_an_interrupted_harness_leaves_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        _train(tmp_path, RuntimeError("killed, as far as this code can see"))
    assert _train(tmp_path, None) == ["state"]


def test_a_training_that_failed_for_good_leaves_nothing(tmp_path: Path) -> None:
    assert _train(tmp_path, WorkerCrashed("twice")) == []
    assert not list(tmp_path.glob(f"{KEPT}*"))


def test_another_seed_of_the_same_selection_finds_nothing(tmp_path: Path) -> None:
    _train(tmp_path, WorkStopped("the run ended"))
    assert _train(tmp_path, None, seed=6) == []
