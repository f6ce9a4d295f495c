"""What `harness verify` holds against what: a record that was changed by somebody who knows how it is sealed, too."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import golden_records as golden
from curation_harness.errors import RunBusy
from curation_harness.record import sealing
from curation_harness.record.store import RunRecord
from curation_harness.verification.outcome import holds
from curation_harness.verification.scoring import Here
from curation_harness.verification.verify import verify, what_is_here
from curation_plugins import assets as task_assets
from curation_plugins.registry import Registry
from curation_plugins.selection import of_rows
from golden_records import edit, edit_events, edit_line

Change = Callable[[RunRecord], None]


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    return golden.opened(golden.NEWEST, tmp_path)


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory, registry: Registry, cache: Path) -> Here:
    """The task and its files."""
    record = golden.opened(golden.NEWEST, tmp_path_factory.mktemp("here"))
    task = registry.tasks.get("probe").with_config(record.spec.task)
    task_assets.ensure(cache, task, lambda what, done: None)
    found = what_is_here(record, registry, cache)
    assert found.assets is not None, found.why
    return found


def event_at(events: list[dict[str, Any]], kind: str) -> int:
    return next(place for place, event in enumerate(events) if event["kind"] == kind)


# -- changes and what is named ---------------------------------------------------------------------


def score_raised(record: RunRecord) -> None:
    """The result and its event agree; the items do not."""

    def change(tree: Any) -> None:
        tree["public"]["mean"] += 0.01

    edit(record.folder / "attempts/001/result.json", change)

    def told(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        events[event_at(events, "attempt-scored")]["data"]["mean"] += 0.01
        return events

    edit_events(record, told)


def sealed_score_raised(record: RunRecord) -> None:
    edit(record.folder / "attempts/001/result.json", lambda tree: tree["sealed"].update(mean=0.99))


def error_made_small(record: RunRecord) -> None:
    edit(record.folder / "attempts/001/result.json", lambda tree: tree["public"].update(stderr=0.001))


def event_score_raised(record: RunRecord) -> None:
    def change(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        events[event_at(events, "attempt-scored")]["data"]["mean"] = 0.1
        return events

    edit_events(record, change)


def item_made_right(record: RunRecord) -> None:
    path = record.folder / "attempts/001/items-sealed.jsonl"
    wrong = next(n for n, line in enumerate(path.read_text().splitlines()) if json.loads(line)["score"] == 0.0)
    edit_line(path, wrong, lambda item: item.update(score=1.0))


def item_dropped(record: RunRecord) -> None:
    path = record.folder / "attempts/001/items-public.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def headline_raised(record: RunRecord) -> None:
    edit(record.folder / "headline.json", lambda tree: tree["sealed"].update(mean=0.99))


def headline_seed_raised(record: RunRecord) -> None:
    edit(record.folder / "headline/attempt-001/seed-1/scores.json", lambda tree: tree["sealed"].update(mean=0.99))


def headline_items_changed(record: RunRecord) -> None:
    path = record.folder / "headline/attempt-001/seed-2/items-sealed.jsonl"
    edit_line(path, 0, lambda item: item.update(score=1.0 - item["score"]))


def headline_of_another_attempt(record: RunRecord) -> None:
    edit(record.folder / "headline.json", lambda tree: tree.update(attempt=2))


def headline_gone(record: RunRecord) -> None:
    (record.folder / "headline.json").unlink()


def headline_seed_chosen(record: RunRecord) -> None:
    """The best of many seeds, say."""
    path = record.folder / "run.json"
    edit(path, lambda tree: tree["seeds"].update(headline=[1, 2]))

    def change(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        events[0]["data"] = {}
        return events

    edit_events(record, change)


def rows_changed(record: RunRecord) -> None:
    (record.folder / "attempts/001/selection.jsonl").write_bytes(of_rows(range(5)).canonical())


def rows_and_digest_changed(record: RunRecord) -> None:
    chosen = of_rows(range(1, 41))
    (record.folder / "attempts/001/selection.jsonl").write_bytes(chosen.canonical())
    edit(record.folder / "attempts/001/submission.json", lambda tree: tree.update(digest=chosen.digest()))


def row_count_changed(record: RunRecord) -> None:
    edit(record.folder / "attempts/001/submission.json", lambda tree: tree.update(rows=39))


def policy_changed(record: RunRecord) -> None:
    (record.folder / "attempts/002/policy/policy.py").write_text("print(1)\n")


def submission_removed(record: RunRecord) -> None:
    shutil.rmtree(record.folder / "attempts/002")


def refusal_removed(record: RunRecord) -> None:
    shutil.rmtree(record.folder / "refusals/001")
    (record.folder / "refusals/001.json").unlink()


def refusal_reworded(record: RunRecord) -> None:
    edit(record.folder / "refusals/001.json", lambda tree: tree["problems"][0].update(code="empty"))


def upload_changed(record: RunRecord) -> None:
    blob = next((record.folder / "blobs/blobs").iterdir())
    blob.write_bytes(b"other")


def body_changed(record: RunRecord) -> None:
    bodies = sorted((record.folder / "model/bodies").glob("*/*.zst"))
    bodies[0].write_bytes(bodies[1].read_bytes())


def exchange_made_cheap(record: RunRecord) -> None:
    edit_line(record.folder / "model/exchanges.jsonl", 0, lambda line: line["usage"].update(input=1))


def exchange_removed(record: RunRecord) -> None:
    path = record.folder / "model/exchanges.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def call_made_cheap(record: RunRecord) -> None:
    def change(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        events[event_at(events, "model-call")]["data"]["tokens"] = 1
        return events

    edit_events(record, change)


def call_removed(record: RunRecord) -> None:
    def change(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        del events[event_at(events, "model-call")]
        return events

    edit_events(record, change)


def refund_invented(record: RunRecord) -> None:
    """An attempt that was scored is turned into a failure of ours, with its iteration given back."""

    def change(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        place = event_at(events, "attempt-scored")
        events[place]["kind"] = "attempt-failed"
        events[place]["data"] = {"n": 1, "failure": "WorkerCrashed", "refunded": True}
        events[event_at(events, "headline-started")]["data"]["attempt"] = 2
        return events

    edit_events(record, change)


def more_iterations_than_there_were(record: RunRecord) -> None:
    edit(record.folder / "run.json", lambda tree: tree["task"]["budgets"].update(iterations=1))

    def change(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        events[0]["data"] = {}
        return events

    edit_events(record, change)


def events_swapped(record: RunRecord) -> None:
    def change(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        place = event_at(events, "accepted")
        start = event_at(events, "attempt-started")
        events[place], events[start] = events[start], events[place]
        return events

    edit_events(record, change)


def attempt_start_removed(record: RunRecord) -> None:
    edit_events(record, lambda events: [event for event in events if event["kind"] != "attempt-started"])


def headline_seeds_removed(record: RunRecord) -> None:
    edit_events(record, lambda events: [event for event in events if event["kind"] != "headline-seed"])


def event_of_another_shape(record: RunRecord) -> None:
    def change(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        events[event_at(events, "clock")]["data"]["agent_seconds"] = -5.0
        return events

    edit_events(record, change)


def image_renamed(record: RunRecord) -> None:
    edit(record.folder / "run.json", lambda tree: tree["image"].update(digest="sha256:" + "0" * 64))


def prompt_changed(record: RunRecord) -> None:
    (record.folder / "prompt.md").write_text("Something else.")


def model_changed(record: RunRecord) -> None:
    edit(record.folder / "attempts/001/model/model.json", lambda weights: weights.append(0.0))


def feedback_changed(record: RunRecord) -> None:
    edit(record.folder / "attempts/002/result.json", lambda tree: tree["feedback"].update(best_so_far=0.9))


def seed_changed(record: RunRecord) -> None:
    edit(record.folder / "attempts/002/result.json", lambda tree: tree.update(seed=99))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (score_raised, r"attempts/001/result\.json: mean is recorded as .* comes of the items"),
        (sealed_score_raised, r"attempts/001/result\.json: mean is recorded as 0\.99"),
        (error_made_small, r"attempts/001/result\.json: stderr is recorded as 0\.001"),
        (event_score_raised, r"events\.jsonl, line \d+|attempts/001/result\.json: events\.jsonl says"),
        (item_made_right, r"attempts/001/result\.json: mean is recorded"),
        (item_dropped, r"attempts/001"),
        (headline_raised, r"headline\.json: sealed\.mean is recorded as 0\.99"),
        (headline_seed_raised, r"headline\.json: sealed\.mean is recorded as .*seed-1/scores\.json"),
        (headline_items_changed, r"seed-2/scores\.json, sealed: .* comes of the items"),
        (headline_of_another_attempt, r"headline\.json: it is of attempt 2"),
        (headline_gone, r"headline\.json: it is missing"),
        (headline_seed_chosen, r"seed \d+ of the headline is not the one of run\.json"),
        (rows_changed, r"attempts/001/selection\.jsonl is not the file that was submitted"),
        (rows_and_digest_changed, r"attempts/001/submission\.json: events\.jsonl says that another selection"),
        (row_count_changed, r"attempts/001/submission\.json: 39 rows are recorded"),
        (policy_changed, r"attempts/002/policy/policy\.py is not the file that was submitted"),
        (submission_removed, r"attempts/002: it is missing"),
        (refusal_removed, r"refusals/001\.json: it is missing"),
        (refusal_reworded, r"refusals/001\.json: events\.jsonl gives other reasons"),
        (upload_changed, r"blobs/blobs/[0-9a-f]+: it does not hold what its name says"),
        (body_changed, r"model/bodies/.* does not hold what its name says"),
        (exchange_made_cheap, r"events\.jsonl, line \d+: tokens of request 1 is"),
        (exchange_removed, r"request 1 is not in model/exchanges\.jsonl"),
        (call_made_cheap, r"tokens of request 1 is 1"),
        (call_removed, r"model/exchanges\.jsonl: request 1 was sent, and no event counts it"),
        (refund_invented, r"attempts/001/result\.json: it is scored"),
        (more_iterations_than_there_were, r"2 iterations were spent of 1"),
        (events_swapped, r"events\.jsonl, line \d+: `attempt-started` cannot come here: attempt 1 was not accepted"),
        (attempt_start_removed, r"`attempt-scored` cannot come here: attempt 1 was not started"),
        (headline_seeds_removed, r"events\.jsonl: 0 seeds of the headline were trained"),
        (event_of_another_shape, r"events\.jsonl, line \d+ \(clock\): agent_seconds"),
        (image_renamed, r"run\.json: image is another one than when the run began"),
        (prompt_changed, r"prompt\.md: it is not what run\.json says"),
        (model_changed, r"attempts/001/model: it is not the model that was scored"),
        (feedback_changed, r"attempts/002/result\.json, feedback: best_so_far is recorded as 0\.9"),
        (seed_changed, r"attempts/002/result\.json: seed 99"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "named",
)
def test_what_was_changed_and_sealed_again_is_named(record: RunRecord, change: Change, named: str) -> None:
    change(record)
    golden.resealed(record)
    told = golden.problem(record)
    assert told is not None
    assert re.search(named, told), told


def test_predictions_that_say_something_else_than_the_items_are_named(record: RunRecord, here: Here) -> None:
    """Result, items and predictions: one cannot be changed without the others, where the task's files are."""
    assert golden.problem(record, here=here) is None

    def change(line: Any) -> None:
        line["answer"] = _other(line["answer"])

    edit_line(record.folder / "attempts/001/predictions-public.jsonl", 0, change)
    golden.resealed(record)
    assert golden.problem(record) is None  # nothing here can score them
    assert "attempts/001" in (golden.problem(record, here=here) or "")


def _other(answer: Any) -> Any:
    if isinstance(answer, bool):
        return not answer
    if isinstance(answer, int | float):
        return 1 - answer
    raise AssertionError(f"the test knows no other answer than {answer!r}")


def test_a_record_rewritten_as_a_whole_is_another_one_by_its_root_digest(record: RunRecord) -> None:
    """What nothing else in the record speaks of: a note, the agent's log. Everything fits, and it is not that run."""
    root = sealing.root(record.folder)
    assert root is not None
    assert golden.problem(record, root) is None
    edit(record.folder / "attempts/001/submission.json", lambda tree: tree.update(note="better reasons"))
    golden.resealed(record)
    assert golden.problem(record) is None
    assert "the root digest is" in (golden.problem(record, root) or "")


def test_a_seal_that_was_taken_off_an_ended_run_is_missed(record: RunRecord) -> None:
    root = sealing.root(record.folder)
    (record.folder / "manifest.sha256").unlink()
    assert "manifest.sha256 is missing; the run has ended" in (golden.problem(record) or "")
    assert "not sealed" in (golden.problem(record, root) or "")


def test_an_older_format_in_run_json_does_not_make_the_seal_unneeded(record: RunRecord) -> None:
    edit(record.folder / "run.json", lambda tree: tree.update(format=1))
    assert "run.json" in (golden.problem(record) or "")


def test_where_nothing_was_scored_no_item_result_is_left_unchecked(tmp_path: Path) -> None:
    spec = golden.opened("format-2-baseline", tmp_path / "golden").spec
    found = verify(RunRecord.create(tmp_path / "runs", spec, None), golden.NOTHING_HERE)
    assert found.problem is None
    assert found.checks[-1] == holds("item results", "0 halves: nothing was scored")


def test_a_run_that_is_worked_on_is_not_verified(record: RunRecord) -> None:
    with record.lock(), pytest.raises(RunBusy):
        golden.problem(RunRecord.open_run(record.folder))


def test_verifying_writes_nothing(record: RunRecord, here: Here) -> None:
    before = {path: path.stat().st_mtime_ns for path in record.folder.rglob("*")}
    assert verify(RunRecord.open_run(record.folder), here).problem is None
    assert {path: path.stat().st_mtime_ns for path in record.folder.rglob("*")} == before
