"""Rows that a task excludes: nobody gets them, and the record and the report say how many there are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import made_records as made
from curation_harness.record.models import RunSpec
from curation_harness.report import wording
from curation_harness.run.loop import RunLoop
from curation_plugins.api import Task
from curation_plugins.config import AuditCounts
from curation_plugins.registry import Registry
from curation_sandbox.protocol import Refused, SubmitRequest

EXCLUDED = frozenset({3, 17, 18})
COUNTS = AuditCounts(
    rows=400,
    items=120,
    pictures=390,
    excluded=3,
    reported=1,
    unreadable=0,
    by_rule={"image": 2, "question": 2},
    by_benchmark={"MMStar": 3},
    items_found={"MMStar": 2},
    common=0,
    version=1,
)

Opens = Callable[..., AbstractContextManager[RunLoop]]


@pytest.fixture
def excluding(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Task:
    """The test task, some of whose rows were found to hold benchmark items."""
    task = registry.tasks.get("probe")
    monkeypatch.setattr(type(task), "excluded", lambda self, assets: EXCLUDED, raising=False)
    monkeypatch.setattr(type(task), "audited", lambda self, assets: COUNTS, raising=False)
    return task


def rows_file(folder: Path, rows: list[int]) -> Path:
    path = folder / "rows.txt"
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def submit(loop: RunLoop, folder: Path, rows: list[int]) -> Any:
    data = rows_file(folder, rows)
    request = SubmitRequest(key=f"key-{len(rows):06d}", data="0" * 64, policy=(), note="")
    return loop.handler.submit(request, data, {})


def test_a_submission_that_names_excluded_rows_is_refused_with_them(
    open_loop: Opens, excluding: Task, tmp_path: Path
) -> None:
    with open_loop() as loop:
        reply = submit(loop, tmp_path, [2, 3, 4, 17])
        assert isinstance(reply, Refused)
        assert [(problem.code, problem.row) for problem in reply.problems] == [
            ("excluded-row", 2),
            ("excluded-row", 4),
        ]
        assert "row 17" in reply.problems[1].message
        assert "MMStar" not in reply.model_dump_json()
        assert loop.record.submissions() == ()
        check = loop.handler.check(tmp_path / "rows.txt")
        assert not check.ok
        assert loop.handler.check(rows_file(tmp_path, [2, 4, 5])).ok


@pytest.mark.parametrize("name", ["random", "random-fixed", "source-balanced", "full", "clean-only", "noisy-only"])
def test_no_reference_picks_an_excluded_row(excluding: Task, tmp_path: Path, name: str) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    excluding.prepare(assets, lambda what, done: None)
    rows = excluding.reference_rows(name, 5, assets)
    assert rows is not None
    assert len(rows)
    assert not EXCLUDED.intersection(rows)


def test_the_record_and_the_report_say_what_the_audit_found(open_loop: Opens, excluding: Task) -> None:
    with open_loop() as loop:
        record = loop.record
        assert record.spec.audit == COUNTS
        assert RunSpec.model_validate_json((record.folder / "run.json").read_bytes()).audit == COUNTS
    said = wording.audited(COUNTS)
    assert said.startswith("3 of 400 rows hold benchmark items and were nobody's to choose")
    assert "2 by image" in said
    assert "1 more reported" in said


def test_a_record_from_before_audits_is_read() -> None:
    old = made.made_spec().model_dump(exclude={"audit"})
    assert RunSpec.model_validate(old).audit is None
