"""Makes a task's files in a process of its own: the caller stays free of torch, and threads are as set.

A maker is a module that is run as ``python -m MODULE FOLDER JSON`` and reports progress on its standard output, one
JSON object a line: ``{"what": str, "done": float}``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from curation_plugins.api import Progress
from curation_plugins.errors import AssetsInvalid

REFUSED = 3
"""Exit code of a maker when what it was given cannot be used: the last line of its stderr is a JSON object with
``message`` and ``hint``."""

EPOCH = 1_600_000_000
"""Modification time of every file of a made pool, seconds since 1970."""

_TAIL = 2000
"""Characters of the process's error output that a message quotes."""


def run_maker(module: str, folder: Path, given: str, threads: int, progress: Progress) -> None:
    """Run a maker to its end.

    Args:
        given: its settings, as JSON.

    Raises:
        AssetsInvalid: what was given cannot be used, or the process failed; the message ends with its last words.
    """
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-m", module, str(folder), given]
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


def report(what: str, done: float) -> None:
    """Tells progress, from inside a maker."""
    sys.stdout.write(json.dumps({"what": what, "done": done}) + "\n")
    sys.stdout.flush()


def level_times(folder: Path) -> None:
    """Gives everything below a folder, and the folder, the same modification time."""
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (EPOCH, EPOCH))


def _failure(code: int, complaints: str) -> AssetsInvalid:
    if code == REFUSED and complaints.strip():
        told = json.loads(complaints.strip().splitlines()[-1])
        return AssetsInvalid(told["message"], hint=told["hint"])
    return AssetsInvalid(
        f"making the task's assets failed (exit code {code}): …{complaints[-_TAIL:].strip()}",
        hint="Training packages missing? Install the extra: pip install 'curation-harness[train]'.",
    )
