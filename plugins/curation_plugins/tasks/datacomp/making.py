"""Runs the process that makes a task's assets."""

from __future__ import annotations

import json
from pathlib import Path

from curation_plugins.api import Progress
from curation_plugins.making import run_maker
from curation_plugins.tasks.datacomp.settings import AssetSettings
from curation_plugins.tasks.datacomp.tiny.settings import TinySettings


def make_assets(folder: Path, settings: AssetSettings, benchmarks: tuple[str, ...], progress: Progress) -> None:
    """Makes what is made here, or indexes what was fetched.

    Raises:
        AssetsInvalid: what was fetched cannot be used, or the process failed; the message ends with its last words.
    """
    if isinstance(settings, TinySettings):
        module, given = "tiny", settings.model_dump_json()
    else:
        module = "sources"
        given = json.dumps({"settings": settings.model_dump(mode="json"), "benchmarks": benchmarks})
    run_maker(f"curation_plugins.tasks.datacomp.{module}.prepare", folder, given, 1, progress)
