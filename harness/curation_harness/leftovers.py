"""What killed runs left on the machine: the sandbox's leftovers, and the harness's own temporary folders."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from curation_sandbox import reaper
from curation_sandbox.engine import Engine
from curation_sandbox.submit_server import SOCKET_NAME

SOCKET_FOLDERS = "curation-*/s"
"""As ``sandboxed.socket_folder`` names them, below the folder for temporary files."""
BIND_SECONDS = 0.3
"""Between a server's bind and its listen a socket refuses; a second look after this tells it from a dead one."""


@dataclass(frozen=True)
class Leftover:
    """Something that no live process uses."""

    what: str
    """For a person."""
    remove: Callable[[], None]


def find(engine: Engine | None, cache: Path) -> list[Leftover]:
    """Everything of ours that nobody uses, in the order in which it can be removed.

    Without an engine, only what is on the host.
    """
    found = [Leftover(one.what, partial(reaper.remove, one, engine)) for one in reaper.leftovers(engine)]
    return [*found, *_sockets(Path(tempfile.gettempdir())), *_half_made_assets(cache)]


def _sockets(temporary: Path) -> Iterator[Leftover]:
    for folder in sorted(temporary.glob(SOCKET_FOLDERS)):
        path = folder / SOCKET_NAME
        if path.is_socket() and _refuses(path):
            yield Leftover(f"socket folder {folder.parent}", partial(_remove_tree, folder.parent))


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
