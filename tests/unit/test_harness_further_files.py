"""Files that an evaluator leaves beside its items go into the record, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from curation_harness.attempts.trial import TrialRunner
from curation_plugins.errors import WorkerReplyInvalid
from curation_plugins.jobs import EvaluateJob, EvaluateResult, ItemResult


def evaluated(items: Path, write: Callable[[Path], None], *names: str) -> None:
    """One evaluation whose worker does ``write`` in the folder of its item file and promises ``names``."""

    def call(spec: object, role: str, job: EvaluateJob, result: object, progress: object) -> EvaluateResult:
        line = ItemResult(benchmark="b", item="1", group="1", score=1.0).model_dump_json()
        job.out.write_text(line + "\n")
        write(job.out.parent)
        return EvaluateResult(items=1, files=names)

    config = SimpleNamespace(recipe={}, evaluation={}, benchmarks=("b",))
    task = SimpleNamespace(
        config=config,
        worker=lambda role: None,
        aggregates=dict,
        sealed_benchmarks=tuple,
        graded=tuple,
    )
    runner = TrialRunner(cast("Any", task), items, cast("Any", SimpleNamespace(call=call)))
    runner.evaluate(None, "sealed", items, lambda what, done: None)


def test_a_promised_file_goes_into_the_record_and_another_does_not(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "scores.jsonl").write_text("1")
        (folder / "other.txt").write_text("2")

    evaluated(tmp_path, write, "scores.jsonl")
    assert {path.name for path in tmp_path.iterdir()} == {
        "items-sealed.jsonl",
        "evaluation-sealed.json",
        "scores.jsonl",
    }


def test_a_file_that_was_promised_and_not_written_is_our_failure(tmp_path: Path) -> None:
    with pytest.raises(WorkerReplyInvalid, match=r"scores\.jsonl was promised"):
        evaluated(tmp_path, lambda folder: None, "scores.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(WorkerReplyInvalid, match="promised"):
        evaluated(tmp_path, lambda folder: (folder / "scores.jsonl").symlink_to("/etc/hostname"), "scores.jsonl")


@pytest.mark.parametrize("name", ["../run.json", "/etc/passwd", ".hidden", "a/b", "", "A.json"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="files"):
        EvaluateResult(items=1, files=(name,))
