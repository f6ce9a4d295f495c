"""``harness signals``: shards kept, broken off and gone on with, swapped into the pool with its manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cli_bench import make_cli
from curation_harness import signal_shards
from curation_harness.desk.signals import SignalDesk
from curation_harness.measure import shipped_signals
from curation_harness.measure.shipped_signals import Shipped, SignalMaker
from curation_plugins import assets as task_assets
from curation_plugins.api import SignalValue, Task
from curation_plugins.errors import AssetsInvalid, AssetsMissing, WorkFailed
from curation_plugins.hub.wanted import UrlSource, Want
from curation_plugins.registry import Registry


def quiet(what: str, done: float) -> None:
    pass


class Session:
    """Answers with the row itself; breaks off after so many shards."""

    def __init__(self, shards: int = 10**6) -> None:
        self.left, self.asked = shards, 0

    def call(self, spec: Any, role: str, job: Any, result: Any, progress: Any) -> Any:
        if self.left == 0:
            raise WorkFailed("the worker died", hint="")
        self.left -= 1
        self.asked += len(job.rows)
        return result(values=tuple(float(row) for row in job.rows), seconds=0.5)


@pytest.fixture
def task(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setattr(signal_shards, "SHARD", 30)
    task = registry.tasks.get("probe")

    def write(assets: Path, measured: Mapping[str, Iterable[SignalValue]], folder: Path) -> None:
        (folder / "values.json").write_text(json.dumps({name: list(values) for name, values in measured.items()}))

    monkeypatch.setattr(task, "write_signals", write)
    return task


@pytest.fixture
def assets(task: Task, tmp_path: Path) -> Path:
    return task_assets.ensure(tmp_path / "cache", task, quiet)


def make(task: Task, assets: Path, session: Session) -> Shipped:
    return SignalMaker(task, assets, session, assets.parent.parent, quiet).run()  # type: ignore[arg-type]


def test_the_whole_pool_is_measured_and_ships_under_the_manifest(task: Task, assets: Path) -> None:
    before = task_assets.pool_digest(assets), task_assets.base_digest(assets)
    done = make(task, assets, Session())
    assert (done.rows, done.measured, done.seconds) == (400, 400, 7.0)
    shipped = json.loads((assets / "pool" / "signals" / "values.json").read_text())
    assert shipped == {"residual": [float(row) for row in range(400)]}
    task_assets.verify(assets, thorough=True)
    assert "pool/signals/values.json" in json.loads((assets / "manifest.json").read_text())
    assert (task_assets.pool_digest(assets), task_assets.base_digest(assets)) == before


def test_a_run_that_broke_off_goes_on_where_it_stopped(task: Task, assets: Path) -> None:
    with pytest.raises(WorkFailed):
        make(task, assets, Session(shards=5))
    assert not (assets / "pool" / "signals").exists()
    task_assets.verify(assets)
    again = Session()
    assert make(task, assets, again).measured == again.asked == 400 - 5 * 30
    third = Session(shards=0)
    assert make(task, assets, third).measured == 0


def test_signals_are_replaced_as_a_whole(task: Task, assets: Path) -> None:
    make(task, assets, Session())
    stale = assets / "pool" / "signals" / "values.json"
    first = stale.read_text()
    make(task, assets, Session())
    assert stale.read_text() == first
    assert [path.name for path in assets.parent.iterdir() if path.name.startswith(".")] == []
    task_assets.verify(assets)


def test_a_changed_pool_gets_no_signals(task: Task, assets: Path) -> None:
    rows = assets / "pool" / "rows.jsonl"
    rows.write_text(rows.read_text().replace("0", "1", 1))
    with pytest.raises(AssetsInvalid):
        make(task, assets, Session())
    assert not (assets / "pool" / "signals").exists()


def test_a_model_that_is_not_here_is_named(task: Task, assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    want = Want(name="clip", what="a CLIP model", source=UrlSource(url="https://example.org/clip"))
    monkeypatch.setattr(task, "shipped_signals", lambda: {"clip": want})
    assert shipped_signals.wants(task) == [want]
    with pytest.raises(AssetsMissing, match="a CLIP model is not here"):
        make(task, assets, Session())


def test_an_agent_finds_what_was_shipped_in_the_cache(task: Task, assets: Path, open_loop: Any) -> None:
    with open_loop() as loop:
        desk: SignalDesk = loop.handler.signals
        session = Session()
        SignalMaker(task, loop.parts.assets, session, desk.cache, quiet).run()  # type: ignore[arg-type]
        asked = loop.record.folder / "asked.txt"
        asked.write_text("".join(f"{row}\n" for row in range(400)))
        view = loop.handler.signal("residual", asked, None)
        assert (view.state, view.cached) == ("ready", True)
        assert view.values == tuple(float(row) for row in range(400))


def test_the_command_with_real_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    cli = make_cli(tmp_path, monkeypatch, capfd)
    told = cli("signals", "probe", "--json")
    assert told.code == 0, told.err
    done = json.loads(told.out)
    assert (done["signals"], done["rows"], done["measured"]) == (["residual"], 400, 400)
    lines = (Path(done["folder"]) / "signals.csv").read_text().splitlines()
    assert lines[0] == "row,residual"
    assert len(lines) == 401
    again = cli("signals", "probe")
    assert "residual over 400 rows; 0 values measured now" in again.out
    assert cli("signals", "probe", "--have", "clip=x").code != 0
    assert cli("signals", "nothing").code != 0
    assert cli.left_behind() == []
