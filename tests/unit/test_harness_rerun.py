"""Two runs beside each other: the verdict of every stage, its measure, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curation_harness.errors import OptionInvalid, RunBusy
from curation_harness.provenance import READ_BYTES, folder_digest
from curation_harness.record.models import RunSpec
from curation_harness.record.store import RunRecord
from curation_harness.rerun import causes, commands, live, numbers
from curation_harness.rerun.stages import NOT_REPEATABLE, Rerun, Stage
from curation_harness.watcher import Watcher
from curation_sandbox import mounts
from made_records import DIGEST, HARDWARE, made_run, made_spec, write_attempt, write_refusal, write_score

EPSILON = 0.005


@pytest.fixture
def then(tmp_path: Path) -> RunRecord:
    return made_run(tmp_path / "then", "r", references=False)


@pytest.fixture
def now(tmp_path: Path) -> RunRecord:
    return made_run(tmp_path / "now", "r-live-1", references=False)


def judged(then: RunRecord, now: RunRecord, epsilon: float = EPSILON) -> Rerun:
    return live.compare(then, RunRecord.open_run(now.folder), epsilon)


def stage(made: Rerun, name: str) -> Stage:
    return next(stage for stage in made.stages if stage.name == name)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def others(made: Rerun) -> list[str]:
    return [stage.name for stage in made.stages if stage.verdict != "equal"]


def test_the_same_run_twice_is_equal_in_every_stage(then, now):
    made = judged(then, now)
    assert (made.verdict, others(made), made.causes) == ("equal", [], ())
    assert [one.name for one in made.stages][:4] == [
        "submission 1",
        "training 1",
        "scores 1 public",
        "scores 1 sealed",
    ]
    assert {one.kind for one in made.stages} == {"submission", "training", "scores", "refusals", "headline"}
    assert all(one.why == () for one in made.stages)


def test_other_bytes_of_a_model_that_scores_the_same_are_within_epsilon(then, now):
    edit(now.attempt_folder(1) / "result.json", model_digest="cd" * 32)
    made = judged(then, now)
    assert (made.verdict, others(made)) == ("within-epsilon", ["training 1"])
    assert stage(made, "training 1").why == (NOT_REPEATABLE,)


@pytest.mark.parametrize(("change", "verdict"), [(0.004, "within-epsilon"), (0.006, "differs")])
def test_a_mean_that_moved_is_judged_by_epsilon_and_measured(then, now, change, verdict):
    result = now.attempt_folder(1) / "result.json"
    public = json.loads(result.read_text())["public"]
    edit(result, public={**public, "mean": public["mean"] + change}, model_digest="cd" * 32, slot="cuda:0")
    items = now.attempt_folder(1) / "items-public.jsonl"
    items.write_text(items.read_text().replace('"score":1.0', '"score":0.0', 2))
    made = judged(then, now)
    found = stage(made, "scores 1 public")
    assert (found.verdict, found.measure, found.epsilon) == (verdict, "change of the mean", EPSILON)
    assert found.value == pytest.approx(change)
    assert "2 of 480 lines of items-public.jsonl differ" in found.detail
    assert found.why == ("training 1 is not equal",)
    assert stage(made, "training 1").why == ("hardware slot: cpu-0 then, cuda:0 now",)
    assert stage(made, "scores 2 public").verdict == "equal"


def test_one_item_that_came_out_otherwise_is_not_equal_though_the_mean_is(then, now):
    items = now.attempt_folder(2) / "items-sealed.jsonl"
    items.write_text(items.read_text().replace('"score":1.0', '"score":0.5', 1))
    assert others(judged(then, now)) == ["scores 2 sealed"]


def test_other_rows_are_measured_by_what_only_one_of_the_two_has(tmp_path):
    then, now = (RunRecord.create(tmp_path / name, made_spec("r"), None) for name in ("then", "now"))
    write_attempt(then, 1, rows=range(10))
    write_attempt(now, 1, rows=range(5, 15))
    for record in (then, now):
        write_score(record, 1, 0.5)
        record.events.append("ended", status="scored")
    made = judged(then, now)
    found = stage(made, "submission 1")
    assert (found.verdict, found.value) == ("differs", pytest.approx(10 / 15))
    assert found.detail == "rows differ, policy equal"
    assert others(made) == ["submission 1"]


def test_what_only_one_of_the_two_has_differs(then, now):
    write_attempt(now, 5)
    write_refusal(now, 2, "another")
    (now.folder / "headline.json").unlink()
    made = judged(then, now)
    assert others(made) == ["submission 5", "refusals", "headline"]
    assert stage(made, "submission 5").detail == "only now"
    assert stage(made, "headline").detail == "3 seeds then, none now"


def test_a_failure_of_ours_where_there_was_a_score_differs(then, now):
    edit(now.attempt_folder(1) / "result.json", status="failed", public=None, sealed=None, failure="WorkerCrashed")
    assert stage(judged(then, now), "scores 1").detail == "scored then, failed now"


def test_another_best_attempt_makes_another_headline(then, now):
    edit(now.folder / "headline.json", attempt=1)
    (now.folder / "headline" / "attempt-002").rename(now.folder / "headline" / "attempt-001")
    found = stage(judged(then, now), "headline")
    assert found.verdict == "differs"
    assert "attempt 1 is the best now, attempt 2 was" in found.detail


# -- causes ------------------------------------------------------------------------------------------

OTHER = "cd" * 32


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image": {"name": "base", "digest": f"sha256:{OTHER}", "labels": {}}}, "image base: abababababab then"),
        ({"runtime": "runsc"}, "runtime of the containers: none then, runsc now"),
        ({"pool_digest": OTHER, "assets_digest": OTHER}, "files pool: abababababab then, cdcdcdcdcdcd now"),
        ({"assets_digest": OTHER}, "files benchmarks and models: abababababab then, cdcdcdcdcdcd now"),
        (
            {"agent": {**made_spec().agent.model_dump(), "agent_dir_digest": OTHER}},
            "agent its folder: abababababab then, cdcdcdcdcdcd now",
        ),
        ({"recipe_digest": OTHER}, "recipe made-tiny: abababababab then"),
        ({"packages": {"numpy": "1.26", "torch": "2.7"}}, "package torch: 2.6 then, 2.7 now"),
        ({"packages": {"torch": "2.6"}}, "package numpy: 1.26 then, absent now"),
        ({"package_digests": {"torch": OTHER}}, "package torch: 2.6 (abababababab) then, 2.6 (cdcdcdcdcdcd) now"),
        ({"hardware": HARDWARE.model_copy(update={"gpus": ("H",)})}, "hardware gpus: none then, H now"),
        (
            {"seeds": {"run": 7, "agent": 11, "attempt": 14, "headline": [17, 19, 23]}},
            "seed attempts: 13 then, 14 now",
        ),
        ({"code": {"version": "0.1.0", "revision": OTHER, "dirty": True}}, "code curation-harness: 0.1.0 c0ffee"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_what_changed_is_named_with_then_and_now(changes, told):
    then = made_spec(package_digests={"torch": DIGEST})
    then = then.model_copy(update={"agent": then.agent.model_copy(update={"agent_dir_digest": DIGEST})})
    now = RunSpec.model_validate({**then.model_dump(), **changes})
    assert causes.between(then, then) == ()
    (found,) = causes.between(then, now)
    assert str(found).startswith(told)


def test_a_stage_names_only_what_it_rests_on(then, now):
    edit(
        now.folder / "run.json",
        packages={"numpy": "1.26", "torch": "2.7"},
        image={"name": "base", "digest": f"sha256:{OTHER}", "labels": {}},
    )
    edit(now.attempt_folder(1) / "result.json", model_digest=OTHER)
    edit(now.attempt_folder(1) / "submission.json", digest=OTHER)
    made = judged(then, now)
    assert stage(made, "submission 1").why == ("image base: abababababab then, cdcdcdcdcdcd now",)
    assert stage(made, "training 1").why == ("submission 1 is not equal", "package torch: 2.6 then, 2.7 now")


# -- bad input ---------------------------------------------------------------------------------------


def test_a_run_that_somebody_works_on_is_not_launched_again(then, registry):
    with then.lock(), pytest.raises(RunBusy):
        commands.again_live(then, registry, then.folder, EPSILON, Watcher())


def test_a_model_whose_digest_was_not_noted_is_judged_by_what_it_scores(then, now):
    edit(then.attempt_folder(1) / "result.json", model_digest=None)
    assert judged(then, now).verdict == "equal"


def test_a_folder_is_another_one_when_a_file_a_name_or_a_link_is(tmp_path):
    folder = tmp_path / "agent"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "run.py").write_text("1")
    (folder / "link").symlink_to("below")
    digests = [folder_digest(folder)]
    (folder / "below" / "run.py").write_text("2")
    digests.append(folder_digest(folder))
    (folder / "below" / "run.py").rename(folder / "run.py")
    digests.append(folder_digest(folder))
    (folder / "link").unlink()
    (folder / "link").symlink_to("/etc")
    digests.append(folder_digest(folder))
    assert None not in digests
    assert len(set(digests)) == 4
    with (folder / "large").open("wb") as large:
        large.truncate(READ_BYTES + 1)
    assert folder_digest(folder) is None


def test_a_run_is_not_compared_with_itself(then):
    with pytest.raises(OptionInvalid, match="is run r itself"):
        commands.against(then, RunRecord.open_run(then.folder), EPSILON, Watcher())
    assert not (then.folder / "reruns").exists()


def test_a_run_that_has_not_ended_is_not_compared(then, tmp_path):
    unfinished = RunRecord.create(tmp_path / "now", made_spec("r-live-1"), None)
    with pytest.raises(OptionInvalid, match="r-live-1 has not ended") as refused:
        live.compare(then, unfinished, EPSILON)
    assert "--against r-live-1" in (refused.value.hint or "")


@pytest.mark.parametrize("what", ["seed", "scaffold", "agent", "task"])
def test_a_run_of_another_spec_is_refused_by_name(what):
    then = made_spec("r")
    changes = {
        "seed": {"seeds": then.seeds.model_copy(update={"run": 8})},
        "scaffold": {"scaffold": then.scaffold.model_copy(update={"name": "guide"})},
        "agent": {"agent": then.agent.model_copy(update={"name": "codex"})},
        "task": {"task": then.task.model_copy(update={"title": "another"})},
    }
    live.require_same_spec(then, made_spec("r-live-1"))
    with pytest.raises(OptionInvalid, match=f"r-live-1 is no rerun of r: its {what}"):
        live.require_same_spec(then, made_spec("r-live-1", **changes[what]))


def test_reruns_of_all_kinds_are_numbered_together(then):
    first = numbers.new_folder(then, "replay")
    first.with_suffix(".json").write_text("{}")
    second = numbers.new_folder(then, "live")
    second.with_suffix(".json").write_text("{}")
    numbers.withdraw(second)
    third = numbers.new_folder(then, "submissions")
    assert [folder.name for folder in (first, second, third)] == ["001-replay", "002-live", "003-submissions"]


def test_a_killed_rerun_s_folder_goes_with_the_next_one(then):
    killed, ended = numbers.new_folder(then, "replay"), then.folder / "reruns/002-submissions"
    (killed / "r/volumes/workspace").mkdir(parents=True)
    ended.mkdir()
    ended.with_suffix(".json").write_text("{}")
    following = numbers.new_folder(then, "submissions")
    assert not killed.exists()
    assert ended.is_dir()
    assert following.name == "001-submissions"


def test_a_killed_rerun_s_folder_stays_while_it_is_mounted(then, monkeypatch):
    killed = numbers.new_folder(then, "replay")
    volume = killed / "r/volumes/workspace"
    volume.mkdir(parents=True)
    point = mounts.MountPoint(volume.resolve(), frozenset(), "ext4", "/dev/loop0")
    monkeypatch.setattr(mounts, "mounted", lambda: iter([point]))
    assert numbers.new_folder(then, "replay").name == "002-replay"
    assert volume.is_dir()
