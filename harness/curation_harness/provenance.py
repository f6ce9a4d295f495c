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
def hardware() -> Hardware:
    return Hardware(
        machine=platform.machine(),
        processor=_processor(),
        cpus=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        gpus=_gpus(),
        kernel=platform.release(),
    )


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
