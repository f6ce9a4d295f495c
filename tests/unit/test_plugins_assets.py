"""A task's files: made once, whole or not at all, and noticed when they change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from curation_plugins import assets
from curation_plugins.api import Progress
from curation_plugins.config import load, override
from curation_plugins.errors import AssetsInvalid
from curation_probe.task import TASKS, ProbeTask
from probe_bench import quiet


class CountedProbe(ProbeTask):
    """Counts how often its files are made; may fail half-way."""

    made = 0
    fails = False

    def prepare(self, folder: Path, progress: Progress) -> None:
        type(self).made += 1
        super().prepare(folder, progress)
        if self.fails:
            raise OSError("the disk went away")


@pytest.fixture
def task() -> CountedProbe:
    CountedProbe.made = 0
    return CountedProbe(load(TASKS / "probe" / "task.yaml"))


def test_made_once_and_found_again(tmp_path: Path, task: CountedProbe) -> None:
    first = assets.ensure(tmp_path, task, quiet)
    digests = assets.digest(first), assets.pool_digest(first)
    again = assets.ensure(tmp_path, task, quiet)
    assert (first, digests) == (again, (assets.digest(again), assets.pool_digest(again)))
    assert task.made == 1
    assert first == assets.folder(tmp_path, task)


def test_who_waits_for_another_process_is_told(tmp_path: Path, task: CountedProbe) -> None:
    target = assets.folder(tmp_path, task)
    target.parent.mkdir()
    other, told = FileLock(target.parent / f"{target.name}.lock", thread_local=False), []
    other.acquire()

    def listen(what: str, done: float) -> None:
        told.append(what)
        other.release()

    assets.ensure(tmp_path, task, listen)
    assert told[0] == "another process makes them; waiting"
    told.clear()
    assets.ensure(tmp_path, task, listen)
    assert told == []


def test_other_settings_are_other_files(tmp_path: Path, task: CountedProbe) -> None:
    other = task.with_config(override(task.config, ["assets.seed=1"]))
    folders = [assets.ensure(tmp_path, one, quiet) for one in (task, other)]
    assert len({assets.pool_digest(folder) for folder in folders}) == 2


def test_recipe_does_not_change_the_files(tmp_path: Path, task: CountedProbe) -> None:
    other = task.with_config(override(task.config, ["recipe.lr=0.1"]))
    assert assets.folder(tmp_path, task) == assets.folder(tmp_path, other)


def test_failed_prepare_leaves_nothing(tmp_path: Path, task: CountedProbe) -> None:
    CountedProbe.fails = True
    try:
        with pytest.raises(OSError, match="went away"):
            assets.ensure(tmp_path, task, quiet)
    finally:
        CountedProbe.fails = False
    left = [path for path in (tmp_path / "assets").iterdir() if path.suffix not in (".lock", ".used")]
    assert left == []
    assets.ensure(tmp_path, task, quiet)


@pytest.mark.parametrize("name", ["pool/rows.jsonl", "truth.json"])
def test_changed_byte_is_named(tmp_path: Path, task: CountedProbe, name: str) -> None:
    folder = assets.ensure(tmp_path, task, quiet)
    file = folder / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(AssetsInvalid, match=name):
        assets.ensure(tmp_path, task, quiet)


def test_removed_and_added_files_are_named(tmp_path: Path, task: CountedProbe) -> None:
    folder = assets.ensure(tmp_path, task, quiet)
    (folder / "truth.json").rename(folder / "untruth.json")
    with pytest.raises(AssetsInvalid, match=r"2 file.*truth\.json, untruth\.json"):
        assets.verify(folder)


def test_folder_without_manifest_is_not_trusted(tmp_path: Path, task: CountedProbe) -> None:
    assets.folder(tmp_path, task).mkdir(parents=True)
    with pytest.raises(AssetsInvalid, match="without a manifest"):
        assets.ensure(tmp_path, task, quiet)


def test_pool_digest_sees_the_pool_only(tmp_path: Path, task: CountedProbe) -> None:
    folder = assets.ensure(tmp_path, task, quiet)
    manifest = folder / assets.MANIFEST
    before = assets.digest(folder), assets.pool_digest(folder)
    manifest.write_text(manifest.read_text().replace('"truth.json"', '"truth2.json"'))
    assert assets.digest(folder) != before[0]
    assert assets.pool_digest(folder) == before[1]


def test_two_processes_make_it_once(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from curation_plugins import assets
from curation_plugins.config import load
from curation_probe.task import TASKS, ProbeTask
class Slow(ProbeTask):
    def prepare(self, folder, progress):
        with open(sys.argv[1] + "/made", "a") as made:
            made.write("x")
        time.sleep(0.5)
        super().prepare(folder, progress)
assets.ensure(Path(sys.argv[1]), Slow(load(TASKS / "probe" / "task.yaml")), lambda what, done: None)
"""
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env=os.environ) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert (tmp_path / "made").read_text() == "x"
