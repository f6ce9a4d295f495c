"""Every selection method on llava-tiny, and the same selection again from its manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation_plugins import assets as task_assets
from curation_plugins.agents.programs.baseline import choose
from curation_plugins.agents.programs.baseline.plan import METHODS
from curation_plugins.agents.programs.baseline.selection.method import Method
from curation_plugins.agents.programs.baseline.selection.pool import Pool
from curation_plugins.agents.programs.baseline.selection.standalone import differences, manifest, run, written
from curation_plugins.jobs import SignalJob, SignalResult
from curation_plugins.registry import Registry
from curation_plugins.tasks.llava import layout, released

pytestmark = pytest.mark.train

COUNT = 1000


@pytest.fixture(scope="module")
def folder(registry: Registry, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pool (a link), and beside it what it does not ship: EL2N, target texts, two lists."""
    task = registry.tasks.get("llava-tiny")
    assets = task_assets.ensure(cache, task, _quiet)
    folder = tmp_path_factory.mktemp("baselines")
    (folder / "pool").symlink_to(layout.pool(assets))
    extra = folder / "extra"
    extra.mkdir()
    rows = tuple(range(task.pool_rows(assets)))
    job = SignalJob(name="el2n", rows=rows, assets=assets, recipe=task.config.recipe)
    with registry.engines.get("local").open(
        run_id="baselines", log=folder / "workers.log", config=task.config
    ) as session:
        found = session.call(task.worker("signal"), "signal", job, SignalResult, _quiet)
    np.savez(extra / "el2n.npz", el2n=np.array(found.values, dtype=float))
    (extra / "target.txt").write_text("How many circles are there? Three.\nWhich digit is shown? Seven.\n")
    records = [_published(json.loads(line)) for line in layout.rows_file(assets).open(encoding="utf-8")]
    for name, start in (("icons", 0), ("ards", 1)):
        listed = folder / f"{name}.json"
        listed.write_text(json.dumps(records[start::4]))
        released.write(name, listed, layout.pool(assets), extra)
    return folder


def _quiet(what: str, done: float) -> None:
    pass


def _published(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the authors' file has it: without our folder in the image's path."""
    row.pop("source")
    image = row.pop("image")
    return row if image is None else {**row, "image": image.removeprefix("images/")}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_it_selects_on_llava_tiny_and_again_from_its_manifest(method: Method, folder: Path, tmp_path: Path) -> None:
    pool, extra, out = folder / "pool", folder / "extra", tmp_path / "out"
    choose.make(method, dict(method.settings[0]), pool, COUNT, 7, extra, out)
    told = json.loads((out / "manifest.json").read_text())
    lines = (out / ("records.jsonl" if method.rewrite else "rows.txt")).read_text().splitlines()
    assert told["selected"] == len(lines) == len(set(lines)) <= COUNT
    assert len(lines) > COUNT // 2
    again = Pool(pool, out / "signals")
    rows = run(method, again, told["count"], told["seed"], told["parameters"])
    data = written(method, again, rows, told["seed"])
    made = manifest(method, again, out / "signals", told["count"], told["seed"], told["parameters"], rows, data)
    assert differences(told, json.loads(json.dumps(made))) == []
