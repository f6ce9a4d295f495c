"""What models said is kept beside the items, belongs to them, and scores as it did."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from curation_harness.attempts import feedback
from curation_harness.attempts.headline import HeadlineRunner
from curation_harness.attempts.trial import TrialRunner
from curation_harness.record.models import AttemptSubmission
from curation_harness.record.predictions import check, checkable, require_predictions
from curation_harness.record.scheme import Scheme, item_files
from curation_harness.record.sums import HALVES
from curation_plugins import selection
from curation_plugins.config import FeedbackRules
from curation_plugins.errors import WorkerReplyInvalid
from curation_plugins.jobs import ItemResult
from curation_probe.task import ProbeTask
from made_records import made_scores, made_spec
from probe_bench import ProbeBench, quiet


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[ProbeBench, Path]:
    """The base model, scored by the probe's real worker."""
    bench, out = ProbeBench(tmp_path_factory.mktemp("probe"), ["assets.rows=20"]), tmp_path_factory.mktemp("out")
    with bench.open() as session:
        runner = TrialRunner(bench.task, bench.assets, session)
        for half in HALVES:
            runner.evaluate(None, half, out, quiet)
    return bench, out


def copied(scored: tuple[ProbeBench, Path], folder: Path) -> tuple[Path, Path]:
    """Copies of the public items and predictions."""
    items, said = (folder / name for name in item_files("public"))
    for file in (items, said):
        file.write_bytes((scored[1] / file.name).read_bytes())
    return items, said


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_both_halves_are_kept_and_score_the_same_again(scored: tuple[ProbeBench, Path]) -> None:
    bench, out = scored
    for half in HALVES:
        assert checkable(out, half, bench.task, bench.assets)
        assert check(out, half, bench.task, bench.assets) is None
        said = lines_of(out / item_files(half)[1])
        assert all(0 < line["answer"] < 1 and line["answer"] != 0.5 for line in said)


def test_attempts_and_headline_seeds_keep_them(open_loop: Callable[..., Any]) -> None:
    with open_loop("assets.rows=40", "submission.rows_max=20", "headline.seeds=1") as loop:
        n, chosen = 1, selection.of_rows(range(0, 40, 2))
        handed_in = AttemptSubmission(
            n=n, key="key-00001", digest=chosen.digest(), rows=20, note="", policy=(), accepted="now"
        )
        loop.record.write_submission(handed_in, chosen, {})
        loop.attempts.run(n)
        HeadlineRunner(loop.record, loop.trials, quiet).run()
        record, parts = loop.record, loop.parts
        told = record.result(n).feedback
        assert told.mean_of == "mean over 4 benchmarks"
        for folder in (record.attempt_folder(n), record.folder / "headline" / f"attempt-{n:03d}" / "seed-1"):
            for half in HALVES:
                assert checkable(folder, half, parts.task, parts.assets)
                assert check(folder, half, parts.task, parts.assets) is None


Change = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@pytest.mark.parametrize(
    ("which", "change", "says"),
    [
        (
            0,
            lambda x: [{**x[0], "score": 1 - x[0]["score"]}, *x[1:]],
            r"line 1: item plain-0 of plain: score is recorded",
        ),
        (0, lambda x: [*x[:-1], {**x[-1], "group": "another"}], r"group is recorded as 'another'"),
        (0, lambda x: x[:-1], "line 240: nothing, where more was predicted"),
        (0, lambda x: [*x, x[0]], "line 241: one more is scored than was predicted"),
        (0, lambda x: [{"benchmark": "plain"}, *x[1:]], "line 1: no item result"),
        (1, lambda x: [{**x[0], "answer": 1 - x[0]["answer"]}, *x[1:]], "line 1: item plain-0 of plain: "),
        (1, lambda x: x[1:], "not of the public items"),
        (1, lambda x: [{**x[0], "answer": "0.9"}, *x[1:]], "is no probability"),
        (1, lambda x: [{"answer": 1}, *x[1:]], "line 1: no prediction"),
    ],
    ids=["score", "group", "item-less", "item-more", "no-item", "answer", "said-less", "text", "no-answer"],
)
def test_the_first_that_does_not_fit_is_named(
    scored: tuple[ProbeBench, Path], tmp_path: Path, which: int, change: Change, says: str
) -> None:
    file = copied(scored, tmp_path)[which]
    write_lines(file, change(lines_of(file)))
    told = check(tmp_path, "public", scored[0].task, scored[0].assets)
    assert told is not None
    assert says in told


class Mute(ProbeTask):
    """Its evaluator's predictions cannot be scored again."""

    def rescore(self, *args: Any) -> None:  # type: ignore[override]
        return None


def test_what_is_not_kept_or_cannot_be_scored_again_is_not_checked(
    scored: tuple[ProbeBench, Path], tmp_path: Path
) -> None:
    bench = scored[0]
    _, said = copied(scored, tmp_path)
    mute = Mute(bench.task.config)
    assert not checkable(tmp_path, "public", mute, bench.assets)
    assert check(tmp_path, "public", mute, bench.assets) is None
    said.unlink()
    assert not checkable(tmp_path, "public", bench.task, bench.assets)
    assert check(tmp_path, "public", bench.task, bench.assets) is None


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ([("b", "1")], r"line 2: nothing, where item 2 of b was scored"),
        ([("b", "2"), ("b", "1")], r"line 1: item 2 of b, where item 1 of b was scored"),
        ([("b", "1"), ("b", "2"), ("b", "3")], r"line 3: item 3 of b, where no more was scored"),
    ],
    ids=["less", "order", "more"],
)
def test_predictions_of_other_items_than_were_scored_are_our_failure(
    tmp_path: Path, said: Sequence[tuple[str, str]], says: str
) -> None:
    items = [ItemResult(benchmark="b", item=name, group=name, score=1.0) for name in "12"]
    path = tmp_path / "predictions-public.jsonl"
    assert not require_predictions(path, items), "a task may keep none"
    write_lines(path, [{"benchmark": benchmark, "item": item, "answer": 1} for benchmark, item in said])
    with pytest.raises(WorkerReplyInvalid, match=says):
        require_predictions(path, items)


def test_a_link_is_no_file_of_predictions(tmp_path: Path) -> None:
    path = tmp_path / "predictions-public.jsonl"
    path.symlink_to("/etc/hostname")
    with pytest.raises(WorkerReplyInvalid, match="a link"):
        require_predictions(path, [])


def test_a_record_alone_says_how_items_became_scores() -> None:
    scheme = Scheme(("a", "b", "c"), frozenset({"b"}), frozenset({"c"}), frozenset({"a"}))
    spec = made_spec(scoring=scheme.kept(lambda names: f"mean over {len(names)}"))
    again = type(spec).model_validate_json(spec.model_dump_json())
    assert Scheme.of_record(again) == scheme
    assert again.scoring is not None
    assert again.scoring.mean_of == {"public": "mean over 2", "sealed": "mean over 3"}
    assert Scheme.of_record(made_spec(scoring=None)) is None


def test_feedback_says_which_mean_it_is() -> None:
    told = feedback.compose(
        1, made_scores(0.5, 1), [], None, FeedbackRules(), "mean over 12 of DataComp's 38 (partial)"
    )
    assert told.mean_of == "mean over 12 of DataComp's 38 (partial)"
