"""What killed runs left on the machine: the sandbox's leftovers, and the harness's own folders."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from curation_sandbox import owners, reaper
from curation_sandbox.engine import Engine
from curation_sandbox.submit_server import SOCKET_NAME

SOCKETS: Final = "s"
"""In one of them, those of a run. An older harness did not say who made it: then a socket tells, to which nobody
listens."""
RECORD_SECONDS: Final = 3600
"""A half-made record is looked at after this: another machine may share the folder of runs, and its processes are
not seen from here."""
BOOT_SECONDS: Final = 86_400
"""A folder in the cache whose maker was of another boot goes after this: the cache may be shared, and the boot be
another machine's, on which the maker is at work."""
BIND_SECONDS = 0.3
"""Between a server's bind and its listen a socket refuses; a second look after this tells it from a dead one."""


@dataclass(frozen=True)
class Leftover:
    """Something that no live process uses."""

    what: str
    """For a person."""
    remove: Callable[[], None]


def find(engine: Engine | None, cache: Path, runs: Path | None = None) -> list[Leftover]:
    """Everything of ours that nobody uses, in the order in which it can be removed.

    Without an engine, only what is on the host.

    Args:
        runs: a folder of runs, in which half-made and half-removed records are looked for too.
    """
    found = [Leftover(one.what, partial(reaper.remove, one, engine)) for one in reaper.leftovers(engine)]
    records = _half_records(runs) if runs is not None else ()
    temporary = [*_temporary(Path(tempfile.gettempdir()), shared=False), *_temporary(cache, shared=True)]
    return [*found, *temporary, *_half_made_assets(cache), *records]


def _temporary(place: Path, *, shared: bool) -> Iterator[Leftover]:
    """
    Args:
        shared: other machines may see the place, too.
    """
    for folder in sorted(place.glob(f"{owners.TEMPORARY}*")):
        if not folder.is_dir() or folder.is_symlink():
            continue
        owner = owners.of_folder(folder)
        path = folder / SOCKETS / SOCKET_NAME
        if owner is not None:
            here = owner.boot_id == owners.current().boot_id
            dead = owner.dead and (here or not shared or _age(folder) > BOOT_SECONDS)
        else:
            dead = _own(folder) and path.is_socket() and _refuses(path)
        if dead:
            what = "socket folder" if (folder / SOCKETS).is_dir() else "temporary folder"
            yield Leftover(f"{what} {folder}", partial(_remove_tree, folder))


def _half_records(runs: Path) -> Iterator[Leftover]:
    """What a killed ``RunRecord.create`` or ``disk.remove_run`` left."""
    for folder in sorted(runs.glob(".*.tmp")):
        made = re.fullmatch(r"\..+\.(\d+|removed)\.tmp", folder.name)
        if made is None or not folder.is_dir() or folder.is_symlink() or folder.stat().st_uid != os.getuid():
            continue
        fresh = time.time() - folder.stat().st_mtime < RECORD_SECONDS
        if made[1] == "removed" or not (fresh or Path(f"/proc/{made[1]}").exists()):
            yield Leftover(f"half a record {folder}", partial(_remove_tree, folder))


def _half_made_assets(cache: Path) -> Iterator[Leftover]:
    """Folders that an interrupted ``prepare`` or removal left; whoever makes assets holds the lock beside them."""
    place = cache / "assets"
    if place.is_symlink():  # whose that is nobody knows
        return
    for lock in sorted(place.glob("*.lock")):
        named = re.compile(rf"\.{re.escape(lock.stem)}-[a-z0-9_]{{8}}")  # as mkdtemp does
        try:
            with FileLock(lock, timeout=0):
                dead = sorted(folder for folder in place.iterdir() if named.fullmatch(folder.name))
        except (Timeout, OSError):  # at work, or another user's
            continue
        for folder in dead:
            if folder.is_dir() and not folder.is_symlink() and _own(folder):
                yield Leftover(f"half-made files {folder}", partial(_remove_tree, folder))


def _age(folder: Path) -> float:
    """Seconds since something in it changed; none if somebody removes it at the same time."""
    try:
        return time.time() - max(path.lstat().st_mtime for path in (folder, *folder.iterdir()))
    except FileNotFoundError:
        return 0.0


def _own(folder: Path) -> bool:
    """Whether this user made it: another's is not ours to look into, and no reason to fail."""
    try:
        return folder.lstat().st_uid == os.getuid()
    except FileNotFoundError:  # removed just now
        return False


def _refuses(path: Path) -> bool:
    """Whether no process listens. Another user's socket, or a busy one, is not ours to judge."""
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            try:
                client.connect(str(path))
            except ConnectionRefusedError:
                time.sleep(BIND_SECONDS)
                continue
            except OSError:
                pass
        return False
    return True


def _remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
