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
from curation_plugins.tasks.llava.tiny.settings import TinySettings

_TAIL = 2000
"""Characters of the process's error output that a message quotes."""


def make_assets(folder: Path, settings: TinySettings, progress: Progress) -> None:
    """Makes the assets in a process of its own: the caller stays free of torch, and threads are as set.

    Raises:
        AssetsInvalid: the process failed; the message ends with what it said last.
    """
    command = [
        sys.executable,
        "-m",
        "curation_plugins.tasks.llava.tiny.prepare",
        str(folder),
        settings.model_dump_json(),
    ]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(settings.base.recipe.threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
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
            raise AssetsInvalid(
                f"making the task's assets failed (exit code {process.returncode}):"
                f" …{complaints.read()[-_TAIL:].strip()}",
                hint="Training packages missing? Install the extra: pip install 'curation-harness[train]'.",
            )
