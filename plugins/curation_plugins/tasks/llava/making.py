"""Runs the process that makes a task's assets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from curation_plugins.api import Progress
from curation_plugins.errors import AssetsInvalid
from curation_plugins.tasks.llava.settings import AssetSettings
from curation_plugins.tasks.llava.sources.settings import REFUSED
from curation_plugins.tasks.llava.tiny.settings import TinySettings

_TAIL = 2000
"""Characters of the process's error output that a message quotes."""


def make_assets(folder: Path, settings: AssetSettings, benchmarks: tuple[str, ...], progress: Progress) -> None:
    """Makes the assets in a process of its own: the caller stays free of torch, and threads are as set.

    Raises:
        AssetsInvalid: what was fetched cannot be used, or the process failed; the message ends with its last words.
    """
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(settings.base.recipe.threads if isinstance(settings, TinySettings) else 1),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
    command = _command(folder, settings, benchmarks)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, env=environment, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said = json.loads(line)
                progress(said["what"], said["done"])
        finally:
            if process.poll() is None and sys.exc_info()[0] is not None:
                process.kill()
        if process.wait() != 0:
            complaints.seek(0)
            raise _failure(process.returncode, complaints.read())


def _command(folder: Path, settings: AssetSettings, benchmarks: tuple[str, ...]) -> list[str]:
    if isinstance(settings, TinySettings):
        module, given = "tiny", settings.model_dump_json()
    else:
        module = "sources"
        given = json.dumps({"settings": settings.model_dump(mode="json"), "benchmarks": benchmarks})
    return [sys.executable, "-m", f"curation_plugins.tasks.llava.{module}.prepare", str(folder), given]


def _failure(code: int, complaints: str) -> AssetsInvalid:
    if code == REFUSED and complaints.strip():
        told = json.loads(complaints.strip().splitlines()[-1])
        return AssetsInvalid(told["message"], hint=told["hint"])
    return AssetsInvalid(
        f"making the task's assets failed (exit code {code}): …{complaints[-_TAIL:].strip()}",
        hint="Training packages missing? Install the extra: pip install 'curation-harness[train]'.",
    )
