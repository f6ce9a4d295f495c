"""Benchmarks whose score is their worst metric, and benchmarks without public items."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import made_records as made
from curation_harness.record.analysis import analyse
from curation_harness.record.bootstrap import resample
from curation_harness.record.measures import Sums
from curation_harness.record.scheme import Scheme
from curation_harness.record.scores import aggregate
from curation_harness.record.summary import summarize
from curation_harness.record.sums import HALVES, Halves, pack, shorten, unpack, whole
from curation_harness.record.tallies import Tallies, tally
from curation_harness.report.findings import everything
from curation_plugins.api import Task
from curation_plugins.errors import PluginBroken, WorkerReplyInvalid
from curation_plugins.jobs import Aggregate, ItemResult, ItemUnit
from curation_plugins.registry import Registry
from made_tallies import item

# -- the worst metric --------------------------------------------------------------------------------


def regions(count: int, seed: int = 0, shift: float = 0.0) -> list[ItemResult]:
    """Items of three regions, each a metric; the third is the hardest."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(count):
        right = float(rng.random() < (0.7, 0.6, 0.3)[k % 3] + shift)
        found.append(item(str(k), right, f"g{k}", units=(ItemUnit(metric=f"region-{k % 3}", value=right),)))
    return found


def of_region(items: list[ItemResult], name: str) -> list[ItemResult]:
    return [one for one in items if one.units is not None and one.units[0].metric == name]


def test_the_worst_metric_is_the_score_and_its_error_is_its_own() -> None:
    items = regions(300)
    plain, worst = aggregate(items), aggregate(items, worst=["b"])
    alone = aggregate(of_region(items, "region-2"))
    assert worst.mean == pytest.approx(alone.mean)
    assert worst.stderr == pytest.approx(alone.stderr)
    assert worst.mean < plain.mean
    assert worst.n == plain.n == 300


def test_a_metric_that_nothing_could_be_counted_of_is_no_worst_one() -> None:
    silent = item("x", None, "gx", unscored="judge", units=(ItemUnit(metric="new", value=None, unscored="judge"),))
    with pytest.raises(WorkerReplyInvalid, match="no item of b could be scored"):
        aggregate([*regions(30), silent], worst=["b"])


def test_draws_of_groups_take_the_worst_metric_of_each_draw() -> None:
    items = regions(600)
    found = resample({"x": [tally(items, ["b"])], "y": [tally(regions(600, seed=0, shift=0.1), ["b"])]}).measured
    scores = aggregate(items, worst=["b"])
    assert found["x"].point[0] == pytest.approx(scores.mean)
    assert found["x"].draws.std(ddof=1) == pytest.approx(scores.stderr, rel=0.1)
    mean = resample({"x": [tally(items)]}).measured["x"]
    assert mean.point[0] > found["x"].point[0]
    assert mean.draws.std() < found["x"].draws.std()


def test_close_metrics_make_the_worst_of_a_draw_change() -> None:
    """Two metrics of the same level: the lowest of both lies below either, in most draws."""
    rng = np.random.default_rng(1)
    rights = (rng.random(400) < 0.5).astype(float)
    items = [item(str(k), r, f"g{k}", units=(ItemUnit(metric=str(k % 2), value=r),)) for k, r in enumerate(rights)]
    found = resample({"x": [tally(items, ["b"])]}).measured["x"]
    assert found.draws.mean() < found.point[0]


def test_a_table_of_references_keeps_how_a_benchmark_is_scored() -> None:
    public, sealed = _named(regions(60, 0), "p"), _named(regions(60, 1), "s")
    one: Halves = {"public": shorten(tally(public, ["b"])), "sealed": shorten(tally(sealed, ["b"]))}
    table = Sums.model_validate_json(pack({"base": [one]}).model_dump_json())
    again = unpack(table, frozenset({"b"}))["base"][0]
    for half in HALVES:
        assert again[half].score("b") == pytest.approx(one[half].score("b"))
        assert unpack(table)["base"][0][half].score("b") != pytest.approx(one[half].score("b"))
    both = whole(one).score("b")
    assert both is not None
    assert both == pytest.approx(aggregate([*public, *sealed], worst=["b"]).mean)


def _named(items: list[ItemResult], prefix: str) -> list[ItemResult]:
    return [one.model_copy(update={"group": prefix + one.group}) for one in items]


# -- benchmarks without public items -----------------------------------------------------------------


def arm(level: float, seed: int, gap: float = 0.0) -> Halves:
    """``open`` has public items, ``closed`` only sealed ones, on which the model is better by ``gap``."""
    rng = np.random.default_rng(seed)

    def items(half: str, benchmark: str, p: float) -> list[ItemResult]:
        names = [f"{half}-{benchmark}-{k}" for k in range(60)]
        return [item(name, float(rng.random() < p), name, benchmark) for name in names]

    public = items("public", "open", level)
    sealed = [*items("sealed", "open", level), *items("sealed", "closed", level + gap)]
    return {"public": tally(public), "sealed": tally(sealed)}


def test_sealed_only_benchmarks_are_in_sealed_and_all_means_and_not_in_public_ones() -> None:
    references = {"random": [_short(arm(0.4, seed)) for seed in range(4)], "base": [_short(arm(0.2, 9))]}
    headline = [arm(0.5, 20 + seed, gap=0.4) for seed in range(3)]
    found = analyse(headline, arm(0.5, 30)["public"], 2, pack(references), draws=200)
    assert found is not None
    for part, benchmarks in (("public", ("open",)), ("sealed", ("closed", "open"))):
        own, theirs = (
            np.mean([math.fsum(one[part].score(name) or 0 for name in benchmarks) / len(benchmarks) for one in seeds])  # type: ignore[index]
            for seeds in (headline, references["random"])
        )
        known = found.against("random", part)  # type: ignore[arg-type]
        assert known is not None
        assert known.difference == pytest.approx(own - theirs)
    every = found.against("random", "all")
    assert every is not None
    assert set(whole(headline[0]).cells) == {"closed", "open"}
    assert found.shrinkage is not None
    assert found.shrinkage.sealed_gain == pytest.approx(
        np.mean([h["sealed"].score("open") or 0 for h in headline])
        - np.mean([h["sealed"].score("open") or 0 for h in references["random"]])
    )


def _short(halves: Halves) -> Halves:
    found: dict[str, Tallies] = {half: shorten(tallies) for half, tallies in halves.items()}
    return found  # type: ignore[return-value]


SCHEME = Scheme(("open", "closed"), sealed_only=frozenset({"closed"}))


def test_a_half_is_read_with_the_benchmarks_it_must_have(tmp_path: Path) -> None:
    def write(half: str, benchmarks: tuple[str, ...]) -> None:
        items = [item("1", 1.0, "g", benchmark).model_dump_json() for benchmark in benchmarks]
        (tmp_path / f"items-{half}.jsonl").write_text("\n".join(items) + "\n")

    write("public", ("open",))
    write("sealed", ("open", "closed"))
    assert SCHEME.of_half("public") == ("open",)
    assert len(SCHEME.read(tmp_path, "public")) == 1
    assert len(SCHEME.read(tmp_path, "sealed")) == 2
    write("public", ("open", "closed"))
    with pytest.raises(WorkerReplyInvalid, match=r"\['open'\] expected"):
        SCHEME.read(tmp_path, "public")
    write("sealed", ("open",))
    with pytest.raises(WorkerReplyInvalid, match="expected"):
        SCHEME.read(tmp_path, "sealed")


@pytest.mark.parametrize(
    ("sealed", "aggregates", "what"),
    [
        (("none",), {}, "speaks of benchmarks it has not: none"),
        ((), {"nothing": "worst"}, "speaks of benchmarks it has not: nothing"),
        (("all",), {}, "leaves no benchmark public"),
    ],
)
def test_a_task_that_speaks_of_other_benchmarks_is_a_broken_plugin(
    registry: Registry,
    sealed: tuple[str, ...],
    aggregates: dict[str, Aggregate],
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task: Task = registry.tasks.get("llava-tiny")
    names = task.config.benchmarks if sealed == ("all",) else sealed
    monkeypatch.setattr(type(task), "sealed_benchmarks", lambda self: names)
    monkeypatch.setattr(type(task), "aggregates", lambda self: aggregates)
    with pytest.raises(PluginBroken, match=what):
        Scheme.of(task)


def test_the_report_names_benchmarks_without_public_items(tmp_path: Path) -> None:
    record = made.made_run(tmp_path, attempts=2)
    assert not any("no public items" in told for told in everything(summarize(record)))
    for n in (1, 2):
        path = record.attempt_folder(n) / "result.json"
        result = json.loads(path.read_text())
        del result["public"]["by_benchmark"]["digits"]
        path.write_text(json.dumps(result))
    told = next(told for told in everything(summarize(record)) if "no public items" in told)
    assert told.startswith("digits has no public items")
