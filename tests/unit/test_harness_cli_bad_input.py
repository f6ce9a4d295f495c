"""Bad input: one clear message on stderr, the exit code of its class, and nothing left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import made_records as made
from cli_bench import CONTROL, Cli, FakeEngine, Told, fake_engine, make_cli, sandbox_holds
from curation_harness.planning import sandbox_check
from curation_harness.record.models import FORMAT
from curation_harness.record.sealing import note_beside, seal
from curation_plugins import assets as task_assets
from curation_plugins.registry import Registry
from curation_sandbox import engine as engines
from small_file_system import small_file_system


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """The command, where no engine answers."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    return make_cli(tmp_path, monkeypatch, capfd)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    """An engine that has the image, and cannot make a container."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine")
    with fake_engine(tmp_path / "engine", image=True) as engine:
        yield engine


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    with small_file_system(tmp_path / "small", "64k") as place:
        yield place


def says(told: Told, code: int, *words: str) -> None:
    """One message, with these words, this exit code, and nothing else."""
    assert told.code == code, told
    assert told.out == ""
    messages = [line for line in told.err.splitlines() if line.lower().startswith("error: ")]
    assert len(messages) == 1, told.err
    assert "Traceback" not in told.err
    assert not CONTROL.search(told.err)
    for word in words:
        assert word in told.err


# -- what was asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "wrong", "near"),
    [
        ("--task", "prob", "probe"),
        ("--agent", "basline", "baseline"),
        ("--scaffold", "opne", "open"),
        ("--engine", "locl", "local"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(cli: Cli, option: str, wrong: str, near: str) -> None:
    wanted = {"--task": "probe", "--agent": "nop", option: wrong}
    told = cli("launch", *(word for pair in wanted.items() for word in pair))
    says(told, 21, repr(wrong), near, f"`harness {option[2:]}s`")
    assert cli.left_behind() == []


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("budgets.iteratons=3", ("budgets.iteratons", "did you mean 'iterations'?")),
        ("recipe.epoch=3", ("recipe.epoch", "did you mean 'epochs'?")),
        ("budgets.iterations=many", ("budgets.iterations", "integer")),
        ("limits.memory=12 parsecs", ("limits.memory", "is no size")),
        ("budgets.iterations", ("is not KEY=VALUE", "--set budgets.iterations=10")),
        ("budgets.iterations=[1", ("not YAML",)),
        ("=3", ("is not KEY=VALUE",)),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(cli: Cli, setting: str, words: tuple[str, ...]) -> None:
    says(cli("launch", "--task", "probe", "--agent", "nop", "--set", setting), 23, *words)
    assert cli.left_behind() == []


@pytest.mark.parametrize("name", ["A b", "../up", ".hidden", "", "x" * 64, "a\x1b[31mred", "a\n"])
def test_a_bad_run_id_is_refused(cli: Cli, name: str) -> None:
    told = cli("launch", "--task", "probe", "--agent", "nop", "--run-id", name)
    says(told, 47, "--run-id")
    assert cli.left_behind() == []


def test_a_run_id_that_is_taken(cli: Cli) -> None:
    made.made_run(cli.runs, run_id="mine")
    before = sorted(path.name for path in cli.runs.rglob("*"))
    says(cli("launch", "--task", "probe", "--agent", "nop", "--run-id", "mine"), 41, "mine", "--run-id")
    assert sorted(path.name for path in cli.runs.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--agent", "command"), ("no command to run", "--agent-arg")),
        (("--agent", "nop", "--agent-arg", "x"), ("takes no --agent-arg",)),
        (("--agent", "command", "--agent-arg", "'open"), ("cannot be split",)),
    ],
)
def test_options_that_an_agent_cannot_use(
    cli: Cli, engine: FakeEngine, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    says(cli("launch", "--task", "probe", *arguments), 23, *words)
    assert cli.left_behind() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("luanch",), ("luanch", "'launch'")),
        (("launch", "--itertions", "3"), ("--itertions", "--iterations")),
        (("launch", "--iterations", "0"), ("--iterations", "x>=1")),
        (("launch", "--agent-dir", "/nonexistent"), ("/nonexistent", "does not exist")),
        (("completion", "tcsh"), ("bash", "zsh", "fish")),
        (("rerun", "last"), ("--submissions",)),
    ],
)
def test_wrong_usage_is_told_by_the_command_line_itself(
    cli: Cli, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    says(cli(*arguments), 2, *words)
    assert cli.left_behind() == []


# -- a task's files --------------------------------------------------------------------------------


def install(folder: Path, name: str, source: str) -> None:
    """A distribution whose plugin is this source, as pip would lay it out."""
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[curation_harness]\n{name} = {name}\n")


PLUGIN = """
from pathlib import Path
from curation_plugins import hookimpl
from curation_plugins.config import load

@hookimpl
def register_tasks(register):
    load(Path({path!r}))
"""


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("name: mine\nbudgets: {iterations: 3\n", 3, ()),
        ("name: mine\nname: yours\n", 2, ("stands in line 1 too",)),
        (
            "name: mine\nfamily: probe\ntitle: t\nbenchmarks: [b]\nsubmission:\n  rows_mx: 3\n",
            6,
            ("rows_mx", "rows_max"),
        ),
        ("name: mine\nfamily: probe\ntitle: t\nbenchmarks: []\nsubmission: {rows_max: 3}\n", 4, ("benchmarks",)),
    ],
)
def test_a_bad_task_file_is_named_with_line_and_field_and_the_rest_works(
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    line: int,
    words: tuple[str, ...],
) -> None:
    path = tmp_path / "mine" / "task.yaml"
    path.parent.mkdir()
    path.write_text(text)
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    install(plugins, f"mine_{line}_{len(text)}", PLUGIN.format(path=str(path)))
    monkeypatch.syspath_prepend(plugins)
    told = cli("launch", "--task", "mine", "--agent", "nop")
    says(told, 21, "'mine'", str(path), f"line {line}", *words)
    assert told.err.count("warning: ") == 1
    assert cli("tasks", "--json").code == 0
    assert cli.left_behind() == []


def test_a_pool_that_was_changed_since_its_manifest(cli: Cli, engine: FakeEngine, registry: Registry) -> None:
    assets = task_assets.ensure(cli.cache, registry.tasks.get("probe"), lambda what, done: None)
    rows = assets / "pool" / "rows.jsonl"
    rows.write_text(rows.read_text().replace('"y": 0', '"y": 1', 1))
    sandbox_holds(cli.cache)
    told = cli("launch", "--task", "probe", "--agent", "nop")
    says(told, 24, "pool/rows.jsonl", "manifest", f"Remove {assets}")
    assert cli.left_behind() == []
    assert not [request for request in engine.asked if request.startswith("POST")]


# -- the machine -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", ["file", "file/below", "/proc/nowhere", "/sys/nowhere"], ids=["file", "below-a-file", "proc", "sys"]
)
def test_a_folder_for_runs_that_cannot_be_written(cli: Cli, engine: FakeEngine, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    told = cli("launch", "--task", "probe", "--agent", "nop", "--run-dir", str(tmp_path / place))
    says(told, 45, "cannot hold a run", "--run-dir")
    assert cli.left_behind() == []
    assert (tmp_path / "file").read_text() == "mine"


def test_a_cache_that_cannot_be_written(cli: Cli, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATION_CACHE", "/proc/nowhere")
    says(cli("launch", "--task", "probe", "--agent", "nop"), 45, "/proc/nowhere", "CURATION_CACHE")
    assert cli.left_behind() == []


def test_a_full_disk_of_the_runs(cli: Cli, engine: FakeEngine, small_disk: Path) -> None:
    (small_disk / "other").write_bytes(bytes(40_000))
    told = cli("launch", "--task", "probe", "--agent", "nop", "--run-dir", str(small_disk / "runs"))
    says(told, 15, str(small_disk), "--run-dir")
    assert list((small_disk / "runs").iterdir()) == []


def test_a_disk_too_small_for_the_volumes(cli: Cli, engine: FakeEngine) -> None:
    told = cli("launch", "--task", "probe", "--agent", "nop", "--set", "limits.workspace_size=9000t")
    says(told, 15, "free", "limits.workspace_size")
    assert cli.left_behind() == []


def test_a_disk_that_fills_up_while_the_pool_is_made(
    cli: Cli, engine: FakeEngine, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATION_CACHE", str(small_disk))
    monkeypatch.setattr(sandbox_check, "require", lambda *given: None)  # its answer would take room there
    told = cli("launch", "--task", "probe", "--agent", "nop", "--set", "assets.rows=20000")
    says(told, 15, "disk is full")
    assert [path.name for path in (small_disk / "assets").iterdir() if path.is_dir()] == []
    assert cli.left_behind() == []


def test_more_processors_than_there_are(cli: Cli, engine: FakeEngine) -> None:
    told = cli("launch", "--task", "probe", "--agent", "nop", "--set", "limits.cpus=5000")
    says(told, 47, "limits.cpus", "--set limits.cpus=")
    assert cli.left_behind() == []


# -- the engine ------------------------------------------------------------------------------------


def test_no_engine(cli: Cli) -> None:
    says(cli("launch", "--task", "probe", "--agent", "nop"), 10, "/nonexistent", "harness doctor")
    assert cli.left_behind() == []
    assert not cli.cache.exists()


@pytest.mark.parametrize(("version", "api"), [("19.03.15", "1.40"), ("1.6.0", "1.18")])
def test_an_engine_too_old(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, api: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine")
    with fake_engine(tmp_path / "engine", version=version, api=api, image=True) as engine:
        says(cli("launch", "--task", "probe", "--agent", "nop"), 11, "too old")
        assert not [request for request in engine.asked if request.startswith("POST")]
    assert cli.left_behind() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("base", "not built yet", "harness images build base")),
        (("--set", "image=nothere"), ("nothere", "images/ has: base")),
    ],
)
def test_an_image_that_is_missing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine")
    with fake_engine(tmp_path / "engine"):
        says(cli("launch", "--task", "probe", "--agent", "nop", *arguments), 12, *words)
    assert cli.left_behind() == []


def test_a_container_that_cannot_be_made_leaves_no_run(cli: Cli, engine: FakeEngine) -> None:
    told = cli("launch", "--task", "probe", "--agent", "nop")
    says(told, 14, "container")
    assert cli.left_behind() == []
    assert [request for request in engine.asked if request.startswith("POST")]


def test_the_fake_engine_is_taken_for_one(engine: FakeEngine) -> None:
    """Else the tests above would pass for another reason."""
    with engines.connect() as connected:
        assert connected.info().version == "24.0.7"
    assert any(request.endswith("/info") for request in engine.asked)


# -- records ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["show", "report", "resume", "finish"])
def test_an_unknown_run(cli: Cli, command: str) -> None:
    made.made_run(cli.runs, run_id="here")
    says(cli(command, "there"), 42, "'there'", "`harness runs`")


def test_no_run_at_all(cli: Cli) -> None:
    says(cli("show"), 42, str(cli.runs))
    assert cli("runs").code == 0
    assert json.loads(cli("runs", "--json").out) == []


def test_a_beginning_that_two_runs_share(cli: Cli) -> None:
    for name in ("run-a", "run-b"):
        made.made_run(cli.runs, run_id=name)
    says(cli("show", "run-"), 42, "2 runs begin with 'run-'")


def damage_cut(folder: Path) -> None:
    (folder / "run.json").write_text((folder / "run.json").read_text()[:100])


def damage_empty(folder: Path) -> None:
    (folder / "run.json").write_bytes(b"")


def damage_binary(folder: Path) -> None:
    (folder / "run.json").write_bytes(b"\xff\xfe\x00")


def damage_events(folder: Path) -> None:
    lines = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    (folder / "events.jsonl").write_text("".join(lines[:1] + lines[2:]))


def damage_result(folder: Path) -> None:
    path = folder / "attempts" / "001" / "result.json"
    path.write_text(re.sub(r'"status": *"scored"', '"status": "excellent"', path.read_text()))


def damage_submission(folder: Path) -> None:
    (folder / "attempts" / "001" / "submission.json").unlink()


DAMAGES = [damage_cut, damage_empty, damage_binary, damage_events, damage_result, damage_submission]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_named_and_does_not_hide_the_others(cli: Cli, damage: Callable[[Path], None]) -> None:
    record = made.made_run(cli.runs, run_id="broken")
    made.made_run(cli.runs, run_id="whole")
    damage(record.folder)
    says(cli("show", "broken"), 44, str(record.folder))
    listed = json.loads(cli("runs", "--json").out)
    assert {line["run"]: line["status"].startswith("unreadable") for line in listed} == {
        "broken": True,
        "whole": False,
    }
    assert cli("show", "whole").code == 0


def test_a_record_of_a_newer_version(cli: Cli) -> None:
    record = made.made_run(cli.runs, run_id="newer")
    tree = json.loads((record.folder / "run.json").read_text())
    (record.folder / "run.json").write_text(json.dumps({**tree, "format": FORMAT + 1}))
    for command in ("show", "report", "resume", "finish"):
        says(cli(command, "newer"), 44, f"record format {FORMAT + 1}", "newer curation-harness")


def test_a_run_that_has_ended_has_nothing_to_go_on_with(cli: Cli) -> None:
    record = made.made_run(cli.runs, run_id="over")
    seal(record)
    (record.folder / "report.html").write_text("a page")
    note_beside(record)
    before = (record.folder / "events.jsonl").read_bytes()
    for command in ("resume", "finish"):
        says(cli(command, "over"), 47, "nothing to go on with")
    assert (record.folder / "events.jsonl").read_bytes() == before
