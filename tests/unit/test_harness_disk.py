"""``harness clean``: what goes by policy, what never goes, and what killed processes left."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

import made_records as made
from cli_bench import Cli, make_cli
from curation_harness.errors import RecordInvalid, RunBusy, RunUnknown
from curation_harness.record import listing, sealing
from curation_harness.record.store import RunRecord
from curation_harness.upkeep import disk, leftovers
from curation_harness.upkeep.disk import Kept, Policy
from curation_plugins import assets as task_assets
from curation_plugins.hub.store import Fetched
from curation_plugins.hub.wanted import UrlSource
from curation_sandbox import image_builder, owners
from curation_sandbox.engine import LABEL
from curation_sandbox.mounts import MountPoint

MANIFEST = json.dumps({"pool/rows.jsonl": {"sha256": "0" * 64, "size": 1}})
NOTE = Fetched(name="pool", source=UrlSource(url="https://files.example/pool")).model_dump_json()
DOWNLOAD = "pool-" + "0" * 16
SHARD = "5" * 32 + ".json"
DAY = 86_400.0
USING = """
import sys, time
from pathlib import Path
from curation_plugins import assets
assets._hold_in_use(Path(sys.argv[1]))
print("holds", flush=True)
time.sleep(600)
"""


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return make_cli(tmp_path, monkeypatch, capfd)


def fill(folder: Path, size: int = 10_000, days: float = 0.0, name: str = "content", text: str | None = None) -> Path:
    """A folder with a file of this size, and perhaps with this text in it."""
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"x" * size if text is None else text.encode().ljust(size))
    then = time.time() - days * DAY
    for path in (folder / name, folder):
        os.utime(path, (then, then))
    return folder


def made_assets(cache: Path, name: str, days: float = 0.0) -> Path:
    return fill(cache / "assets" / name, days=days, name=task_assets.MANIFEST, text=MANIFEST)


def made_download(cache: Path, days: float = 0.0) -> Path:
    return fill(cache / "downloads" / DOWNLOAD, days=days, name="fetched.json", text=NOTE)


def made_shelf(cache: Path, digit: int, size: int = 10_000, days: float = 0.0) -> Path:
    return fill(cache / "signals" / (f"{digit}" * 24), size, days, SHARD)


def made_log(cache: Path) -> Path:
    name = "image-codex-mine-20260601T100000Z-77.log"
    return fill(cache / "logs", name=name) / name


def kept(name: str, size: int, days: float, *, in_use: bool = False) -> Kept:
    return Kept("assets", name, size, -days * DAY, lambda: True, in_use)


THINGS = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 60), st.booleans()), max_size=12).map(
    lambda found: [kept(f"{k}", size, days, in_use=used) for k, (size, days, used) in enumerate(found)]
)


@given(THINGS, st.none() | st.integers(0, 60), st.none() | st.integers(0, 4000))
def test_a_policy_keeps_what_is_young_small_and_in_use(there: list[Kept], days: int | None, most: int | None) -> None:
    gone = Policy(None if days is None else days * DAY, most).lets_go(there, 0.0)
    left = [one for one in there if one not in gone]
    assert not any(one.in_use for one in gone)
    if days is None and most is None:
        assert all(one.in_use for one in left)
        return
    idle = [one for one in left if not one.in_use]
    if days is not None:
        assert all(-one.used <= days * DAY for one in idle)
    if most is not None:
        assert not idle or sum(one.size for one in left) <= most
    for one in gone:  # nothing goes without need: put back, it would break a bound
        old = days is not None and -one.used > days * DAY
        later = [other for other in gone if (other.used, other.what) > (one.used, one.what)]
        size = sum(other.size for other in [*left, one, *later])
        assert old or (most is not None and size > most)


def test_a_dry_run_removes_nothing_and_says_what_would_go(cli: Cli) -> None:
    assets = made_assets(cli.cache, "probe-abc", 40)
    told = cli("clean", "--what", "assets", "--older-than", "30d", "--dry-run")
    assert (told.code, assets.exists()) == (0, True)
    assert "would remove assets probe-abc" in told.out
    assert "last used 40 days ago" in told.out
    assert "would free" in told.out


def test_old_assets_go_and_young_ones_stay(cli: Cli) -> None:
    old, young = (made_assets(cli.cache, f"probe-{days}", days) for days in (40, 2))
    told = cli("clean", "--what", "assets", "--older-than", "30d")
    assert told.code == 0
    assert (old.exists(), young.exists()) == (False, True)
    assert sorted(path.name for path in (cli.cache / "assets").glob(".*-*")) == []


def test_the_longest_unused_go_until_the_rest_is_small_enough(cli: Cli) -> None:
    folders = [made_shelf(cli.cache, days, 100_000, days) for days in (3, 1, 2)]
    cli("clean", "--what", "signals", "--max-size", "250k")
    assert [folder.exists() for folder in folders] == [False, True, True]
    cli("clean", "--what", "signals", "--max-size", "0")
    assert not any(folder.exists() for folder in folders)


def test_what_a_live_process_uses_stays_until_it_is_killed(cli: Cli) -> None:
    assets = made_assets(cli.cache, "probe-abc", 40)
    download = made_download(cli.cache, 40)
    command = [sys.executable, "-c", USING, str(assets)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        used = task_assets.last_used(assets)
        assert time.time() - used < DAY, "using them is a use"
        assert not task_assets.remove(assets)
        told = cli("clean", "--what", "assets", "--what", "downloads")
        assert "removing" not in told.out
        assert "in use, and stays: assets probe-abc" in told.out
        assert f"in use, and stays: downloads {DOWNLOAD}" in told.out
        assert (assets.exists(), download.exists()) == (True, True)
        process.kill()
    cli("clean", "--what", "assets", "--what", "downloads")
    assert (assets.exists(), download.exists()) == (False, False)


def test_assets_in_the_making_stay(cli: Cli) -> None:
    assets = made_assets(cli.cache, "probe-abc")
    with FileLock(cli.cache / "assets" / "probe-abc.lock"):
        assert task_assets.in_use(assets)
        assert cli("clean", "--what", "assets").code == 0
        assert assets.exists()


def test_models_and_volumes_go_of_ended_runs_only_and_no_record_does(cli: Cli) -> None:
    ended = made.made_run(cli.runs, "ended", attempts=1)
    open_ = RunRecord.create(cli.runs, made.made_spec("open"), None)
    for record in (ended, open_):
        (record.folder / "attempts" / "001").mkdir(exist_ok=True)
        fill(record.folder / "attempts" / "001" / "model")
        fill(record.folder / "volumes")
    before = {path for path in ended.folder.rglob("*") if path.is_file() and path.name != "content"}
    told = cli("clean", *(option for kind in disk.KINDS for option in ("--what", kind)))
    assert told.code == 0, told
    assert not (ended.folder / "attempts" / "001" / "model").exists()
    assert not (ended.folder / "volumes").exists()
    assert (open_.folder / "attempts" / "001" / "model").exists()
    assert (open_.folder / "volumes").exists()
    assert before <= {path for path in ended.folder.rglob("*") if path.is_file()}
    assert cli("runs").out.count("\n") == 3


def test_the_disks_of_a_killed_replay_go_and_are_no_part_of_the_record(cli: Cli) -> None:
    record = made.made_run(cli.runs, attempts=1)
    killed = record.folder / "reruns" / "001-replay" / "run-1"
    disks = fill(killed / "volumes" / "workspace")
    (disks / "link").symlink_to("/etc/passwd")  # what an agent has on its disk is nothing to read
    (killed / "run.json").write_text("{}")
    (record.folder / "reruns" / "001-replay.json").write_text("{}")  # without a verdict nothing of it is listed
    sealing.note_beside(record)
    beside = {"reruns/001-replay/run-1/run.json", "reruns/001-replay.json"}
    assert set(listing.parse(record.folder / "beside.sha256")) == beside
    assert cli("clean", "--what", "volumes").code == 0
    assert (disks.exists(), (killed / "run.json").exists()) == (False, True)
    assert sealing.check_beside(record.folder) == len(beside)


def test_models_of_a_run_that_is_worked_on_stay_and_are_not_counted(cli: Cli) -> None:
    record = made.made_run(cli.runs, attempts=1)
    model = fill(record.folder / "attempts" / "001" / "model")
    (kept,) = disk.find(["models"], cli.cache, cli.runs, None)
    with record.lock():
        for options in ((), ("--dry-run",)):
            told = cli("clean", "--what", "models", *options)
            assert "in use, and stays: models of run run-1" in told.out
            assert not any(word in told.out for word in ("remov", "free"))
        assert not kept.remove(), "begun after it was looked for"
        assert model.exists()
    assert kept.remove()


def test_volumes_that_are_still_attached_stay(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    record = made.made_run(cli.runs, attempts=1)
    volumes = fill(record.folder / "volumes")
    (kept,) = disk.find(["volumes"], cli.cache, cli.runs, None)
    attached = MountPoint(volumes / "workspace", frozenset(), "ext4", "/dev/loop0")
    monkeypatch.setattr(disk.mounts, "mounted", lambda pid="self": iter([attached]))
    assert not kept.remove(), "attached after it was looked for"
    told = cli("clean", "--what", "volumes", "--dry-run")
    assert "in use, and stays: volumes of run run-1" in told.out
    assert "would" not in told.out
    assert volumes.exists()
    monkeypatch.undo()
    assert kept.remove()


def test_a_download_that_is_being_fetched_stays(cli: Cli) -> None:
    folder = made_download(cli.cache)
    with FileLock(cli.cache / "downloads" / f"{DOWNLOAD}.lock"):
        assert "stays" in cli("clean", "--what", "downloads").out
        assert folder.exists()
    cli("clean", "--what", "downloads")
    assert not folder.exists()


def test_downloads_stay_while_assets_are_being_made_of_them(cli: Cli) -> None:
    """Assets in the making have a lock, and no folder of their name yet."""
    folder = made_download(cli.cache)
    (kept,) = disk.find(["downloads"], cli.cache, cli.runs, None)
    (cli.cache / "assets").mkdir()
    with (cli.cache / "assets" / "probe-abc.used").open("w") as used:
        fcntl.flock(used, fcntl.LOCK_SH)
        assert "in use, and stays" in cli("clean", "--what", "downloads").out
        assert not kept.remove(), "begun after it was looked for"
    assert folder.exists()
    assert kept.remove()


# -- what is not ours ------------------------------------------------------------------------------

KINDS_OF_THE_CACHE = tuple(
    option for kind in ("assets", "downloads", "signals", "logs") for option in ("--what", kind)
)


def test_what_the_harness_did_not_make_stays(cli: Cli) -> None:
    """A user may give a folder of their own for the cache, in which the same names mean something else."""
    cache = cli.cache
    fill(cache / "assets" / "mine")
    fill(cache / "assets" / "web", name="manifest.json", text='{"name": "app"}')
    fill(cache / "assets" / "empty", name="manifest.json", text="{}")
    fill(cache / "assets" / "linked").joinpath("manifest.json").symlink_to(cache.parent / "manifest.json")
    (cache.parent / "manifest.json").write_text(MANIFEST)
    fill(cache / "downloads" / "holiday")
    fill(cache / "downloads" / DOWNLOAD)
    fill(cache / "downloads" / "holiday-0123", name="fetched.json", text=NOTE)
    fill(cache / "downloads" / ("pool-" + "1" * 16), name="fetched.json", text=NOTE).joinpath("mine").touch()
    fill(cache / "signals" / "my", name=SHARD)
    fill(cache / "signals" / ("7" * 24))
    (cache / "signals" / ("8" * 24)).mkdir()
    fill(cache / "logs", name="server.log")
    before = sorted(cache.rglob("*"))
    told = cli("clean", *KINDS_OF_THE_CACHE)
    assert (told.code, told.out) == (0, "Nothing was left behind.\n")
    assert sorted(cache.rglob("*")) == before, "and no lock is put beside it"


def test_what_the_harness_made_beside_it_goes(cli: Cli) -> None:
    fill(cli.cache / "assets" / "mine")
    ours = [
        made_assets(cli.cache, "probe-abc"),
        made_download(cli.cache),
        made_shelf(cli.cache, 7),
        made_log(cli.cache),
    ]
    assert cli("clean", *KINDS_OF_THE_CACHE).code == 0
    assert not any(path.exists() for path in ours)
    assert (cli.cache / "assets" / "mine").exists()


def test_where_a_link_stands_for_a_folder_of_the_cache_nothing_goes(cli: Cli, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    ours = [
        made_assets(elsewhere, "probe-abc"),
        made_download(elsewhere),
        made_shelf(elsewhere, 7),
        made_log(elsewhere),
    ]
    (elsewhere / "assets" / ".probe-abc-0a1b2c3d").mkdir()
    (elsewhere / "assets" / "probe-abc.lock").touch()
    cli.cache.mkdir()
    for kind in ("assets", "downloads", "signals", "logs"):
        (cli.cache / kind).symlink_to(elsewhere / kind)
    before = sorted(elsewhere.rglob("*"))
    assert cli("clean", *KINDS_OF_THE_CACHE).out == "Nothing was left behind.\n"
    assert list(leftovers._half_made_assets(cli.cache)) == []
    assert sorted(elsewhere.rglob("*")) == before
    assert all(path.exists() for path in ours)


def test_links_that_lead_nowhere_end_nothing(cli: Cli) -> None:
    folder, log = made_download(cli.cache), made_log(cli.cache)
    (folder / "archive").symlink_to("nowhere")
    (cli.cache / "downloads" / "broken").symlink_to("nowhere")
    link = log.with_name(log.name.replace("77", "78"))
    link.symlink_to("nowhere")
    (log.with_name(log.name.replace("77", "79"))).mkdir()
    assert cli("clean", *KINDS_OF_THE_CACHE).code == 0
    assert (folder.exists(), log.exists(), link.is_symlink()) == (False, False, True)


def test_what_cannot_be_removed_is_said_and_the_rest_goes(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> bool:
        raise PermissionError(13, "Permission denied")

    log = made_log(cli.cache)
    refused = Kept("models", "models of another user", 10, 0.0, refuse)
    found = [refused, *disk.find(["logs"], cli.cache, cli.runs, None)]
    monkeypatch.setattr(disk, "find", lambda *arguments: found)
    told = cli("clean", "--what", "models", "--what", "logs")
    assert told.code == 0
    assert "cannot be removed and stays: models of another user: Permission denied" in told.out
    assert not log.exists()


class Images:
    """An engine that knows a few images."""

    def __init__(self, *images: dict[str, Any]) -> None:
        self.there = {image["Id"]: image for image in images}

    def images(self, label: str) -> list[dict[str, Any]]:
        return [image for image in self.there.values() if label in image["Labels"]]

    def inspect_image(self, name: str) -> dict[str, Any]:
        return self.there[name]

    def remove_image(self, name: str) -> None:
        del self.there[name]


def image(digit: int, *tags: str) -> dict[str, Any]:
    labels = {f"{LABEL}.image": "base", f"{LABEL}.inputs": "0" * 64}
    identity = "sha256:" + f"{digit}" * 64
    return {"Id": identity, "RepoTags": list(tags), "Labels": labels, "Size": 1000, "Created": 0}


def built_here(*images: dict[str, Any]) -> None:
    for one in images:
        image_builder.Builder._note(one["Id"])


def replaced(engine: Images, tmp_path: Path) -> list[Kept]:
    return disk.find(["images"], tmp_path, tmp_path, engine)  # type: ignore[arg-type]


def test_only_untagged_images_that_were_built_here_go(cli: Cli, tmp_path: Path) -> None:
    tagged, old, nameless = image(1, "curation-harness/base:latest"), image(2), image(3, "<none>:<none>")
    users = image(4)  # built on base, whose labels it has from there
    built_here(tagged, old, nameless)
    engine = Images(tagged, old, nameless, users)
    found = replaced(engine, tmp_path)
    assert [one.what for one in found] == ["replaced image base " + "2" * 12, "replaced image base " + "3" * 12]
    assert all(one.remove() for one in found)
    assert list(engine.there.values()) == [tagged, users]
    assert not image_builder.note_of(old["Id"]).exists()


def test_an_image_that_was_given_a_tag_since_stays(cli: Cli, tmp_path: Path) -> None:
    old = image(1)
    built_here(old)
    engine = Images(old)
    (kept,) = replaced(engine, tmp_path)
    old["RepoTags"] = ["mine:1"]
    assert not kept.remove()
    assert list(engine.there) == [old["Id"]]
    assert replaced(engine, tmp_path) == []


def test_a_record_goes_by_its_whole_name_only(cli: Cli) -> None:
    first, second = (made.made_run(cli.runs, name, attempts=1) for name in ("run-1", "run-11"))
    assert cli("clean", "--run", "run").code == RunUnknown.exit_code
    assert cli("clean", "--run", "last").code == RunUnknown.exit_code
    assert cli("clean", "--run", "run-1", "--dry-run").code == 0
    assert (first.folder.exists(), second.folder.exists()) == (True, True)
    assert cli("clean", "--run", "run-1").code == 0
    assert (first.folder.exists(), second.folder.exists()) == (False, True)
    assert sorted(path.name for path in cli.runs.glob(".*")) == []


@pytest.mark.parametrize("name", ["../run-1", "run-1/", ".", "..", "", "/etc", "run-1/attempts"])
def test_a_path_is_no_name_of_a_run(tmp_path: Path, name: str) -> None:
    record = made.made_run(tmp_path / "runs", attempts=1)
    with pytest.raises(RunUnknown):
        disk.remove_run(tmp_path / "runs", name)
    assert record.folder.exists()


def test_a_linked_foreign_or_misnamed_folder_is_not_removed(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    elsewhere = made.made_run(tmp_path / "elsewhere", "run-1", attempts=1)
    runs.mkdir()
    (runs / "run-1").symlink_to(elsewhere.folder)
    (runs / "other").mkdir()
    made.made_run(runs, "run-2", attempts=1).folder.rename(runs / "run-3")
    for name in ("run-1", "other", "run-3"):
        with pytest.raises(RecordInvalid):
            disk.remove_run(runs, name)
    assert sorted(path.name for path in runs.iterdir() if not path.name.startswith("policy")) == [
        "other",
        "run-1",
        "run-3",
    ]
    assert elsewhere.folder.exists()


def test_a_run_that_is_worked_on_is_not_removed(tmp_path: Path) -> None:
    record = made.made_run(tmp_path / "runs", attempts=1)
    with record.lock(), pytest.raises(RunBusy):
        disk.remove_run(tmp_path / "runs", "run-1")
    assert record.folder.exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--older-than", "3"),
        ("--older-than", "3y", "--what", "assets"),
        ("--max-size", "-1", "--what", "assets"),
        ("--max-size", "much", "--what", "assets"),
        ("--older-than", "3d"),
        ("--max-size", "1g", "--what", "leftovers"),
        ("--what", "records"),
    ],
)
def test_a_policy_that_makes_no_sense_is_wrong_usage(cli: Cli, options: tuple[str, ...]) -> None:
    assets = made_assets(cli.cache, "probe-abc", 400)
    assert cli("clean", *options).code == 2
    assert assets.exists()


# -- leftovers of killed processes -----------------------------------------------------------------


def dead_owner() -> owners.Owner:
    """A process of this machine that surely ended."""
    return owners.current().model_copy(update={"started": 1})


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "t"
    place.mkdir()
    monkeypatch.setattr(leftovers.tempfile, "tempdir", str(place))
    monkeypatch.setattr(leftovers.reaper, "leftovers", lambda engine: [])  # the machine's own are no matter here
    return place


def test_temporary_folders_of_dead_processes_go_and_nobody_elses(temporary: Path, tmp_path: Path) -> None:
    said = {
        "dead": dead_owner().model_dump_json(),
        "alive": owners.current().model_dump_json(),
        "unseen": owners.current().model_copy(update={"pid_namespace": "pid:[1]", "started": 1}).model_dump_json(),
        "foreign": "{}",
        "binary": "\x00",
    }
    for name, text in said.items():
        folder = fill(temporary / f"curation-{name}")
        (folder / owners.OWNER_FILE).write_text(text)
    fill(temporary / "curation-unmarked")
    fill(temporary / "others")
    (temporary / "others" / owners.OWNER_FILE).write_text(said["dead"])
    (temporary / "curation-link").symlink_to(temporary / "others")
    found = leftovers.find(None, tmp_path / "cache")
    assert [one.what for one in found] == [f"temporary folder {temporary / 'curation-dead'}"]
    for one in found:
        one.remove()
    assert not (temporary / "curation-dead").exists()
    assert len(list(temporary.iterdir())) == 7


def test_another_users_folder_of_sockets_is_not_looked_into(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a shared machine a user's ``resume`` and ``clean`` pass by what another user's run has there."""
    dead = temporary / "curation-theirs" / leftovers.SOCKETS / leftovers.SOCKET_NAME
    dead.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(dead))
    assert len(leftovers.find(None, tmp_path / "cache")) == 1, "it would be one, were it ours"
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    assert leftovers.find(None, tmp_path / "cache") == []


def test_half_records_go_when_their_process_is_gone(temporary: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    ended = subprocess.Popen(["true"])
    ended.wait()
    gone = fill(runs / f".a.{ended.pid}.tmp", days=1)
    fill(runs / f".b.{os.getpid()}.tmp", days=1)
    fill(runs / f".c.{ended.pid}.tmp")  # a moment ago: perhaps of another machine
    removed = fill(runs / ".d.removed.tmp")
    fill(runs / ".hidden.tmp")
    found = leftovers.find(None, tmp_path / "cache", runs)
    for one in found:
        one.remove()
    assert (gone.exists(), removed.exists()) == (False, False)
    assert len(list(runs.iterdir())) == 3


def test_what_a_killed_removal_of_assets_left_is_found(temporary: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    half_made = fill(cache / "assets" / ".probe-abc-x1y2z3_4")
    others = fill(cache / "assets" / ".probe-abc-holidays of mine")
    half_made.with_name(".probe-abc-linkedto").symlink_to(others)
    (cache / "assets" / "probe-abc.lock").touch()
    (one,) = leftovers.find(None, cache)
    one.remove()
    assert (half_made.exists(), others.exists()) == (False, True)


def test_what_a_killed_measurement_left_in_the_cache_is_found(temporary: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    code = (
        "import os, pathlib, sys; from curation_sandbox import owners\n"
        "with owners.scratch(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'selection.jsonl').write_text('1'); print(folder, flush=True); os.kill(os.getpid(), 9)"
    )
    told = subprocess.run([sys.executable, "-c", code, str(cache)], stdout=subprocess.PIPE, text=True, check=False)
    killed = Path(told.stdout.strip())
    assert (killed / "selection.jsonl").exists()
    with owners.scratch(cache) as alive:
        (one,) = leftovers.find(None, cache)
        one.remove()
        assert alive.is_dir()
    assert list(cache.iterdir()) == []


def test_a_folder_of_another_boot_waits_a_day_where_another_machine_may_be_at_work(
    temporary: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    other = owners.current().model_copy(update={"boot_id": "another"}).model_dump_json()
    for place in (temporary, cache):
        for name, days in (("young", 0.5), ("old", 2.0)):
            fill(place / f"curation-{name}", days=days, name=owners.OWNER_FILE, text=other)
    at_work = fill(cache / "curation-at-work", days=2, name=owners.OWNER_FILE, text=other)
    (at_work / "selection.jsonl").write_text("1")
    os.utime(at_work, (0, 0))
    fill(cache / "curation-dead", name=owners.OWNER_FILE, text=dead_owner().model_dump_json())
    assert [one.what.removeprefix("temporary folder ") for one in leftovers.find(None, cache)] == [
        f"{temporary}/curation-old",
        f"{temporary}/curation-young",
        f"{cache}/curation-dead",
        f"{cache}/curation-old",
    ]
