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
    temporary = [one for place in (Path(tempfile.gettempdir()), cache) for one in _temporary(place)]
    return [*found, *temporary, *_half_made_assets(cache), *records]


def _temporary(place: Path) -> Iterator[Leftover]:
    for folder in sorted(place.glob(f"{owners.TEMPORARY}*")):
        if not folder.is_dir() or folder.is_symlink():
            continue
        owner = owners.of_folder(folder)
        path = folder / SOCKETS / SOCKET_NAME
        dead = owner.dead if owner is not None else _own(folder) and path.is_socket() and _refuses(path)
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
    """Folders that an interrupted ``prepare`` left; whoever makes assets holds the lock beside them."""
    for lock in sorted((cache / "assets").glob("*.lock")):
        try:
            with FileLock(lock, timeout=0):
                dead = sorted(lock.parent.glob(f".{lock.stem}-*"))
        except Timeout:
            continue
        for folder in dead:
            yield Leftover(f"half-made files {folder}", partial(_remove_tree, folder))


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
