"""References and noise: measured on real workers, resumed, imported with their origin, compared with a run."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import made_records as made
from cli_bench import Cli, make_cli
from curation_harness.attempts.headline import HeadlineRunner
from curation_harness.attempts.trial import TrialRunner
from curation_harness.errors import ReferencesInvalid
from curation_harness.launch import measure_noise, measure_references
from curation_harness.measure import references as tables
from curation_harness.measure.noise import NoiseRunner, combine, spread
from curation_harness.record.models import AttemptSubmission, Origin, ReferenceTable
from curation_harness.record.scheme import Scheme
from curation_harness.record.scores import aggregate
from curation_harness.record.sums import unpack, whole
from curation_harness.watcher import Watcher
from curation_plugins import assets as task_assets
from curation_plugins import references as selections
from curation_plugins import selection
from curation_plugins.api import Progress, Task
from curation_plugins.errors import WorkFailed
from curation_plugins.jobs import Split
from curation_plugins.registry import Registry

ARMS = {"base": 1, "random": 3, "random-fixed": 2, "full": 1}


def quiet(what: str, done: float) -> None:
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def task(registry: Registry) -> Task:
    probe = registry.tasks.get("probe")
    return probe.with_config(probe.config.model_copy(update={"references": ARMS}))


@pytest.fixture(scope="module")
def measured(registry: Registry, task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which references and noise were measured."""
    cache = tmp_path_factory.mktemp("measured")
    measure_references(task, registry, "local", cache, Watcher())
    measure_noise(task, registry, "local", cache, Watcher(), seeds=4, evaluations=2)
    return cache


@pytest.fixture
def copied(measured: Path, tmp_path: Path) -> Path:
    return shutil.copytree(measured, tmp_path / "copied", symlinks=True)


def folder_of(cache: Path, task: Task) -> Path:
    return tables.folder(cache, task, assets_of(cache, task))


def assets_of(cache: Path, task: Task) -> Path:
    return task_assets.ensure(cache, task, quiet)


def found_in(cache: Path, task: Task) -> ReferenceTable:
    table = tables.find(cache, task, assets_of(cache, task))
    assert table is not None
    return table


# -- measuring -------------------------------------------------------------------------------------


def test_all_items_are_both_halves_items_and_not_the_mean_of_the_halves(measured: Path, task: Task) -> None:
    table = found_in(measured, task)
    assert table.sums is not None
    tallies = unpack(table.sums)
    for arm in table.arms:
        for seed, halves in zip(arm.seeds, tallies[arm.name], strict=True):
            both = whole(halves)
            for name, score in seed.all_items.by_benchmark.items():
                assert both.score(name) == pytest.approx(score.mean)
                assert score.n == seed.public.by_benchmark[name].n + seed.sealed.by_benchmark[name].n
            mean = sum(both.score(name) or 0 for name in both.cells) / len(both.cells)
            assert seed.all_items.mean == pytest.approx(mean)


def test_noise_extends_the_fixed_reference_and_stands_in_the_table(measured: Path, task: Task) -> None:
    table = found_in(measured, task)
    assert table.noise is not None
    fixed = table.arm("random-fixed")
    assert fixed is not None
    assert [seed.all_items.mean for seed in fixed.seeds] == list(table.noise.train["all"].values)
    assert len(fixed.seeds) == 4
    assert table.noise.train["all"].sd > 0
    assert table.noise.evaluate["all"].sd == table.noise.flipped == table.noise.reworded == 0.0
    assert not (folder_of(measured, task) / "noise" / "model").exists()


def test_what_was_measured_is_not_measured_again(copied: Path, task: Task, registry: Registry) -> None:
    told: list[str] = []

    class Listening(Watcher):
        def progress(self, what: str, done: float) -> None:
            told.append(what)

    before = found_in(copied, task)
    shutil.rmtree(folder_of(copied, task) / "random-1")
    again = measure_references(task, registry, "local", copied, Listening())
    seeds = {what.rpartition(":")[0] for what in told if "seed" in what}
    assert seeds == {"3 of 7: random, seed 2 of 3"}
    assert again.arms == before.arms
    assert again.sums == before.sums


def test_references_are_measured_side_by_side_on_several_slots(
    copied: Path, task: Task, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()

    class Listening(Watcher):
        def progress(self, what: str, done: float) -> None:
            if "seed" in what:
                threads.add(threading.current_thread().name)

    before = found_in(copied, task)
    shutil.rmtree(folder_of(copied, task))
    monkeypatch.setenv("CURATION_SLOTS", "cpu-0,cpu-1,cpu-2")
    again = measure_references(task, registry, "local", copied, Listening())
    assert len(threads) == 3
    wanted = {arm.name: arm.seeds[: ARMS[arm.name]] for arm in before.arms}
    assert {arm.name: arm.seeds for arm in again.arms} == wanted
    assert again.sums is not None


def test_a_failure_of_one_of_several_begins_no_more_and_loses_nothing(
    copied: Path, task: Task, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, assets = folder_of(copied, task), assets_of(copied, task)
    shutil.rmtree(here)
    monkeypatch.setenv("CURATION_SLOTS", "cpu-0,cpu-1")
    monkeypatch.setattr(FailingTrials, "left", 5)
    with registry.engines.get("local").open(run_id="r", log=copied / "log", config=task.config) as session:
        runner = tables.ReferenceRunner(copied, FailingTrials(task, assets, session), quiet)
        with pytest.raises(WorkFailed, match="the worker died"):
            runner.run()
    done = [path.parent.name for path in here.glob("*/scores.json")]
    assert 1 <= len(done) <= 2
    assert not (here / "table.json").exists()
    # what is there is not done again
    kept = {name: (here / name / "scores.json").stat().st_mtime_ns for name in done}
    measure_references(task, registry, "local", copied, Watcher())
    assert {name: (here / name / "scores.json").stat().st_mtime_ns for name in done} == kept


def test_an_unknown_reference_is_refused_before_anything_is_measured(
    measured: Path, task: Task, registry: Registry
) -> None:
    wrong = task.with_config(task.config.model_copy(update={"references": {"random": 9, "best": 1}}))
    before = sorted(folder_of(measured, task).iterdir())
    with pytest.raises(ReferencesInvalid, match="'best'"):
        measure_references(wrong, registry, "local", measured, Watcher())
    assert sorted(folder_of(measured, task).iterdir()) == before


class FailingTrials(TrialRunner):
    """Evaluates a few halves, then the worker is gone."""

    left = 3

    def evaluate(self, model: Path | None, split: Split, items: Path, progress: Progress):  # type: ignore[no-untyped-def]
        type(self).left -= 1
        if type(self).left < 0:
            raise WorkFailed("the worker died")
        return super().evaluate(model, split, items, progress)


def test_interrupted_noise_goes_on_with_the_same_model(copied: Path, task: Task, registry: Registry) -> None:
    shutil.rmtree(folder_of(copied, task) / "noise")
    assets, trained = assets_of(copied, task), []

    def opening(kind: type[TrialRunner]) -> Callable[[], contextmanager[TrialRunner]]:  # type: ignore[type-arg]
        @contextmanager
        def opened() -> Iterator[TrialRunner]:
            engine = registry.engines.get("local")
            with engine.open(run_id="noise", log=copied / "log", config=task.config) as session:
                yield kind(task, assets, session)

        return opened  # type: ignore[return-value]

    def tell(what: str, done: float) -> None:
        trained.append("training" in what)

    FailingTrials.left = 3
    with pytest.raises(WorkFailed):
        NoiseRunner(copied, opening(FailingTrials), quiet).run(4, 3)
    kept = folder_of(copied, task) / "noise" / "model"
    assert len(list(kept.iterdir())) == 1, "the model stays for the evaluations that are missing"
    noise = NoiseRunner(copied, opening(TrialRunner), tell).run(4, 3)
    assert not any(trained)
    assert len(noise.evaluate["all"].values) == 3


def test_evaluations_of_another_model_are_not_mixed_in(copied: Path, task: Task, registry: Registry) -> None:
    place = folder_of(copied, task) / "noise"
    (place / "model.digest").write_text("another")
    lines = (place / "evaluation-0" / "items-public.jsonl").read_text().splitlines()
    wrong = [json.dumps({**json.loads(line), "score": 0.0}) for line in lines]
    (place / "evaluation-1" / "items-public.jsonl").write_text("\n".join(wrong) + "\n")
    noise = measure_noise(task, registry, "local", copied, Watcher(), seeds=4, evaluations=3)
    assert noise.evaluate["public"].sd == 0.0


def test_spread_and_flips_are_the_hand_computed_ones() -> None:
    # sd of 1, 2, 3 is 1; with two degrees of freedom χ² is 7.3778 and 0.0506 at the ends
    found = spread([1.0, 2.0, 3.0])
    assert found.sd == 1.0
    assert found.interval is not None
    assert found.interval.low == pytest.approx((2 / 7.3778) ** 0.5, rel=1e-4)
    assert found.interval.high == pytest.approx((2 / 0.0506356) ** 0.5, rel=1e-4)
    items = made.made_items(0.5, 1, "public", items=10)
    flipped = [
        item.model_copy(update={"score": 1 - (item.score or 0), "prediction": "x"}) if k < 4 else item
        for k, item in enumerate(items)
    ]
    sealed = made.made_items(0.5, 1, "sealed", items=10)
    seeds = made.made_references().arms[-1].seeds
    scheme = Scheme(made.BENCHMARKS)
    noise = combine(seeds, [{"public": items, "sealed": sealed}, {"public": flipped, "sealed": sealed}], scheme)
    assert noise.flipped == noise.reworded == pytest.approx(4 / 80)
    with pytest.raises(ReferencesInvalid, match="tell nothing of a spread"):
        combine(seeds, [{"public": items, "sealed": sealed}], scheme)


# -- importing -------------------------------------------------------------------------------------

ORIGIN = Origin(measured_by="another lab", model="probe@1", recipe="sgd")


@pytest.fixture
def exported(measured: Path, task: Task, tmp_path: Path) -> Path:
    path = tmp_path / "table.json"
    path.write_text(found_in(measured, task).model_dump_json())
    return path


def test_an_imported_table_says_where_it_comes_from(exported: Path, task: Task, tmp_path: Path) -> None:
    cache = tmp_path / "fresh"
    with pytest.raises(ReferencesInvalid, match="does not say who measured it"):
        tables.import_table(cache, task, assets_of(cache, task), exported, None)
    assert tables.find(cache, task, assets_of(cache, task)) is None
    tables.import_table(cache, task, assets_of(cache, task), exported, ORIGIN)
    table = found_in(cache, task)
    assert table.origin == ORIGIN
    assert table.noise is not None
    assert table.sums is not None


@pytest.mark.parametrize("key", ["pool_digest", "recipe_digest"])
def test_a_table_of_another_pool_or_recipe_is_refused_unless_that_is_said(
    exported: Path, task: Task, tmp_path: Path, key: str
) -> None:
    tree = json.loads(exported.read_text())
    exported.write_text(json.dumps({**tree, key: "0" * 64}))
    cache = tmp_path / "fresh"
    assets = assets_of(cache, task)
    with pytest.raises(ReferencesInvalid, match=f"{key.split('_')[0]} 000000000000 there and "):
        tables.import_table(cache, task, assets, exported, ORIGIN)
    assert not tables.folder(cache, task, assets).exists(), "nothing half-written"
    tables.import_table(cache, task, assets, exported, ORIGIN, other_digests=True)
    table = found_in(cache, task)
    assert table.origin is not None
    assert table.origin.other_digests


def test_measured_here_goes_before_imported(copied: Path, task: Task, exported: Path) -> None:
    with pytest.raises(ReferencesInvalid, match="were measured here already"):
        tables.import_table(copied, task, assets_of(copied, task), exported, ORIGIN)


def test_sums_that_do_not_fit_are_told_before_a_run(exported: Path, task: Task, tmp_path: Path) -> None:
    tree = json.loads(exported.read_text())
    benchmark = next(iter(tree["sums"]["bases"]["public"]))
    tree["sums"]["bases"]["public"][benchmark]["score"] += " 1"
    exported.write_text(json.dumps(tree))
    cache = tmp_path / "fresh"
    with pytest.raises(ReferencesInvalid, match="do not fit together"):
        tables.import_table(cache, task, assets_of(cache, task), exported, ORIGIN)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda tree: tree.update(arms=[], sums=None), "lists no reference"),
        (lambda tree: (tree["arms"][0].update(seeds=[]), tree.update(sums=None)), "twice or without seeds"),
        (lambda tree: (tree["arms"].append(tree["arms"][0]), tree.update(sums=None)), "twice or without seeds"),
        (lambda tree: tree["arms"].pop(), "other references or seeds"),
        (lambda tree: tree["arms"][1]["seeds"].pop(), "other references or seeds"),
        (lambda tree: _not_a_number(tree["sums"]["values"]["random"][0]["public"]), "no finite number"),
    ],
    ids=["no reference", "no seeds", "twice", "a reference less", "a seed less", "NaN"],
)
def test_a_table_that_a_report_would_fail_on_is_refused(
    exported: Path, task: Task, tmp_path: Path, damage: Callable[[Any], None], says: str
) -> None:
    tree = json.loads(exported.read_text())
    damage(tree)
    exported.write_text(json.dumps(tree))
    cache = tmp_path / "fresh"
    with pytest.raises(ReferencesInvalid, match=says):
        tables.import_table(cache, task, assets_of(cache, task), exported, ORIGIN)
    assert not tables.folder(cache, task, assets_of(cache, task)).exists()


def _not_a_number(column: dict[str, dict[str, str]]) -> None:
    metrics = next(iter(column.values()))
    name = next(iter(metrics))
    metrics[name] = " ".join(["nan", *metrics[name].split()[1:]])


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff\xfe", b'{"format": 1}'], ids=["empty", "no keys", "no text", "most missing"]
)
def test_what_is_no_table_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], content: bytes
) -> None:
    path = tmp_path / "table.json"
    path.write_bytes(content)
    cli: Cli = make_cli(tmp_path, monkeypatch, capfd)
    told = cli("references", "probe", "--import", str(path), "--measured-by", "x", "--model", "y", "--recipe", "z")
    assert told.code == 44
    assert "table.json" in told.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--measured-by", "me"), "none is imported"),
        (("--other-digests",), "none is imported"),
        (("--import", "FILE", "--measured-by", "me"), "needs all of who, model and recipe"),
    ],
)
def test_half_an_origin_is_refused_before_anything_is_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    exported: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    cli: Cli = make_cli(tmp_path, monkeypatch, capfd)
    told = cli("references", "probe", *(str(exported) if word == "FILE" else word for word in arguments))
    assert told.code == 47
    assert message in told.err
    assert not cli.cache.exists()


def test_the_commands_tell_what_they_measured(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    cli: Cli = make_cli(tmp_path, monkeypatch, capfd)
    monkeypatch.setenv("CURATION_CACHE", str(copied))
    told = cli("noise", "probe", "--seeds", "4", "--evaluations", "2")
    assert told.code == 0, told.err
    assert "Training again under another seed moves the score on all items" in told.out
    assert "gave the same score every time" in told.out
    assert cli("noise", "probe", "--seeds", "1").code == 2
    as_json = cli("noise", "probe", "--seeds", "4", "--evaluations", "2", "--json")
    assert json.loads(as_json.out)["flipped"] == 0.0


# -- with a run ------------------------------------------------------------------------------------


def test_a_runs_headline_is_compared_with_what_was_measured(open_loop, measured: Path, task: Task) -> None:  # type: ignore[no-untyped-def]
    table = found_in(measured, task)
    with open_loop(references=table) as loop:
        record = loop.record
        good = [row for row, is_good in enumerate(loop.parts.task.truth(loop.parts.assets)) if is_good][:80]
        chosen = selection.of_rows(good)
        record.write_submission(
            AttemptSubmission(
                n=1, key="key-00001", digest=chosen.digest(), rows=80, note="", policy=(), accepted="now"
            ),
            chosen,
            {},
        )
        loop.recover()
        loop.work_off()
        loop.work_through()
        headline = HeadlineRunner(record, loop.trials, quiet).run()
        assert headline.analysis is not None
        found = headline.analysis.against("random", "sealed")
        assert found is not None
        random = table.arm("random")
        assert random is not None
        mean = sum(seed.sealed.mean for seed in random.seeds) / len(random.seeds)
        assert found.difference == pytest.approx(headline.sealed.mean - mean)
        assert headline.analysis.shrinkage is not None
        assert headline.all_items.n == headline.public.n + headline.sealed.n


def test_excluded_rows_are_in_no_reference() -> None:
    excluded = frozenset(range(0, 100, 2))
    sources = ["ab"[row < 50] for row in range(100)]
    truth = [row % 3 == 0 for row in range(100)]
    for name in ("random", "random-fixed", "source-balanced", "full", "clean-only", "noisy-only"):
        rows = selections.rows(name, 7, pool_rows=100, rows_max=20, sources=sources, truth=truth, excluded=excluded)
        assert rows is not None
        assert len(rows)
        assert not excluded & set(rows.tolist())


def test_large_pools_are_drawn_from_by_numpy_likewise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selections, "LARGE", 50)
    truth = np.arange(1000) % 3 == 0
    for name in ("random", "random-fixed", "clean-only"):

        def drawn(seed: int, name: str = name) -> list[int]:
            rows = selections.rows(
                name, seed, pool_rows=1000, rows_max=200, sources=None, truth=truth, excluded=range(0, 1000, 2)
            )
            assert rows is not None
            found: list[int] = rows.tolist()
            return found

        rows = drawn(7)
        assert rows == sorted(set(rows)) == drawn(7)
        assert all(row % 2 for row in rows)
        assert (rows == drawn(8)) == (name == "random-fixed" or len(rows) < 200)
        assert name != "clean-only" or all(truth[row] for row in rows)


def test_a_half_made_file_of_a_killed_evaluation_is_not_read(copied: Path, task: Task) -> None:
    table = found_in(copied, task)
    (folder_of(copied, task) / "random-0" / ".evaluate-killed").mkdir()
    assert found_in(copied, task) == table


def test_a_score_without_a_judge_is_told_beside_the_one_with() -> None:
    items = [*made.made_items(0.5, 1, "public")]
    found = aggregate(items, graded=["counting"])
    assert found.without_judge is not None
    bare = aggregate([item for item in items if item.benchmark != "counting"])
    assert (found.without_judge.mean, found.without_judge.stderr) == (bare.mean, pytest.approx(bare.stderr))
