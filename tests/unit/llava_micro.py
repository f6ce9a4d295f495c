"""A whole set of LLaVA assets in seconds: the real classes and code, an almost untrained model."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from curation_plugins.config import TaskConfig
from curation_plugins.tasks.llava.task import LlavaTask

ROWS = 320

RECIPE = {
    "steps": 4,
    "batch": 8,
    "lr": 1e-3,
    "average_last": 0.5,
    "max_tokens": 64,
    "eval_batch": 16,
}


def micro_task() -> LlavaTask:
    """The task over `ROWS` rows whose base model had a handful of steps."""
    return LlavaTask(
        TaskConfig.model_validate(
            {
                "name": "llava-tiny",
                "family": "llava",
                "title": "a set of assets made in seconds",
                "submission": {"rows_max": 40},
                "benchmarks": ["digits", "signs", "lookup", "counting", "existence"],
                "assets": {
                    "rows": ROWS,
                    "items": 20,
                    "base": {
                        "tower_steps": 3,
                        "images": 64,
                        "layers": 1,
                        "recipe": {"steps": 3, "batch": 16, "lr": 1e-3, "max_tokens": 64},
                    },
                },
                "recipe": RECIPE,
            }
        )
    )


@lru_cache(maxsize=1)
def micro_assets() -> Path:
    """The task's files, made once for all tests of a process that only read them."""
    folder = Path(tempfile.mkdtemp(prefix="curation-micro-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    micro_task().prepare(folder, lambda what, done: None)
    return folder
