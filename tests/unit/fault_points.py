"""Every place at which a process can be killed while it writes, counted once and then taken one by one.

A *point* is an operation on a file below a folder that is watched: an fsync, a rename, and whatever else changes
the folder (a file opened for writing, a folder made, something removed or linked). It is named by what is done, from
which function, on which file, and for the how many-th time: names stay the same where threads do things in another
order. A process is killed *before* the operation, or in the middle of the write that an fsync was to end: then half
of what was new of the file is there.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

OURS: Final = ("curation_harness", "curation_plugins", "curation_sandbox")
WRITERS: Final = ("curation_harness.record.files", "curation_harness.record.events")
_DRAWN: Final = re.compile(
    r"(?<=/\.trial-)[^/]+|(?<=/\.evaluate-)[^/]+|(?<=/upload-)[^/]+|(?<=/policies/)[^/]+|(?<=[a-z0-9]\.)\d+(?=\.tmp)"
)
"""What is drawn or counted anew in each process."""


@dataclass
class Faults:
    """Watches the folders ``roots`` of this process, and kills it at the point ``kill`` (none: never).

    A point's name ends with ``" torn"`` where half of the write is to be there.
    """

    roots: tuple[Path, ...]
    kill: str | None = None
    seen: list[str] = field(default_factory=list)
    """Names of the points passed, in order."""
    _counts: Counter[str] = field(default_factory=Counter)
    _sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of a file that were there before it was opened, or at its last fsync."""
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _busy: threading.local = field(default_factory=threading.local)

    def install(self) -> None:
        """For the rest of the process's life: hooks cannot be taken back."""
        self._fsync = os.fsync
        os.fsync = self._synced
        sys.addaudithook(self._heard)

    # -- what happens ----------------------------------------------------------------------------------------

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if getattr(self._busy, "here", False):
            return
        operation = _CHANGES.get(event)
        if operation is None or (found := operation(arguments)) is None:
            return
        path, name = found
        self._guarded(lambda: self._point(name, path, None, new=event == "open"))

    def _synced(self, descriptor: int) -> None:
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        file = descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
        self._guarded(lambda: self._point("fsync", path, file, new=False))
        self._fsync(descriptor)

    def _guarded(self, act: Callable[[], None]) -> None:
        """What the watching itself does is no point."""
        self._busy.here = True
        try:
            act()
        finally:
            self._busy.here = False

    def _point(self, name: str, path: str, file: int | None, *, new: bool) -> None:
        shown = self._shown(path)
        if shown is None:
            return
        with self._lock:
            if new and path not in self._sizes:
                self._sizes[path] = os.path.getsize(path) if os.path.exists(path) else 0  # noqa: PTH202, PTH110
            plain = f"{name} {shown} in {_place()}"
            self._counts[plain] += 1
            point = f"{plain} #{self._counts[plain]}"
            self.seen.append(point)
            if point == self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            if file is not None:
                self._torn(point, path, file)

    def _torn(self, point: str, path: str, file: int) -> None:
        size, before = os.fstat(file).st_size, self._sizes.get(path, 0)
        self._sizes[path] = size
        if size <= before:
            return
        self.seen.append(f"{point} torn")
        if f"{point} torn" == self.kill:
            os.truncate(path, before + (size - before) // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    def _shown(self, path: str) -> str | None:
        """The path as a point names it; none: it is not watched."""
        for root in self.roots:
            if path.startswith(f"{root}/"):
                return _DRAWN.sub("*", path.removeprefix(f"{root.parent}/"))
        return None


def _place() -> str:
    """The innermost function of ours that is at work, but for those by which everybody writes."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(OURS) and module not in WRITERS:
            return f"{module}.{frame.f_code.co_qualname}"
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere"


def _whole(path: Any, folder: int = -1) -> str:
    """An absolute path, also of a name in an open folder."""
    name = os.fsdecode(path)
    if name.startswith("/"):
        return name
    base = Path.cwd() if folder in (-1, None) else Path(f"/proc/self/fd/{folder}").readlink()
    return f"{base}/{name}"


def _opened(arguments: tuple[Any, ...]) -> tuple[str, str] | None:
    path, _, flags = arguments
    if not isinstance(path, str | bytes | os.PathLike) or not flags & (os.O_WRONLY | os.O_RDWR):
        return None
    return _whole(path), "open"


_CHANGES: Final[dict[str, Callable[[tuple[Any, ...]], tuple[str, str] | None]]] = {
    "open": _opened,
    "os.rename": lambda a: (_whole(a[1], a[3]), "rename"),
    "os.mkdir": lambda a: (_whole(a[0], a[2]), "mkdir"),
    "os.remove": lambda a: (_whole(a[0], a[1]), "remove"),
    "os.rmdir": lambda a: (_whole(a[0], a[1]), "rmdir"),
    "os.link": lambda a: (_whole(a[1], a[3]), "link"),
    "os.truncate": lambda a: None if isinstance(a[0], int) else (_whole(a[0]), "truncate"),
}
"""Python's audit events → what they change."""
