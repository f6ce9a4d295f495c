"""A task's files on the host: made once by ``Task.prepare``, named by content, checked by manifest.

::

    <cache>/assets/<task family>-<assets key>/
        manifest.json     every other file with size and SHA-256; written last
        seen.json         size and time of each file when it was last hashed
        pool/             what the agent sees, mounted read-only at /pool
        …                 model, benchmark items, planted truth: host only
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from curation_plugins.api import Progress, Task
from curation_plugins.errors import AssetsInvalid, AssetsMissing
from curation_plugins.hub.store import NOTE, Store
from curation_sandbox.spec import format_size

MANIFEST = "manifest.json"
SEEN = "seen.json"
DOWNLOADS = "downloads"
USED_SUFFIX = ".used"
"""Of the file beside a folder of assets on which every process that works with them holds a shared lock."""
HASHED_ALWAYS = 2**30
"""Bytes: files of assets that are smaller than this altogether are hashed at every use. Of larger ones (a pool of
46 GB) only those are whose size or time of change is not what it was when they were hashed last."""


_IN_USE: dict[Path, int] = {}
"""Locked files of this process; the kernel drops the locks when it ends."""
_IN_USE_LOCK = threading.Lock()


def folder(cache: Path, task: Task) -> Path:
    """Where the task's assets are or will be."""
    return cache / "assets" / f"{task.config.family}-{task.assets_key()}"


def ensure(cache: Path, task: Task, progress: Progress) -> Path:
    """The task's assets, made if they are not there, otherwise checked against their manifest.

    Raises:
        AssetsInvalid: a file is missing, was changed or was added since the manifest was written.
        AssetsMissing: they are made of downloads that are not here.
    """
    target = folder(cache, task)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _held(target, progress):
        _hold_in_use(target)
        if (target / MANIFEST).exists():
            verify(target)
            return target
        if target.exists():
            raise AssetsInvalid(f"{target} exists without a {MANIFEST}", hint="Remove the folder and try again.")
        require_downloads(cache, task)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            scratch.chmod(0o755)  # the container's user reads the pool through it
            _link_downloads(cache, task, scratch)
            task.prepare(scratch, progress)
            shutil.rmtree(scratch / DOWNLOADS, ignore_errors=True)
            progress("hashing the files", 1.0)
            (scratch / MANIFEST).write_text(json.dumps(_hash_tree(scratch), indent=1, sort_keys=True))
            (scratch / SEEN).write_text(json.dumps(_looks(scratch)))
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return target


@contextmanager
def _held(target: Path, progress: Progress) -> Iterator[None]:
    """The folder's lock; tells before it waits for another process, whose work may take hours."""
    lock = FileLock(target.parent / f"{target.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("another process makes them; waiting", 0.0)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _hold_in_use(target: Path) -> None:
    """Say until this process ends, however it ends, that it works with these files: ``remove`` leaves them then."""
    with _IN_USE_LOCK:
        place = target.parent / f"{target.name}{USED_SUFFIX}"
        if place in _IN_USE and _same_file(_IN_USE[place], place):
            os.utime(_IN_USE[place])
            return
        held = os.open(place, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(held, fcntl.LOCK_SH)
        os.utime(held)
        _IN_USE[place] = held


def _same_file(held: int, place: Path) -> bool:
    try:
        return os.fstat(held).st_ino == place.stat().st_ino
    except FileNotFoundError:
        return False


def last_used(target: Path) -> float:
    """When a process last began to work with these files, seconds since 1970."""
    place = target.parent / f"{target.name}{USED_SUFFIX}"
    return (place if place.exists() else target).stat().st_mtime


def in_use(target: Path) -> bool:
    """Whether any process, this one too, works with these files or makes them."""
    try:
        with _alone(target):
            return False
    except BlockingIOError:
        return True


def remove(target: Path) -> bool:
    """Remove a task's files, which the next use makes again; false: a process uses or makes them, and they stay.

    What an interrupted removal leaves is found as half-made files are.
    """
    try:
        with _alone(target):
            if target.exists():
                going = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
                target.rename(going / target.name)
                shutil.rmtree(going, ignore_errors=True)
            return True
    except BlockingIOError:
        return False


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Raises BlockingIOError: another process uses or makes the files."""
    lock = FileLock(target.parent / f"{target.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BlockingIOError from None
    try:
        held = os.open(target.parent / f"{target.name}{USED_SUFFIX}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(held)
    finally:
        lock.release()


def require_downloads(cache: Path, task: Task) -> None:
    """Refuse at once what could only fail later.

    Raises:
        AssetsMissing: the task's files are not made, and what they are made of is not here: each with its size. Or
            they are, and what they only point to is gone.
    """
    made = (folder(cache, task) / MANIFEST).exists()
    missing, lacking = [] if made else Store(cache).missing(task.downloads()), task.lacking()
    if not missing and not lacking:
        return
    lines = [f"  {want.what} ({_size(want.source.bytes)}) from {want.origin}" for want in missing]
    lines += [f"  {line}" for line in lacking]
    known = sum(want.source.bytes or 0 for want in missing)
    fetched = f"`harness fetch {task.name}` brings them (with the same --set, if any): at least {format_size(known)}."
    if lacking:
        fetched = f"What no fetch brings is said above with its command. {'The rest: ' + fetched if missing else ''}"
    raise AssetsMissing(
        f"task {task.name} needs {len(lines)} thing(s) that are not on this machine:\n" + "\n".join(lines),
        hint=fetched.strip(),
    )


def _size(size: int | None) -> str:
    return "size not known before the server is asked" if size is None else f"about {format_size(size)}"


def _link_downloads(cache: Path, task: Task, scratch: Path) -> None:
    """What was fetched, under the names the task gave it."""
    store, links = Store(cache), scratch / DOWNLOADS
    for want in task.downloads():
        links.mkdir(exist_ok=True)
        content = store.content(want)
        assert content is not None
        (links / want.name).symlink_to(content)
        (links / f"{want.name}.json").symlink_to(store.folder(want) / NOTE)


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


def base_digest(assets: Path) -> str:
    """SHA-256 over the manifest without ``pool/signals/``: what signals are measured on."""
    manifest = json.loads((assets / MANIFEST).read_text())
    measured_on = {name: entry for name, entry in manifest.items() if not name.startswith("pool/signals/")}
    return hashlib.sha256(json.dumps(measured_on, sort_keys=True).encode()).hexdigest()


def replace_signals(assets: Path, made: Path) -> None:
    """Put a folder of signals in the place of the pool's, and into the manifest. The pool's digest stays.

    Raises:
        AssetsInvalid: the other files are not what the manifest says.
    """
    with FileLock(assets.parent / f"{assets.name}.lock"):
        verify(assets)
        manifest = json.loads((assets / MANIFEST).read_text())
        manifest = {name: entry for name, entry in manifest.items() if not name.startswith("pool/signals/")}
        manifest |= {f"pool/signals/{name}": entry for name, entry in _hash_tree(made).items()}
        target, old = assets / "pool" / "signals", made.with_name(f"{made.name}-old")
        if target.exists():
            target.rename(old)
        made.rename(target)
        scratch = assets / f".{MANIFEST}.tmp"
        scratch.write_text(json.dumps(manifest, indent=1, sort_keys=True))
        scratch.rename(assets / MANIFEST)
        (assets / SEEN).write_text(json.dumps(_looks(assets)))
        shutil.rmtree(old, ignore_errors=True)


def verify(assets: Path, *, thorough: bool = False) -> None:
    """Compare the files with their manifest.

    Args:
        thorough: hash every file, whatever their number of bytes.

    Raises:
        AssetsInvalid: naming the first files that differ.
    """
    expected = json.loads((assets / MANIFEST).read_text())
    small = sum(entry["size"] for entry in expected.values()) < HASHED_ALWAYS
    looks = _looks(assets)
    try:
        seen = {} if thorough or small else json.loads((assets / SEEN).read_text())
    except (OSError, ValueError):
        seen = {}
    differing = sorted(expected.keys() ^ looks.keys())
    for name in expected.keys() & looks.keys():
        if looks[name] != seen.get(name) and _entry(assets / name) != expected[name]:
            differing.append(name)
    if differing:
        differing.sort()
        listed = ", ".join(differing[:3]) + (" …" if len(differing) > 3 else "")
        raise AssetsInvalid(
            f"{len(differing)} file(s) under {assets} are not what the manifest says: {listed}",
            hint=f"Remove {assets} to have it made again; scores from a changed pool compare with nothing.",
        )
    if not small and looks != seen:
        (assets / SEEN).write_text(json.dumps(looks))


def _looks(root: Path) -> dict[str, list[int]]:
    """Size and time of change of each file."""
    return {
        path.relative_to(root).as_posix(): [path.stat().st_size, path.stat().st_mtime_ns] for path in _files(root)
    }


def _hash_tree(root: Path) -> dict[str, dict[str, str | int]]:
    return {path.relative_to(root).as_posix(): _entry(path) for path in _files(root)}


def _entry(path: Path) -> dict[str, str | int]:
    return {"sha256": _sha256(path), "size": path.stat().st_size}


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and path not in (root / MANIFEST, root / SEEN):
            yield path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:  # a model may be larger than memory
        return hashlib.file_digest(file, "sha256").hexdigest()
