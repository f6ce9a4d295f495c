"""`datacomp-small` from a stand-in hub and a folder of shards: fetched, indexed, ready; and what is said if not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from curation_plugins import assets as task_assets
from curation_plugins import paths
from curation_plugins.config import TaskConfig, load, override
from curation_plugins.errors import AssetsInvalid, AssetsMissing, ConfigInvalid, SubmissionRefused
from curation_plugins.hub.store import Store
from curation_plugins.tasks.datacomp import layout
from curation_plugins.tasks.datacomp.evaluation.sets import default_benchmarks
from curation_plugins.tasks.datacomp.manifest import read_manifest
from curation_plugins.tasks.datacomp.pool_index import PoolIndex
from curation_plugins.tasks.datacomp.sources.settings import pools
from curation_plugins.tasks.datacomp.task import DatacompTask
from downloaded_pool import Download, caption, download, image, uid
from fetched_pairs import CLASSES, RETRIEVAL, SETS, fetched_pairs, put_on, set_files, tree
from hub_bench import Hub, serving


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


@pytest.fixture
def own(hub: Hub, tmp_path: Path) -> Download:
    return put_on(hub, tmp_path)


def silent(what: str, done: float) -> None:
    return


def fetch_all(task: DatacompTask, cache: Path) -> None:
    with httpx.Client(follow_redirects=True, timeout=10) as client:
        for want in task.downloads():
            Store(cache).fetch(want, client, lambda want, what, have, total: None)


def made(task: DatacompTask, cache: Path) -> Path:
    fetch_all(task, cache)
    return task_assets.ensure(cache, task, silent)


# -- the whole way -------------------------------------------------------------------------------------------------


def test_a_pool_of_datacomps_own_tools_works_as_it_is(own: Download, tmp_path: Path) -> None:
    task, cache = fetched_pairs(shards=str(own.shards)), tmp_path / "cache"
    assert task.lacking() == ()
    assets = made(task, cache)

    assert task.pool_rows(assets) == 240
    manifest = read_manifest(layout.manifest(assets))
    assert (manifest.uids, manifest.reachable_share) == (300, 0.8)
    shown = sorted(path.name for path in layout.pool(assets).rglob("*") if path.is_file())
    assert shown == sorted([*(path.name for path in own.metadata.iterdir()), "manifest.json", "unreachable.npy"])
    assert not any(path.is_symlink() for path in layout.pool(assets).rglob("*"))  # the container would see none
    assert layout.shards(assets).resolve() == own.shards
    for key in SETS:
        folder = layout.evaluation(assets) / f"wds_{key.replace('/', '-')}_test"
        assert (folder / "test/0.tar").read_bytes() == set_files(key)["test/0.tar"]
        assert not (folder / "README.md").exists()
    sources = json.loads((assets / "sources.json").read_text())
    assert sources["metadata"]["revision"] == "0123456789abcdef0123456789abcdef01234567"
    task_assets.verify(assets, thorough=True)

    chosen = tmp_path / "subset.npy"
    np.save(chosen, np.array([(int(uid(n)[:16], 16), int(uid(n)[16:], 16)) for n in (5, 3, 100)], "u8,u8"))
    selection = task.parse_submission(chosen, assets)
    with PoolIndex(assets) as pool:
        assert sorted(pool.image(row) for row in selection.rows) == sorted(image(n) for n in (5, 3, 100))
    card = task.row_card(selection.rows[0], assets)
    assert card is not None
    assert card.turns[0][1] in {caption(n) for n in (5, 3, 100)}
    np.save(chosen, np.array([(int(uid(n)[:16], 16), int(uid(n)[16:], 16)) for n in (5, 250)], "u8,u8"))
    with pytest.raises(SubmissionRefused) as refused:  # in the metadata, and its image could not be had
        task.parse_submission(chosen, assets)
    assert refused.value.problems


def test_the_agent_sees_the_shards_where_the_task_shows_images(own: Download, tmp_path: Path) -> None:
    task = fetched_pairs(shards=str(own.shards), show_images=True, features=False)
    assets = made(task, tmp_path / "cache")
    shown = layout.pool(assets) / "shards"
    assert sorted(path.name for path in shown.iterdir()) == ["00000000.tar", "00000001.tar"]
    assert (shown / "00000000.tar").samefile(own.shards / "00000000.tar")
    assert layout.shards(assets).resolve() == shown
    assert not list(layout.metadata(assets).glob("*.npz"))
    assert "shards/*.tar" in task.brief()
    assert "*.npz" not in task.brief()
    with PoolIndex(assets) as pool:
        assert pool.rows == 240


def test_metadata_and_evaluation_sets_of_ones_own(hub: Hub, tmp_path: Path) -> None:
    made_pool = download(tmp_path / "own")
    for key in SETS:
        for name, data in set_files(key).items():
            path = tmp_path / "sets" / f"wds_{key.replace('/', '-')}_test" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    task = fetched_pairs(shards=str(made_pool.shards), evaluation=str(tmp_path / "sets"))
    cache = tmp_path / "cache"
    assert [want.name for want in task.downloads()] == ["metadata", "features"]
    for want in task.downloads():
        Store(cache).adopt(want, made_pool.metadata)
    assets = task_assets.ensure(cache, task, silent)
    assert task.pool_rows(assets) == 240
    assert hub.asked == []


# -- missing -------------------------------------------------------------------------------------------------------


def test_everything_that_is_missing_is_named_at_once(hub: Hub, tmp_path: Path) -> None:
    task, cache = fetched_pairs(), tmp_path / "cache"
    with pytest.raises(AssetsMissing) as missing:
        task_assets.ensure(cache, task, silent)
    said = missing.value.message
    for part in (
        "metadata of Made pool",
        "CLIP features",
        f"evaluation set {CLASSES}",
        f"evaluation set {RETRIEVAL}",
    ):
        assert part in said
    assert "python download_upstream.py --scale small --data_dir FOLDER" in said
    assert "--set assets.shards=FOLDER/shards" in said
    assert "9.8 KiB" in said
    assert "976.6 KiB" in said
    assert "harness fetch datacomp-small" in (missing.value.hint or "")


def test_shards_are_missed_even_when_all_else_was_fetched(own: Download, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    for settings in ({}, {"shards": str(tmp_path / "nothing")}):
        task, cache = fetched_pairs(**settings), tmp_path / "cache"
        fetch_all(task, cache)
        with pytest.raises(AssetsMissing, match="download_upstream") as missing:
            task_assets.ensure(cache, task, silent)
        assert "needs 1 thing" in missing.value.message
        assert "harness fetch" not in (missing.value.hint or "")


def test_a_broken_shard_ends_the_making_with_its_name(own: Download, tmp_path: Path) -> None:
    task, cache = fetched_pairs(shards=str(own.shards)), tmp_path / "cache"
    shard = own.shards / "00000001.tar"
    shard.write_bytes(shard.read_bytes()[:-20_000])
    with pytest.raises(AssetsInvalid, match=r"00000001\.tar is cut off") as broken:
        made(task, cache)
    assert "download_upstream.py" in (broken.value.hint or "")
    assert not task_assets.folder(cache, task).exists()


def test_an_evaluation_set_without_its_shards_is_named(own: Download, hub: Hub, tmp_path: Path) -> None:
    del hub.datasets["clip-benchmark/wds_flickr30k"]["test/0.tar"]
    with pytest.raises(AssetsInvalid, match=RETRIEVAL):
        made(fetched_pairs(shards=str(own.shards)), tmp_path / "cache")


def test_a_set_that_no_hub_has_is_named_with_what_to_do(tmp_path: Path) -> None:
    given = tree(shards=str(tmp_path))
    given["benchmarks"] = [*SETS, "misc/winogavil"]
    task = DatacompTask(TaskConfig.model_validate(given))
    (line,) = (line for line in task.lacking() if "winogavil" in line)
    assert "--set assets.evaluation=FOLDER" in line
    assert "wds_misc-winogavil_test" in line


# -- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assets", "said"),
    [
        ({"shards": "data/shards"}, "assets.shards"),
        ({"pool": "datacomp-smal"}, "did you mean 'datacomp-small'"),
        ({"shard": "/data"}, "assets.shard"),
        ({"kind": "bought"}, "assets"),
    ],
    ids=["not-absolute", "unknown-pool", "unknown-key", "unknown-kind"],
)
def test_wrong_settings_are_named(assets: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        fetched_pairs(**assets)


def test_other_shards_sets_or_features_are_other_files(tmp_path: Path) -> None:
    plain = fetched_pairs(shards="/data/shards")
    fewer = tree(shards="/data/shards")
    fewer["benchmarks"] = [CLASSES]
    others = [
        fetched_pairs(shards="/other/shards"),
        fetched_pairs(shards="/data/shards", features=False),
        fetched_pairs(shards="/data/shards", show_images=True),
        DatacompTask(TaskConfig.model_validate(fewer)),
    ]
    assert len({plain.assets_key(), *(other.assets_key() for other in others)}) == 5
    assert fetched_pairs(shards="/data/shards").assets_key() == plain.assets_key()


def test_rows_are_another_kind_of_task() -> None:
    given = tree()
    given["submission"] = {"kind": "rows", "rows_max": 5}
    with pytest.raises(ConfigInvalid, match=r"submission\.kind"):
        DatacompTask(TaskConfig.model_validate(given))


# -- references ----------------------------------------------------------------------------------------------------


def test_references_draw_three_tenths_and_know_datacomps_score_filter(own: Download, tmp_path: Path) -> None:
    task = fetched_pairs(shards=str(own.shards))
    assets = made(task, tmp_path / "cache")
    sizes = {}
    for name in ("random", "random-fixed", "full", "clip-l14-30", "clip-l14-100"):
        rows = task.reference_rows(name, 1, assets)
        assert rows is not None
        assert list(rows) == sorted(set(rows))
        sizes[name] = len(rows)
    with PoolIndex(assets) as pool:
        scores = pool.columns(("clip_l14_similarity_score",))["clip_l14_similarity_score"]
    # the rule of DataComp's baselines: at least the score in place int(n·fraction) from the top
    best = np.flatnonzero(scores >= np.sort(scores)[::-1][72])
    assert task.reference_rows("clip-l14-30", 7, assets).tolist() == best.tolist()  # type: ignore[union-attr]
    assert sizes == {"random": 72, "random-fixed": 72, "full": 240, "clip-l14-30": len(best), "clip-l14-100": 240}
    assert task.reference_rows("base", 0, assets) is None
    drawn = [task.reference_rows("random", seed, assets) for seed in range(3)]
    assert len({tuple(rows) for rows in drawn if rows is not None}) == 3
    columns = task.metadata(assets)
    assert set(columns) == {"source", "length", "turns"}
    assert set(columns["source"]) == {"site0.example", "site1.example", "site2.example"}


# -- what ships ----------------------------------------------------------------------------------------------------


def shipped(*overrides: str) -> DatacompTask:
    return DatacompTask(override(load(paths.TASKS / "datacomp-small" / "task.yaml"), overrides))


def test_the_shipped_task_is_datacomps_own() -> None:
    task = shipped()
    assert task.config.benchmarks == default_benchmarks()
    assert len(task.config.benchmarks) == 38
    recipe = task.recipe
    assert (recipe.model, recipe.batch, recipe.samples, recipe.lr) == ("ViT-B-32", 4096, 12_800_000, 5e-4)
    assert task.config.submission.samples_min == recipe.batch
    metadata, features, *sets = task.downloads()
    for want, ending in ((metadata, "parquet"), (features, "npz")):
        assert want.source.repo == "mlfoundations/datacomp_small"  # type: ignore[union-attr]
        assert want.source.files == (f"*.{ending}",)  # type: ignore[union-attr]
    assert len(sets) == 37
    assert len(task.lacking()) == 2
    brief = task.brief()
    assert "mean over DataComp's 38" in brief
    assert "12,800,000" in brief


def test_fewer_samples_than_a_batch_cannot_be_admitted_by_a_setting() -> None:
    assert shipped("submission.samples_min=5000").config.submission.samples_min == 5000
    for setting in ("submission.samples_min=4095", "recipe.batch=8192"):
        with pytest.raises(ConfigInvalid, match=r"submission\.samples_min: 4095|one batch of the recipe is 8192"):
            shipped(setting)


def test_published_scores_belong_to_the_task_as_it_ships() -> None:
    best = {one.name: one.score for one in shipped().published()}
    assert best["CLIP L/14 score, top 30 %"] == max(best.values()) == 0.173
    assert best["no filter"] == 0.133
    assert shipped("assets.shards=/data/shards").published() == shipped().published()
    for other in ("benchmarks=[cifar10]", "recipe.lr=1.0e-3"):
        assert shipped(other).published() == ()


def test_estimates_follow_recipe_and_pool() -> None:
    needs, lighter = shipped().needs(), shipped("assets.features=false", "recipe.micro_batch=512").needs()
    assert needs is not None
    assert lighter is not None
    macs = 7.4e9 * 12_800_000  # DataComp's 9.5e16 multiply-adds, forward only
    assert needs.train_flop == pytest.approx(2 * 3 * macs * 4 / 3)
    assert needs.disk - lighter.disk == 75_000_000_000
    assert lighter.device_memory < needs.device_memory < 80e9
    assert shipped().checkpoint_bytes(Path()) == pytest.approx(4 * 151.3e6, rel=0.01)
    assert pools()["datacomp-small"].rows == 12_800_000
