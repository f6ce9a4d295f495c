"""What lets a run go on, or not: who works on it, what it began with, what a killed process had counted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from curation_harness import launch, recorded
from curation_harness.attempts.checkpoints import NAME, KeptModels
from curation_harness.attempts.clock import PULSE, AgentClock, Pulse
from curation_harness.changes import differences, require_same
from curation_harness.desk.signals import SignalDesk
from curation_harness.errors import OptionInvalid, RecordInvalid, RunBusy
from curation_harness.record import sealing
from curation_harness.record.models import AttemptResult
from curation_harness.record.state import ledger
from curation_harness.record.store import RunRecord
from curation_harness.run.recovery import clear_scratch
from curation_harness.watcher import Watcher
from curation_plugins import assets as task_assets
from made_attempts import accept


def task_of(record, registry):
    return registry.tasks.get(record.spec.task.name).with_config(record.spec.task)


def edit(record: RunRecord, **changes: object) -> RunRecord:
    """The record, opened again after run.json was edited by hand; a dotted name reaches inside."""
    path = record.folder / "run.json"
    tree = json.loads(path.read_text())
    for name, value in changes.items():
        *parents, last = name.split("__")
        place = tree
        for parent in parents:
            place = place[parent]
        place[last] = value
    path.write_text(json.dumps(tree))
    return RunRecord.open_run(record.folder)


# -- what it began with ----------------------------------------------------------------------------------


def test_a_run_that_nothing_happened_to_may_go_on(open_loop, registry):
    with open_loop() as loop:
        require_same(loop.record, registry, task_of(loop.record, registry))
        assert differences(loop.record.spec, loop.parts.task, loop.parts.assets) == []


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"seeds__attempt": 7}, ["seeds", "seed 0"]),
        ({"seeds__run": 7}, ["seeds", "seed 7"]),
        ({"task__budgets__iterations": 99}, ["(task)"]),
        ({"scaffold__name": "guide"}, ["(scaffold)"]),
        ({"task_provider__version": "0.0.9"}, ["(task_provider)", "task probe is of", "0.0.9"]),
        ({"agent__agent_arg": "another"}, ["(agent)"]),
    ],
    ids=["attempts-seed", "seed", "task", "scaffold", "plugin", "agent"],
)
def test_a_run_json_that_was_edited_is_refused_by_the_fields_name(open_loop, registry, changes, names):
    with open_loop() as loop:
        record = edit(loop.record, **changes)
        with pytest.raises(RecordInvalid) as refused:
            require_same(record, registry, task_of(loop.record, registry))
        for name in names:
            assert name in refused.value.message


def test_a_task_that_trains_in_another_way_now_is_refused_by_name(open_loop, registry):
    with open_loop() as loop:
        task = task_of(loop.record, registry)
        recipe = task.config.recipe | {"lr": 0.1}
        changed = task.with_config(task.config.model_copy(update={"recipe": recipe}))
        with pytest.raises(RecordInvalid, match="task probe trains or scores in another way"):
            require_same(loop.record, registry, changed)


def test_attempts_that_were_trained_with_another_seed_are_refused(open_loop, registry):
    with open_loop() as loop:
        accept(loop.record, 1, range(5))
        loop.record.write_result(AttemptResult(n=1, status="failed", seed=12345))
        with pytest.raises(RecordInvalid, match="attempt 1 was trained with another"):
            require_same(loop.record, registry, task_of(loop.record, registry))


def test_another_scaffold_is_refused_by_name(open_loop, registry, cache):
    with open_loop() as loop:
        spec = loop.record.spec
        other = spec.scaffold.model_copy(update={"digest": "0" * 64})
        with pytest.raises(Exception, match="scaffold open is another one here"):
            recorded.plan_of(
                spec.model_copy(update={"scaffold": other}), registry, task_of(loop.record, registry), Path()
            )


def test_what_may_move_a_score_is_told_when_a_run_goes_on(open_loop):
    with open_loop() as loop:
        spec = loop.record.spec
        packages = {**spec.packages, "numpy": "0.1"}
        code = spec.code.model_copy(update={"revision": "0" * 40, "dirty": True})
        other = spec.model_copy(update={"packages": packages, "code": code})
        told = "\n".join(differences(other, loop.parts.task, loop.parts.assets))
        assert "numpy" in told
        assert "0.1" in told
        assert "0" * 12 in told
        loop.recover()
        assert loop.record.events.of("resumed")[0].data == {"changed": []}


# -- who works on it -------------------------------------------------------------------------------------


def test_a_second_process_is_refused(open_loop, registry, cache):
    with open_loop() as loop:
        for go_on in (launch.resume, launch.finish):
            with pytest.raises(RunBusy, match="another process works on run probe-run"):
                go_on(RunRecord.open_run(loop.record.folder), registry, cache, Watcher())


def test_a_process_that_comes_after_another_has_gone_on_meanwhile_is_refused(open_loop, registry, cache, monkeypatch):
    """Both saw an interrupted run; the other was faster, and is through with it."""
    monkeypatch.setattr(launch, "remove_leftovers", lambda cache: None)
    with open_loop() as loop:
        record = RunRecord.open_run(loop.record.folder)
    task, assets = recorded.task_of(record, registry, cache, Watcher())
    other = RunRecord.open_run(record.folder)
    assert launch.finish(other, registry, cache, Watcher()).status == "empty"
    with pytest.raises(RunBusy, match="meanwhile"):
        launch._drive(record, task, registry, assets, cache, Watcher(), None, resumed=True)
    assert [event.kind for event in RunRecord.open_run(record.folder).events.of("resumed")] == ["resumed"]


@pytest.mark.parametrize("go_on", [launch.resume, launch.finish], ids=["resume", "finish"])
def test_an_interrupted_run_that_was_changed_since_is_not_gone_on_with(open_loop, registry, cache, go_on):
    """Its next seal would cover the change."""
    with open_loop() as loop:
        record = loop.record
    (record.folder / "agent.log").write_text("what the agent said")
    root = sealing.seal(record)
    (record.folder / "agent.log").write_text("what the agent paid")
    with pytest.raises(RecordInvalid, match=r"agent\.log is not what it was"):
        go_on(RunRecord.open_run(record.folder), registry, cache, Watcher())
    assert sealing.root(record.folder) == root


def test_a_run_that_has_ended_is_not_gone_on_with(open_loop, registry, cache, monkeypatch):
    monkeypatch.setattr(launch, "remove_leftovers", lambda cache: None)
    with open_loop() as loop:
        record = RunRecord.open_run(loop.record.folder)
    launch.finish(record, registry, cache, Watcher())
    with pytest.raises(OptionInvalid, match="is empty; there is nothing to go on with"):
        launch.resume(RunRecord.open_run(record.folder), registry, cache, Watcher())


# -- what a killed process had counted -------------------------------------------------------------------


class Clocked:
    """Seconds as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("curation_harness.attempts.clock.time", SimpleNamespace(monotonic=lambda: self.now))


def test_the_clock_forgets_at_most_half_a_second_when_its_process_is_killed(open_loop, monkeypatch):
    with open_loop() as loop:
        record = loop.record
        time = Clocked(monkeypatch)
        loop.clock.start()
        for _ in range(200):
            time.now += 0.1
            loop.clock.tick()
        assert record.events.of("clock") == ()  # nothing is in the log yet
        noted = Pulse(record.folder).unlogged(0)
        assert 19.4 < noted <= 20.0
        loop.clock._agent_alive = False  # the kill: nothing is written any more
        loop.clock._since = None
        (record.folder / "kept").write_bytes((record.folder / PULSE).read_bytes())
    (record.folder / "kept").rename(record.folder / PULSE)
    with open_loop(record=RunRecord.open_run(record.folder)) as again:
        assert ledger(again.record).agent_seconds == pytest.approx(noted)
        assert again.clock.spent() == pytest.approx(noted)
    with open_loop(record=RunRecord.open_run(record.folder)) as once_more:  # charged once
        assert ledger(once_more.record).agent_seconds == pytest.approx(noted)
    assert not (record.folder / PULSE).exists()


def test_a_note_from_before_the_last_entry_counts_for_nothing(tmp_path):
    pulse = Pulse(tmp_path)
    pulse.beat(3, 12.5)
    assert (pulse.unlogged(3), pulse.unlogged(4)) == (12.5, 0.0)
    (tmp_path / PULSE).write_text("half a no")
    assert pulse.unlogged(3) == 0.0


def test_the_clock_is_noted_often_and_logged_seldom(monkeypatch):
    time, logged, beats = Clocked(monkeypatch), [], []
    clock = AgentClock(0.0, logged.append, beats.append)
    clock.start()
    for _ in range(605):
        time.now += 0.1
        clock.tick()
    assert len(logged) == 1
    assert 100 < len(beats) <= 121


def signal_desk(loop, cache: Path) -> SignalDesk:
    parts = loop.parts
    return SignalDesk(
        record=loop.record,
        task=parts.task,
        assets=parts.assets,
        session=loop.session,
        work=loop.work,
        cache=cache,
        progress=lambda what, done: None,
    )


def test_a_shard_that_was_charged_and_lost_is_measured_again_and_not_charged_again(open_loop, tmp_path):
    """A kill between the charge and the file that keeps what was measured."""
    with open_loop() as loop:
        rows = tmp_path / "rows.txt"
        rows.write_text("".join(f"{row}\n" for row in range(10)))
        for cache in ("one", "lost"):
            desk = signal_desk(loop, tmp_path / cache)
            view = desk.request("residual", rows, None)
            loop.work_through()
            assert desk.view(view.id).state == "ready"
        charged = [event for event in loop.record.events.of("signal") if not event.data["cached"]]
        assert len(charged) == 1


def test_a_model_whose_removal_was_told_is_removed_without_being_told_again(open_loop):
    with open_loop() as loop:
        for n, rows in ((1, range(5)), (2, range(5, 60))):
            accept(loop.record, n, rows)
            loop.recover()
            loop.work_off()
            loop.work_through()
        (removed,) = loop.record.events.of("checkpoint-removed")
        gone = removed.data["n"]
        left = loop.record.attempt_folder(gone) / NAME
        left.mkdir()  # half of it: the process was killed while it removed it
        (left / "part").write_bytes(bytes(10))
        KeptModels(loop.record).settle()
        assert not left.exists()
        assert loop.record.events.of("checkpoint-removed") == (removed,)


def test_scratch_is_removed_and_nothing_else(open_loop):
    with open_loop() as loop:
        folder = loop.record.folder
        accept(loop.record, 1, range(5))
        scratch = (
            "attempts/.002.tmp/policy/x.py",
            "attempts/001/.trial-x/model",
            "attempts/001/.result.json.tmp",
            "headline/attempt-001/seed-1/.evaluate-x/items",
            "policies/x/policy.py",
            "refusals/.003.tmp/x",
            "refusals/002/policy/x.py",  # its reasons were not yet written
            ".headline.json.tmp",
        )
        kept = (
            "attempts/001/policy/.hidden.py",
            "attempts/001/.kept-7/state",
            "volumes/home/.profile",
            "native/turn-001/.claude/log.jsonl",
            "headline/attempt-001/seed-1/items-public.jsonl",
        )
        for name in (*scratch, *kept):
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        clear_scratch(loop.record)
        assert [name for name in scratch if os.path.lexists(folder / name)] == []
        assert [name for name in kept if not (folder / name).exists()] == []


def test_assets_are_still_there(cache, registry):
    """The fixtures above share them: a run that was refused has not touched them."""
    assert task_assets.folder(cache, registry.tasks.get("probe")).is_dir()
