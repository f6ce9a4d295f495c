"""One run's agent in its container: which folders, sockets and volumes it gets."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

CURATE = Path(str(importlib.resources.files("curation_sandbox"))) / "incontainer" / "curate.py"
"""The command ``curate``: one file, mounted read-only."""
