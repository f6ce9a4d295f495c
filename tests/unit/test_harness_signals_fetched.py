"""``harness signals`` on a fetched task, as one command: from a hub to the files in the pool."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from cli_bench import make_cli
from curation_plugins import assets as task_assets
from curation_plugins.errors import AssetsMissing
from fetched_task import put_model_and_pool, put_on, tree
from hub_bench import serving
from llava_micro import RECIPE, micro_task
from small_clip import tiny_clip

pytestmark = [pytest.mark.train, pytest.mark.slow]  # a worker loads torch, after a base model was made


def test_the_signals_of_a_fetched_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made = task_assets.ensure(tmp_path / "micro", micro_task(), lambda what, done: None)
    cli = make_cli(tmp_path, monkeypatch, capfd)
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        put_on(hub, tmp_path)
        rows = put_model_and_pool(hub, made)
        described = tree(hub)
        described["assets"]["pool"]["rows"] = rows
        keys = ("model", "pool", "benchmark_files")
        settings = {f"assets.{key}": described["assets"][key] for key in keys}
        settings |= {"benchmarks": ["MMStar"], "submission.rows_max": 20, "recipe": RECIPE, "recipe.epochs": None}
        over = [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]
        clip = f"clip={tiny_clip(tmp_path / 'clip')}"
        early = cli("signals", "llava", "--have", clip, *over)
        assert early.code == AssetsMissing.exit_code
        assert "`harness fetch llava`" in early.err
        assert cli("fetch", "llava", *over).code == 0
        told = cli("signals", "llava", "--have", clip, "--json", *over)
    assert told.code == 0, told.err
    done = json.loads(told.out)
    assert done["measured"] == 3 * rows
    folder = Path(done["folder"])
    with (folder / "signals.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert len(table) == rows
    assert all(float(row["answer_loss"]) > 0 for row in table)
    with_image = [bool(row["image_hash"]) for row in table]
    assert 0 < sum(with_image) < rows
    assert [bool(row["similarity"]) for row in table] == with_image
    vectors = np.load(folder / "clip_embeddings.npy")
    assert vectors.shape == (rows, 32)
    again = cli("signals", "llava", "--json", *over)
    assert json.loads(again.out)["measured"] == 0
