"""Submissions of hundreds of megabytes are streamed: neither side holds them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIZE = 96 * 2**20


def test_a_large_submission_is_held_in_memory_on_neither_side(tmp_path: Path) -> None:
    file = tmp_path / "list.npy"
    with file.open("wb") as out:
        out.truncate(SIZE)
    command = [sys.executable, str(HERE / "large_upload.py"), str(tmp_path), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["reply"]["rows"] == SIZE
    assert told["server"] < SIZE / 2**20 / 3
    assert told["client"] < SIZE / 2**20 / 2
