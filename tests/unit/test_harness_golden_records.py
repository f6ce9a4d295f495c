"""Records of every format there was, of each kind of run: this version opens, shows, verifies and reports them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

import golden_records as golden
from curation_harness.record import sealing
from curation_harness.record.layout import walk
from curation_harness.record.models import FORMAT
from curation_harness.record.schemas import TYPES
from curation_harness.record.state import status
from curation_harness.record.store import RunRecord
from curation_harness.record.summary import summarize
from curation_harness.record.upgrades import SEALED, STEPS, upgraded
from curation_harness.report.html import write_report

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "record-schema"
SCORES = {"baseline": [0.65, 0.3375], "scripted": [0.5875, 0.5875]}
"""Public means of the attempts, as they were told then."""


@pytest.fixture(params=golden.ALL)
def record(request: pytest.FixtureRequest, tmp_path: Path) -> RunRecord:
    return golden.opened(request.param, tmp_path)


def kind_of_run(record: RunRecord) -> str:
    return record.spec.run_id.removeprefix("golden-")


def test_there_is_one_of_every_format_and_kind_of_run() -> None:
    wanted = sorted(f"format-{n}-{kind}" for n in range(1, FORMAT + 1) for kind in SCORES)
    assert wanted == golden.ALL


def test_it_is_opened_and_shown(record: RunRecord) -> None:
    summary = summarize(record)
    means = [line.public.mean for line in summary.attempts if line.public]
    assert means == pytest.approx(SCORES[kind_of_run(record)])
    assert (summary.status, status(record)) == ("scored", "scored")
    assert summary.sealed is not None
    assert summary.sealed.seeds == 2
    assert record.spec.format == FORMAT
    assert (summary.root is not None) == (record.written_format() >= SEALED)


@pytest.mark.parametrize("name", golden.ALL)
def test_it_is_imported_and_verifies(name: str, tmp_path: Path) -> None:
    assert golden.problem(golden.imported(name, tmp_path)) is None


def test_a_changed_score_is_found_in_every_format(record: RunRecord) -> None:
    if record.spec.scoring is None:
        pytest.skip("of a format whose scores can be made again by the task only; the tests of verify have it")
    golden.edit(record.folder / "attempts/001/result.json", lambda tree: tree["sealed"].update(mean=0.99))
    assert "attempts/001/result.json" in (golden.problem(record) or "")


@pytest.mark.parametrize("format", range(1, FORMAT + 1))
def test_its_report_is_written(format: int, tmp_path: Path) -> None:
    """Figures take seconds: of one kind of run."""
    record = golden.opened(f"format-{format}-scripted", tmp_path)
    page = write_report(record, None, None).read_text()
    assert record.spec.run_id in page
    assert ("root digest" in page) == (format >= SEALED)
    root = sealing.root(record.folder)
    assert root is None or root in page


def test_a_process_that_goes_on_with_it_writes_this_version_s_format(record: RunRecord) -> None:
    place = record.folder / "run.json"
    before = place.stat().st_mtime_ns
    record.settle_format()
    assert json.loads(place.read_text())["format"] == FORMAT
    assert place.stat().st_mtime_ns == before
    assert RunRecord.open_run(record.folder).spec == record.spec


def test_its_files_are_what_the_schemas_say(record: RunRecord) -> None:
    """The schemas are of the newest format; a program that reads them knows nothing of the types here."""
    if record.written_format() < FORMAT:
        pytest.skip("an older format")
    checked = set()
    for path, kind in walk(record.folder):
        if kind.name not in TYPES:
            continue
        found = TYPES[kind.name]
        validator = jsonschema_rs.validator_for(schema(found.slug))
        text = (record.folder / path).read_text()
        for part in text.splitlines() if found.form == "lines" else [text]:
            validator.validate(json.loads(part))
        checked.add(kind.name)
    assert len(checked) >= 12, checked


@pytest.mark.parametrize("slug", sorted({found.slug for found in TYPES.values()}))
def test_a_schema_is_one_and_names_its_format(slug: str) -> None:
    found = schema(slug)
    jsonschema_rs.meta.validate(found)
    assert found["$id"] == f"urn:curation-harness:record:{FORMAT}:{slug}"


@pytest.mark.parametrize("slug", ["run", "result", "event"])
def test_a_schema_takes_no_unknown_key(slug: str, tmp_path: Path) -> None:
    record = golden.opened(golden.NEWEST, tmp_path)
    name = {"run": "run.json", "result": "attempts/001/result.json", "event": "events.jsonl"}[slug]
    tree = json.loads(
        (record.folder / name).read_text().splitlines()[0] if slug == "event" else (record.folder / name).read_text()
    )
    validator = jsonschema_rs.validator_for(schema(slug))
    assert validator.is_valid(tree)
    assert not validator.is_valid({**tree, "invented": 1})


def test_every_format_has_a_step_to_the_next() -> None:
    assert sorted(STEPS) == list(range(1, FORMAT))
    assert upgraded({"format": 1, "run_id": "r"}, FORMAT) == {"format": FORMAT, "run_id": "r"}


def test_a_run_that_goes_on_is_not_sealed_any_more(tmp_path: Path) -> None:
    record = golden.opened(golden.NEWEST, tmp_path)
    sealing.unseal(record)
    assert sealing.root(record.folder) is None


def schema(slug: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"{slug}.schema.json").read_text())
    return found
