"""Where things are kept: runs, and what is made once and reused.

| what | default | override |
|---|---|---|
| runs | ``./runs`` | ``--run-dir`` or ``CURATION_RUNS`` |
| cache (assets, references) | ``~/.cache/curation-harness`` | ``CURATION_CACHE`` |
"""

from __future__ import annotations

import os
from pathlib import Path


def runs() -> Path:
    return Path(os.environ.get("CURATION_RUNS") or "runs").resolve()


def cache() -> Path:
    chosen = os.environ.get("CURATION_CACHE")
    if chosen:
        return Path(chosen).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "curation-harness"
