"""What of ours takes up disk and can be made, fetched or built again; and which of it a policy lets go.

Nothing here is a run record: of ended runs only trained models and the agent's volumes are listed. A record itself
goes only by name (``remove_run``). What a live process uses is never removed: the holder's lock says so, not a guess.
The cache may be a folder in which a user has other things: a place is ours by what is in it, not by its name alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from curation_harness.attempts.checkpoints import NAME as MODEL
from curation_harness.errors import RecordInvalid, RunBusy, RunUnknown
from curation_harness.record.run_lines import lines
from curation_harness.record.store import LOCK, RunRecord, held
from curation_plugins import assets as task_assets
from curation_plugins.hub import store as downloads
from curation_sandbox import image_builder, mounts
from curation_sandbox.engine import LABEL, Engine
from curation_sandbox.errors import ContainerFailed, CurationError, ImageMissing

KINDS: Final = {
    "assets": "pools and items that tasks made; the next launch makes them again",
    "downloads": "what `harness fetch` brought; assets that point to it need it fetched again",
    "signals": "values of signals that agents asked for; asked again, they are measured again",
    "models": "trained models that ended runs kept",
    "volumes": "workspace and home of the agents of ended runs, and of killed replays of them",
    "images": "images of ours that a later build of the same name replaced; a replay needs its run's",
    "logs": "logs of image builds",
}
"""What ``harness clean --what`` takes, beside leftovers; each with what is lost."""

_OF_A_DOWNLOAD: Final = frozenset(
    (downloads.NOTE, f".{downloads.NOTE}", downloads.BEFORE, downloads.FILES, downloads.ARCHIVE, "unpacking")
)
_LOG: Final = re.compile(r"image-.+-\d{8}T\d{6}Z-\d+\.log")
_SHELF: Final = re.compile(r"[0-9a-f]{24}")
_SHARD: Final = re.compile(r"\.?[0-9a-f]{32}\.json(\.tmp)?")


@dataclass(frozen=True)
class Kept:
    """One thing on disk that can go as a whole."""

    kind: str
    what: str
    """For a person."""
    size: int
    """Bytes on disk."""
    used: float
    """When it was last used or made, seconds since 1970."""
    remove: Callable[[], bool]
    """False: it is in use after all, and stays."""
    in_use: bool = False
    """By a process, now."""


@dataclass(frozen=True)
class Policy:
    """Which things go: those older than an age, and of the others the oldest, until the rest is small enough.

    Without either bound, all. What is in use counts, and stays.
    """

    older_than: float | None = None
    """Seconds since the last use."""
    max_size: int | None = None
    """Bytes of everything that is looked at together."""

    def lets_go(self, kept: Iterable[Kept], now: float) -> list[Kept]:
        """What goes, the oldest first."""
        everything = list(kept)
        idle = sorted((one for one in everything if not one.in_use), key=lambda one: (one.used, one.what))
        if self.older_than is None and self.max_size is None:
            return idle
        left = sum(one.size for one in everything)
        gone: list[Kept] = []
        for one in idle:
            old = self.older_than is not None and now - one.used > self.older_than
            large = self.max_size is not None and left > self.max_size
            if old or large:
                gone.append(one)
                left -= one.size
        return gone


def find(kinds: Sequence[str], cache: Path, runs: Path, engine: Engine | None) -> list[Kept]:
    """Everything of these kinds that is there; of images nothing where there is no engine."""
    finders: dict[str, Callable[[], Iterator[Kept]]] = {
        "assets": lambda: _assets(cache),
        "downloads": lambda: _shared(cache, "downloads", _fetched),
        "signals": lambda: _shared(cache, "signals", _shelf),
        "models": lambda: _of_runs(cache, runs, "models", f"attempts/*/{MODEL}"),
        "volumes": lambda: _of_runs(cache, runs, "volumes", "volumes", "reruns/*/*/volumes"),
        "images": lambda: _images(engine) if engine is not None else iter(()),
        "logs": lambda: _logs(cache),
    }
    return [kept for kind in KINDS if kind in kinds for kept in finders[kind]()]


def remove_run(runs: Path, name: str) -> None:
    """Remove a run's record, named exactly.

    Raises:
        RunUnknown: no such run. RecordInvalid: a link, or no record of that name: it is not touched.
        RunBusy: a process works on it. ContainerFailed: its volumes are still attached.
    """
    folder = _named_record(runs, name)
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder / LOCK, timeout=0))
        except Timeout:
            raise RunBusy(f"another process works on run {name}", hint="Let it end first.") from None
        _require_detached(folder)
        going = runs / f".{name}.removed.tmp"  # at once, so that half a record is never seen
        shutil.rmtree(going, ignore_errors=True)
        folder.rename(going)
        shutil.rmtree(going)


def size_of_run(runs: Path, name: str) -> int:
    """Bytes of a record that ``remove_run`` would remove; raises what it raises before it does."""
    return _size(_named_record(runs, name))


def _named_record(runs: Path, name: str) -> Path:
    folder = runs / name
    if "/" in name or name in ("", ".", "..") or not (folder.is_symlink() or folder.exists()):
        raise RunUnknown(f"no run {name!r} in {runs}", hint="`harness runs` lists the runs; give the whole id.")
    if folder.is_symlink():
        raise RecordInvalid(
            f"{folder} is a link, not a record; nothing was removed", hint="Name the run it leads to."
        )
    found = RunRecord.open_run(folder).spec.run_id
    if found != name:
        raise RecordInvalid(
            f"{folder} holds the record of run {found!r}; nothing was removed",
            hint="Give the folder its run's id again, or remove it yourself.",
        )
    return folder


def _require_detached(folder: Path) -> None:
    if attached := mounts.below(folder):
        raise ContainerFailed(
            f"{attached[0].target} is still attached", hint="`harness clean` detaches what no live run uses."
        )


def _assets(cache: Path) -> Iterator[Kept]:
    for folder in _folders(cache / "assets"):
        if _made_by_a_task(folder):
            used = task_assets.last_used(folder)
            remove = partial(task_assets.remove, folder)
            yield Kept("assets", f"assets {folder.name}", _size(folder), used, remove, _assets_in_use(folder))


def _made_by_a_task(folder: Path) -> bool:
    """Whether there is a task's manifest, which is written last. The locks beside the folder say nothing: a look at
    whether somebody holds them makes them."""
    try:
        manifest = json.loads(_content(folder / task_assets.MANIFEST))
    except (OSError, ValueError):
        return False
    return (
        isinstance(manifest, dict)
        and len(manifest) > 0
        and all(isinstance(entry, dict) and entry.keys() == {"sha256", "size"} for entry in manifest.values())
    )


def _assets_in_use(folder: Path) -> bool:
    try:
        return task_assets.in_use(folder)
    except OSError:  # another user's, of whom nothing is known
        return True


def _shared(cache: Path, kind: str, ours: Callable[[Path], bool]) -> Iterator[Kept]:
    """What several tasks may use without saying so: it stays while any process uses any assets of the cache."""
    in_use = _any_assets_in_use(cache)
    for folder in _folders(cache / kind):
        if ours(folder):
            used = max((entry.lstat().st_mtime for entry in folder.iterdir()), default=folder.lstat().st_mtime)
            what = f"{kind} {folder.name}"
            yield Kept(kind, what, _size(folder), used, partial(_remove_unless_used, folder, cache), in_use)


def _fetched(folder: Path) -> bool:
    """Whether it has the note of what was fetched, of a want of its name, and nothing that no fetch writes."""
    try:
        note = downloads.Fetched.model_validate_json(_content(folder / downloads.NOTE))
        names = {entry.name for entry in folder.iterdir()}
    except (OSError, ValueError):
        return False
    named = re.fullmatch(rf"{re.escape(note.name)}-[0-9a-f]{{16}}", folder.name)
    return named is not None and names <= _OF_A_DOWNLOAD


def _shelf(folder: Path) -> bool:
    """Whether it is named as the shelf of a signal, and has shards of values and nothing else."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return False
    return _SHELF.fullmatch(folder.name) is not None and bool(names) and all(map(_SHARD.fullmatch, names))


def _any_assets_in_use(cache: Path) -> bool:
    """Those that are being made count, too, which have no folder yet."""
    suffix = task_assets.USED_SUFFIX
    said = (cache / "assets").glob(f"*{suffix}")
    return any(_assets_in_use(place.with_name(place.name.removesuffix(suffix))) for place in said)


def _remove_unless_used(folder: Path, cache: Path) -> bool:
    if _any_assets_in_use(cache):
        return False
    try:
        with FileLock(folder.parent / f"{folder.name}.lock", timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
    except Timeout:  # somebody fetches it
        return False
    return True


def _of_runs(cache: Path, runs: Path, kind: str, *patterns: str) -> Iterator[Kept]:
    for name, line in lines(runs, cache).items():
        folder = runs / name
        if not line.ended or folder.is_symlink():
            continue
        used = (folder / "events.jsonl").lstat().st_mtime
        for place in sorted(place for pattern in patterns for place in folder.glob(pattern)):
            if place.is_dir() and not place.is_symlink():
                what = f"{kind} of run {name}: {place.relative_to(folder)}"
                remove = partial(_remove_of_run, folder, place)
                yield Kept(kind, what, _size(place), used, remove, _run_in_use(folder, place))


def _run_in_use(folder: Path, place: Path) -> bool:
    """Whether a process works on the run, or a container has this part of it."""
    try:
        return held(folder) or bool(mounts.below(place))
    except RecordInvalid:
        return True


def _remove_of_run(folder: Path, place: Path) -> bool:
    try:
        with FileLock(folder / LOCK, timeout=0):
            _require_detached(place)
            shutil.rmtree(place)
    except (Timeout, ContainerFailed):  # a rerun works on it, or a container still has it
        return False
    return True


def _images(engine: Engine) -> Iterator[Kept]:
    """Not every image with our label: one that somebody built on ours has it from there."""
    for image in engine.images(f"{LABEL}.image"):
        if _tags(image) or not image_builder.note_of(image["Id"]).exists():
            continue
        name = (image.get("Labels") or {}).get(f"{LABEL}.image", "?")
        what = f"replaced image {name} {image['Id'].removeprefix('sha256:')[:12]}"
        yield Kept(
            "images", what, image["Size"], float(image["Created"]), partial(_remove_image, engine, image["Id"])
        )


def _tags(image: Mapping[str, Any]) -> list[str]:
    return [tag for tag in image.get("RepoTags") or () if tag != "<none>:<none>"]


def _remove_image(engine: Engine, identity: str) -> bool:
    try:
        if _tags(engine.inspect_image(identity)):  # given one since: the engine would take that away with the image
            return False
        engine.remove_image(identity)
    except ImageMissing:
        pass
    except CurationError:  # a container or another image needs it
        return False
    image_builder.note_of(identity).unlink(missing_ok=True)
    return True


def _logs(cache: Path) -> Iterator[Kept]:
    for path in _entries(cache / "logs"):
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and _LOG.fullmatch(path.name):
            yield Kept("logs", f"log {path.name}", found.st_blocks * 512, found.st_mtime, partial(_unlink, path))


def _unlink(path: Path) -> bool:
    path.unlink(missing_ok=True)
    return True


def _folders(place: Path) -> list[Path]:
    return [entry for entry in _entries(place) if entry.is_dir() and not entry.is_symlink()]


def _entries(place: Path) -> list[Path]:
    """What is in a folder of the cache; where a link stands for it, whose that is nobody knows."""
    if place.is_symlink() or not place.is_dir():
        return []
    return sorted(entry for entry in place.iterdir() if not entry.name.startswith("."))


def _content(path: Path) -> bytes:
    """Raises OSError: not there, or no regular file."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise FileNotFoundError(path)
    return path.read_bytes()


def _size(folder: Path) -> int:
    """Bytes that a folder takes on disk; of files without content in places, what is really there."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_blocks * 512  # noqa: PTH118 - many files
            except FileNotFoundError:  # somebody removes it at the same time
                continue
    return total
