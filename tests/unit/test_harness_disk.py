"""``harness clean``: what goes by policy, what never goes, and what killed processes left."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

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
from curation_sandbox import owners

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
    return make_cli(tmp_path, monkeypatch, capfd)


def fill(folder: Path, size: int = 10_000, days: float = 0.0) -> Path:
    folder.mkdir(parents=True)
    (folder / "content").write_bytes(b"x" * size)
    then = time.time() - days * DAY
    for path in (folder / "content", folder):
        os.utime(path, (then, then))
    return folder


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
    assets = fill(cli.cache / "assets" / "probe-abc", days=40)
    told = cli("clean", "--what", "assets", "--older-than", "30d", "--dry-run")
    assert (told.code, assets.exists()) == (0, True)
    assert "would remove assets probe-abc" in told.out
    assert "last used 40 days ago" in told.out
    assert "would free" in told.out


def test_old_assets_go_and_young_ones_stay(cli: Cli) -> None:
    old, young = (fill(cli.cache / "assets" / f"probe-{days}", days=days) for days in (40, 2))
    told = cli("clean", "--what", "assets", "--older-than", "30d")
    assert told.code == 0
    assert (old.exists(), young.exists()) == (False, True)
    assert sorted(path.name for path in (cli.cache / "assets").glob(".*-*")) == []


def test_the_longest_unused_go_until_the_rest_is_small_enough(cli: Cli) -> None:
    folders = [fill(cli.cache / "signals" / f"s{days}", 100_000, days) for days in (3, 1, 2)]
    cli("clean", "--what", "signals", "--max-size", "250k")
    assert [folder.exists() for folder in folders] == [False, True, True]
    cli("clean", "--what", "signals", "--max-size", "0")
    assert not any(folder.exists() for folder in folders)


def test_what_a_live_process_uses_stays_until_it_is_killed(cli: Cli) -> None:
    assets = fill(cli.cache / "assets" / "probe-abc", days=40)
    download = fill(cli.cache / "downloads" / "pool-1", days=40)
    command = [sys.executable, "-c", USING, str(assets)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        used = task_assets.last_used(assets)
        assert time.time() - used < DAY, "using them is a use"
        assert not task_assets.remove(assets)
        told = cli("clean", "--what", "assets", "--what", "downloads")
        assert "would" not in told.out
        assert (assets.exists(), download.exists()) == (True, True)
        process.kill()
    cli("clean", "--what", "assets", "--what", "downloads")
    assert (assets.exists(), download.exists()) == (False, False)


def test_assets_in_the_making_stay(cli: Cli) -> None:
    assets = fill(cli.cache / "assets" / "probe-abc")
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
    sealing.note_beside(record)
    assert set(listing.parse(record.folder / "beside.sha256")) == {"reruns/001-replay/run-1/run.json"}
    assert cli("clean", "--what", "volumes").code == 0
    assert (disks.exists(), (killed / "run.json").exists()) == (False, True)
    assert sealing.check_beside(record.folder) == 1


def test_models_of_a_run_that_is_worked_on_stay(cli: Cli) -> None:
    record = made.made_run(cli.runs, attempts=1)
    fill(record.folder / "attempts" / "001" / "model")
    with record.lock():
        assert "stays" in cli("clean", "--what", "models").out
        assert (record.folder / "attempts" / "001" / "model").exists()


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
    assets = fill(cli.cache / "assets" / "probe-abc", days=400)
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
    fill(cache / "assets" / ".probe-abc-x1y2")
    (cache / "assets" / "probe-abc.lock").touch()
    (one,) = leftovers.find(None, cache)
    one.remove()
    assert not (cache / "assets" / ".probe-abc-x1y2").exists()


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
