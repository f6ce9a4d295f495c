"""A fetched task is the code path of `llava-tiny`: trained and scored with a small model from a hub on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_harness.attempts.trial import TrialRunner
from curation_plugins import assets as task_assets
from curation_plugins import selection
from curation_plugins.config import TaskConfig
from curation_plugins.contracts.task_files import check_task_files
from curation_plugins.engines.local import LocalEngine
from curation_plugins.tasks.llava.task import LlavaTask
from fetched_task import fetch_all, put_model_and_pool, put_on, tree
from hub_bench import serving
from llava_micro import RECIPE, micro_task

pytestmark = [pytest.mark.train, pytest.mark.slow]  # two workers load torch, after a base model was made


def test_a_fetched_task_is_trained_and_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = task_assets.ensure(tmp_path / "micro", micro_task(), lambda what, done: None)
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        put_on(hub, tmp_path)
        rows = put_model_and_pool(hub, made)
        described = tree(hub)
        described["assets"]["pool"]["rows"] = rows
        described |= {"recipe": RECIPE, "submission": {"rows_max": 20}}
        task = LlavaTask(TaskConfig.model_validate(described))
        fetch_all(task, tmp_path / "cache")
        assets = task_assets.ensure(tmp_path / "cache", task, lambda what, done: None)
    check_task_files(task, assets)
    chosen = tmp_path / "selection.jsonl"
    chosen.write_bytes(selection.of_rows(list(range(20))).canonical())
    with LocalEngine().open(run_id="fetched", log=tmp_path / "workers.log", config=task.config) as session:
        trial = TrialRunner(task, assets, session).run(chosen, 1, tmp_path, lambda what, done: None)
    assert trial.public.n + trial.sealed.n == 24
    assert set(trial.public.by_benchmark) == {"MMStar"}
