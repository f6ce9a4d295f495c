"""llava-tiny is an honest small experiment: good curation beats random, bad curation loses, sources tell little."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import pytest

from curation_harness import seeds
from curation_harness.attempts.trial import TrialRunner
from curation_harness.launch import measure_noise
from curation_harness.watcher import Watcher
from curation_plugins import assets as task_assets
from curation_plugins import selection
from curation_plugins.registry import Registry

pytestmark = pytest.mark.train

ARMS = ("clean-only", "random", "noisy-only")
SEEDS = 3
POOLED_SDS = 4.0


def gap(above: list[float], below: list[float]) -> float:
    """Difference of the means over the pooled standard deviation of one seed's score."""
    pooled = math.sqrt((statistics.variance(above) + statistics.variance(below)) / 2)
    return (statistics.fmean(above) - statistics.fmean(below)) / pooled


@pytest.fixture(scope="module")
def scores(registry: Registry, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    """Mean over public and sealed items per arm and seed; selection and training seed vary together."""
    task = registry.tasks.get("llava-tiny")
    assets = task_assets.ensure(cache, task, lambda what, done: None)
    folder = tmp_path_factory.mktemp("trials")
    found: dict[str, list[float]] = {}
    engine = registry.engines.get("local")
    with engine.open(run_id="calibration", log=folder / "workers.log", config=task.config) as session:
        trials = TrialRunner(task, assets, session)
        for arm in (*ARMS, *_sources(task.sources(assets) or ())):
            for k in range(SEEDS if arm in ARMS else 1):
                seed = seeds.of_reference(f"calibration-{arm}", k)
                file = folder / "selection.jsonl"
                if arm in ARMS:
                    rows = task.reference_rows(arm, seed, assets)
                    assert rows is not None
                else:
                    of_source = [row for row, name in enumerate(task.sources(assets) or ()) if name == arm]
                    rows = of_source[: task.config.submission.rows_max]
                file.write_bytes(selection.of_rows(list(rows)).canonical())
                trial = trials.run(file, seed, folder, lambda what, done: None)
                found.setdefault(arm, []).append((trial.public.mean + trial.sealed.mean) / 2)
    return found


def _sources(names: Sequence[str]) -> list[str]:
    return sorted(set(names))


def test_good_rows_beat_random_rows_beyond_any_doubt(scores):
    assert gap(scores["clean-only"], scores["random"]) > POOLED_SDS, scores


def test_random_rows_beat_bad_rows_beyond_any_doubt(scores):
    assert gap(scores["random"], scores["noisy-only"]) > POOLED_SDS, scores


def test_the_best_policy_that_looks_at_the_source_alone_gains_less_than_half(scores):
    random = statistics.fmean(scores["random"])
    clean = statistics.fmean(scores["clean-only"])
    best = max(value[0] for arm, value in scores.items() if arm not in ARMS)
    assert len(scores) - len(ARMS) >= 6
    assert best - random < 0.5 * (clean - random), scores


def test_a_model_scores_alike_every_time_and_another_seed_does_not(registry, cache, tmp_path):
    task = registry.tasks.get("llava-tiny")
    task_assets.ensure(cache, task, lambda what, done: None)
    (tmp_path / "assets").symlink_to(cache / "assets")  # what is measured here must not become somebody's references
    noise = measure_noise(task, registry, "local", tmp_path, Watcher(), seeds=2, evaluations=2)
    assert noise.flipped == noise.reworded == noise.evaluate["all"].sd == 0.0
    assert 0.0 < noise.train["all"].sd < 0.1
