"""datacomp-tiny is an honest small experiment: aligned pairs beat random ones, random ones beat misaligned ones."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import numpy as np
import pytest

from curation_harness import seeds
from curation_harness.attempts.trial import TrialRunner
from curation_plugins import assets as task_assets
from curation_plugins import selection
from curation_plugins.registry import Registry
from curation_plugins.scaffolds import shallow_tree
from curation_plugins.tasks.datacomp import layout

pytestmark = pytest.mark.train

SEEDS = 3
POOLED_SDS = 4.0
ARMS = ("aligned", "random", "misaligned")


def gap(above: list[float], below: list[float]) -> float:
    """Difference of the means over the pooled standard deviation of one seed's score."""
    pooled = math.sqrt((statistics.variance(above) + statistics.variance(below)) / 2)
    return (statistics.fmean(above) - statistics.fmean(below)) / pooled


@pytest.fixture(scope="module")
def assets(registry: Registry, cache: Path) -> Path:
    return task_assets.ensure(cache, registry.tasks.get("datacomp-tiny"), lambda what, done: None)


@pytest.fixture(scope="module")
def scores(registry: Registry, assets: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[float]]:
    """Public mean per arm and seed; selection and training seed vary together; the model begins with the
    recipe's own weights each time."""
    task = registry.tasks.get("datacomp-tiny")
    folder = tmp_path_factory.mktemp("trials")
    found: dict[str, list[float]] = {}
    engine = registry.engines.get("local")
    with engine.open(run_id="calibration", log=folder / "workers.log", config=task.config) as session:
        trials = TrialRunner(task, assets, session)
        for arm in ARMS:
            for k in range(SEEDS):
                seed = seeds.of_reference(f"calibration-{arm}", k)
                file = folder / task.config.submission.canonical_name
                selection.of_rows(_rows(arm, seed, assets), kind="uids").write(file)
                trial = trials.run(file, seed, folder, lambda what, done: None)
                found.setdefault(arm, []).append(trial.public.mean)
    return found


def _rows(arm: str, seed: int, assets: Path) -> np.ndarray:
    """3,000 rows of one kind, or fewer where there are fewer."""
    kinds = np.load(layout.kinds(assets))
    wanted = {"aligned": kinds == "good", "misaligned": kinds == "misaligned"}.get(arm, np.ones(len(kinds), bool))
    rows = np.flatnonzero(wanted)
    return np.sort(np.random.default_rng(seed).choice(rows, min(3000, len(rows)), replace=False))


def test_aligned_pairs_beat_random_ones_beyond_any_doubt(scores):
    assert gap(scores["aligned"], scores["random"]) > POOLED_SDS, scores


def test_random_pairs_beat_misaligned_ones_beyond_any_doubt(scores):
    assert gap(scores["random"], scores["misaligned"]) > POOLED_SDS, scores


def test_neither_domain_nor_length_gives_the_good_pairs_away(registry, assets):
    task = registry.tasks.get("datacomp-tiny")
    truth, columns = np.asarray(task.truth(assets)), task.metadata(assets)
    found = shallow_tree.auc(columns, np.flatnonzero(truth).tolist(), len(truth))
    assert found is not None
    assert found < 0.62
    best = max(truth[columns["source"] == name].mean() for name in set(columns["source"].tolist()))
    assert best < 1.25 * truth.mean()


def test_the_scoring_models_are_of_use_and_not_perfect(registry, assets):
    task = registry.tasks.get("datacomp-tiny")
    truth = np.asarray(task.truth(assets))
    shares = {}
    for name in ("clip-b32-30", "clip-l14-30"):
        rows = np.asarray(task.reference_rows(name, 0, assets))
        shares[name] = truth[rows].mean()
    assert truth.mean() + 0.05 < shares["clip-b32-30"] < shares["clip-l14-30"] < 0.9, shares
