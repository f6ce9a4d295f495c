"""A task's files on the host: made once by ``Task.prepare``, named by content, checked by manifest.

::

    <cache>/assets/<task family>-<assets key>/
        manifest.json     every other file with size and SHA-256; written last
        pool/             what the agent sees, mounted read-only at /pool
        …                 model, benchmark items, planted truth: host only
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from curation_plugins.api import Progress, Task
from curation_plugins.errors import AssetsInvalid

MANIFEST = "manifest.json"


def folder(cache: Path, task: Task) -> Path:
    """Where the task's assets are or will be."""
    return cache / "assets" / f"{task.config.family}-{task.assets_key()}"


def ensure(cache: Path, task: Task, progress: Progress) -> Path:
    """The task's assets, made if they are not there, otherwise checked against their manifest.

    Raises:
        AssetsInvalid: a file is missing, was changed or was added since the manifest was written.
    """
    target = folder(cache, task)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / f"{target.name}.lock"):
        if (target / MANIFEST).exists():
            verify(target)
            return target
        if target.exists():
            raise AssetsInvalid(f"{target} exists without a {MANIFEST}", hint="Remove the folder and try again.")
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            scratch.chmod(0o755)  # the container's user reads the pool through it
            task.prepare(scratch, progress)
            (scratch / MANIFEST).write_text(json.dumps(_hash_tree(scratch), indent=1, sort_keys=True))
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return target


def digest(assets: Path) -> str:
    """SHA-256 over the manifest: one name for all of the task's files."""
    return hashlib.sha256((assets / MANIFEST).read_bytes()).hexdigest()


def pool_digest(assets: Path) -> str:
    """SHA-256 over the pool's part of the manifest, without ``pool/signals/``.

    Signals are computed by models, and so differ in their last digits from machine to machine; rows and images
    do not, and they are what makes two pools the same pool.
    """
    manifest = json.loads((assets / MANIFEST).read_text())
    pool = {
        name: entry
        for name, entry in manifest.items()
        if name.startswith("pool/") and not name.startswith("pool/signals/")
    }
    return hashlib.sha256(json.dumps(pool, sort_keys=True).encode()).hexdigest()


def verify(assets: Path) -> None:
    """Compare the files with their manifest.

    Raises:
        AssetsInvalid: naming the first files that differ.
    """
    expected = json.loads((assets / MANIFEST).read_text())
    found = _hash_tree(assets)
    differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if differing:
        listed = ", ".join(differing[:3]) + (" …" if len(differing) > 3 else "")
        raise AssetsInvalid(
            f"{len(differing)} file(s) under {assets} are not what the manifest says: {listed}",
            hint=f"Remove {assets} to have it made again; scores from a changed pool compare with nothing.",
        )


def _hash_tree(root: Path) -> dict[str, dict[str, str | int]]:
    return {
        path.relative_to(root).as_posix(): {
            "sha256": _sha256(path),
            "size": path.stat().st_size,
        }
        for path in _files(root)
    }


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and path != root / MANIFEST:
            yield path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:  # a model may be larger than memory
        return hashlib.file_digest(file, "sha256").hexdigest()
