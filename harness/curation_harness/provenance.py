"""What the record says about the machine and the code a run was made with."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import psutil

from curation_harness.record.models import CodeRevision, Hardware
from curation_plugins.api import Task
from curation_sandbox import __version__

PACKAGES = (
    "accelerate",
    "docker",
    "genai-prices",
    "httpx",
    "numpy",
    "open_clip_torch",
    "peft",
    "pillow",
    "pluggy",
    "pydantic",
    "scikit-learn",
    "tokenizers",
    "starlette",
    "torch",
    "transformers",
    "vllm",
)
"""Distributions whose version can change a score or the protocol."""


READ_BYTES: Final = 64 * 2**20
"""Largest folder of an agent's that is read for its digest."""


def code_revision() -> CodeRevision:
    here = Path(__file__).resolve().parent
    revision = _git(here, "rev-parse", "HEAD")
    changes = _git(here, "status", "--porcelain", "--untracked-files=no") if revision else None
    return CodeRevision(version=__version__, revision=revision, dirty=None if changes is None else bool(changes))


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command, only if ``folder`` is part of the checkout itself (not of site-packages)."""
    command = ["git", "-C", str(folder)]
    try:
        known = subprocess.run(
            [*command, "ls-files", "--error-unmatch", Path(__file__).name], capture_output=True, timeout=10
        )
        if known.returncode != 0:
            return None
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def packages() -> dict[str, str]:
    found: dict[str, str] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def package_digests() -> dict[str, str]:
    """SHA-256 over what each of ``PACKAGES`` was installed with: the list of its files and their digests.

    Left out of a list is what an installer makes by itself and differently on each machine: compiled files, scripts,
    its own notes. A package without a list (an editable one) is not there.
    """
    found = {}
    for name in PACKAGES:
        try:
            record = importlib.metadata.distribution(name).read_text("RECORD")
        except importlib.metadata.PackageNotFoundError:
            continue
        lines = [line for line in (record or "").splitlines() if _shipped(line)]
        if lines:
            found[name] = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    return found


def _shipped(line: str) -> bool:
    """Whether a line of a ``RECORD`` is of a file that was in the package."""
    path, _, rest = line.partition(",")
    return rest.startswith("sha256=") and not path.startswith("..") and ".dist-info/" not in path


@cache
def hardware() -> Hardware:
    return Hardware(
        machine=platform.machine(),
        processor=_processor(),
        cpus=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        gpus=_gpus(),
        kernel=platform.release(),
    )


def folder_digest(folder: Path) -> str | None:
    """SHA-256 over the names and contents of a folder's files, in order of names; links by where they point. None:
    it holds more than ``READ_BYTES``, or something cannot be read."""
    total, left = hashlib.sha256(), READ_BYTES
    try:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink():
                content = os.fsencode(path.readlink())
            elif path.is_file():
                if (left := left - path.stat().st_size) < 0:
                    return None
                content = path.read_bytes()
            else:
                continue
            name = os.fsencode(path.relative_to(folder))
            total.update(name + b"\0" + hashlib.sha256(content).digest())
    except OSError:
        return None
    return total.hexdigest()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _gpus() -> tuple[str, ...]:
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(done.stdout.strip().splitlines()) if done.returncode == 0 else ()


def recipe_digest(task: Task) -> str:
    """SHA-256 over all that fixes a task's scores but the pool's bytes: recipe, what answers and grades, benchmarks,
    row limit, assets.

    References compare with a run when this and the pool's digest are equal.
    """
    config = task.config
    fixed = {
        "family": config.family,
        "recipe": config.recipe,
        "evaluation": dict(task.scoring_identity()),
        "benchmarks": config.benchmarks,
        "rows_max": config.submission.rows_max,
        "assets": task.assets_key(),
    }
    parts = {"aggregates": dict(task.aggregates()), "sealed_benchmarks": sorted(task.sealed_benchmarks())}
    fixed |= {name: value for name, value in parts.items() if value}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()
