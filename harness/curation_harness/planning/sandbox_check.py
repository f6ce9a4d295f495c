"""Before a run: does what the sandbox promises hold in a container of this image, on this machine?

The conformance set takes a second or two, so its answer is kept in the cache, for the image, the runtime, the engine
and the kernel's boot it was given on, for a day. Only an answer without a missing property is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import threading
import time
from pathlib import Path
from typing import Final

from curation_harness.record.models import ImageUsed
from curation_harness.watcher import Watcher
from curation_sandbox import conformance
from curation_sandbox import engine as engines
from curation_sandbox.engine import EngineInfo
from curation_sandbox.errors import SandboxPropertyMissing

FOLDER: Final = "sandbox-checks"
"""In the cache."""
LASTS: Final = 86400
"""Seconds that an answer is good for: an engine can be reconfigured while it runs."""
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def require(image: ImageUsed, runtime: str | None, cache: Path, watcher: Watcher) -> None:
    """Refuse a run whose container would not be what the harness promises.

    Raises:
        SandboxPropertyMissing: a required property does not hold, with its name and what was found; or the engine
            has no such runtime.
        CurationError: no container could be started to look.
    """
    with engines.connect() as engine:
        info = engine.info()
        conformance.require_runtime(info, runtime)
        kept = place(cache, image, runtime, engine.host, info)
        if _fresh(kept):
            return
        under = f" under {runtime}" if runtime else ""
        watcher.step(f"checking the sandbox in a container of {image.name}{under}")
        found = conformance.sandbox_properties(engine, image.digest, runtime)
    missing = [one for one in found if one.required and not one.holds]
    if missing:
        told = "; ".join(f"{one.name} ({one.detail})" for one in missing)
        option = f" --runtime {runtime}" if runtime else ""
        raise SandboxPropertyMissing(
            f"A container of {image.name}{under} is not isolated here, so the run was not started: {told}",
            hint=f"`harness doctor --sandbox --image {image.name}{option}` says more. {missing[0].fix}",
        )
    _keep(kept, json.dumps([one.model_dump() for one in found], indent=1) + "\n")


def place(cache: Path, image: ImageUsed, runtime: str | None, host: str, info: EngineInfo) -> Path:
    """Where the answer is kept: named by everything that could change it.

    Args:
        host: the engine's address.
    """
    what = [
        conformance.fingerprint(),
        image.digest,
        runtime,
        host,
        os.geteuid(),
        platform.release(),
        _BOOT.read_text().strip() if _BOOT.exists() else "",
        [info.version, info.cgroup_version, info.cgroup_driver, info.storage_driver, info.root_dir],
        [sorted(info.security), sorted(info.runtimes), sorted(info.unenforced)],
    ]
    return cache / FOLDER / f"{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]}.json"


def _keep(kept: Path, text: str) -> None:
    """Best effort: without it the next run looks again. Runs that start at once may all write it."""
    scratch = kept.with_name(f".{kept.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(kept)
    except OSError:
        scratch.unlink(missing_ok=True)


def _fresh(kept: Path) -> bool:
    try:
        age = time.time() - kept.stat().st_mtime
    except OSError:
        return False
    return 0 <= age < LASTS  # a clock that was set back says nothing
