"""One file from a server to the disk: resumed where it broke off, held against its hash before it gets its name.

While it comes the file is `NAME.part`, with the server's ETag in `NAME.part.json`. A file under its own name is whole
and was checked.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from curation_plugins.errors import DownloadDamaged, DownloadFailed
from curation_plugins.hub.listing import RemoteFile
from curation_sandbox.errors import DiskFull

BLOCK = 1 << 20
RETRIES = 5
"""Breaks in a row, without a byte between them, after which it is given up."""
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_DENIED = frozenset({401, 403})

Position = Callable[[int], None]
"""Told how many bytes of the file are here."""


class Hashes:
    """The hashes of one stream: SHA-256 always, what else the publisher names beside it."""

    def __init__(self, file: RemoteFile, size: int | None) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if file.md5 else None
        self._git = hashlib.sha1(usedforsecurity=False) if file.git_sha1 and size is not None else None
        if self._git is not None:
            self._git.update(b"blob %d\0" % (size or 0))

    def update(self, block: bytes) -> None:
        self.sha256.update(block)
        for state in (self._md5, self._git):
            if state is not None:
                state.update(block)

    def difference(self) -> str | None:
        """What is wrong with the bytes so far, taken as the whole; none if nothing is."""
        pairs = (
            ("SHA-256", self.sha256.hexdigest(), self._file.sha256),
            ("MD5", self._md5 and self._md5.hexdigest(), self._file.md5),
            ("git hash", self._git and self._git.hexdigest(), self._file.git_sha1),
        )
        for name, found, wanted in pairs:
            if found and wanted and found != wanted:
                return f"its {name} is {found} instead of {wanted}"
        return None


def download(
    file: RemoteFile,
    target: Path,
    client: httpx.Client,
    at: Position,
) -> str:
    """Fetches a file, or the rest of it, and returns its SHA-256.

    Args:
        target: its final path; the folder is made.
        at: told how many bytes are here, those of an earlier try included.

    Raises:
        DownloadFailed: the server does not give it; what came stays for the next try.
        DownloadDamaged: it came whole and is not what was wanted; it is removed.
        DiskFull: what came stays for the next try.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with _disk_full_named(target):
        hashes, resumed = _bring(file, part, client, at)
        wrong = _wrong(file, part, hashes)
        if wrong and resumed:  # the kept piece may be of another version, or rotten: once more from the first byte
            _forget(part)
            hashes, _ = _bring(file, part, client, at)
            wrong = _wrong(file, part, hashes)
        if wrong:
            _forget(part)
            raise DownloadDamaged(
                f"{file.url} is not what was wanted: {wrong}",
                hint="It was removed. Either it was damaged on the way, then try again; or the publisher changed it,"
                " then scores from it would compare with nothing.",
            )
        part.rename(target)
    _note(part).unlink(missing_ok=True)
    return hashes.sha256.hexdigest()


def _wrong(file: RemoteFile, part: Path, hashes: Hashes) -> str | None:
    size = part.stat().st_size
    if file.size is not None and size != file.size:
        return f"it has {size} bytes instead of {file.size}"
    return hashes.difference()


def _bring(file: RemoteFile, part: Path, client: httpx.Client, at: Position) -> tuple[Hashes, bool]:
    """Appends to the part until the server's file is through; returns its hashes, and whether it came in pieces."""
    resumed, failures = False, 0
    while True:
        hashes = Hashes(file, file.size)
        begin = _kept(file, part, hashes)
        at(begin)
        resumed = resumed or begin > 0
        if begin and begin == file.size:
            return hashes, resumed
        try:
            return _stream(file, part, client, hashes, begin, at), resumed
        except (httpx.HTTPError, _Passing) as error:
            failures = 0 if _size(part) > begin else failures + 1
            if failures >= RETRIES:
                raise DownloadFailed(
                    f"{file.url}: {str(error) or type(error).__name__}",
                    hint="Is the network up? Run the same command again: it goes on where this stopped.",
                ) from None
            time.sleep(min(2.0**failures, 30.0))


def _kept(file: RemoteFile, part: Path, hashes: Hashes) -> int:
    """Bytes of an earlier try that can be built on, hashed. Without a way to tell that they belong to the same
    version (a hash to check, or an ETag) they are not kept."""
    had = _size(part)
    checked = file.sha256 or file.md5 or file.git_sha1 or _etag(part)
    if not had:
        return 0
    if not checked or (file.size is not None and had > file.size):
        _forget(part)
        return 0
    with part.open("rb") as piece:
        while block := piece.read(BLOCK):
            hashes.update(block)
    return had


def _stream(file: RemoteFile, part: Path, client: httpx.Client, hashes: Hashes, begin: int, at: Position) -> Hashes:
    """One request; returns the hashes of the whole when the server's reply came to its end."""
    headers = {**file.headers, "accept-encoding": "identity"}
    if begin:
        headers["range"] = f"bytes={begin}-"
        if etag := _etag(part):
            headers["if-range"] = etag
    with client.stream("GET", file.url, headers=headers) as reply:
        said = reply.headers.get("content-range", "")
        if reply.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            if said == f"bytes */{begin}":  # the piece was the whole, and only its name was missing
                return hashes
            _forget(part)
            raise _Passing(f"the server has no byte {begin}")
        _check_status(file, reply)
        if begin and reply.status_code != httpx.codes.PARTIAL_CONTENT:  # another version, or no ranges here
            begin, hashes = 0, Hashes(file, file.size)
        elif begin and not said.startswith(f"bytes {begin}-"):
            raise _Passing(f"the server sent {said!r}, asked from byte {begin} on")
        _remember(part, reply)
        with part.open("ab" if begin else "wb", buffering=0) as out:
            for block in reply.iter_raw(BLOCK):
                out.write(block)
                hashes.update(block)
                begin += len(block)
                at(begin)
            os.fsync(out.fileno())  # a file under its own name counts as whole, after a power cut too
    return hashes


def _check_status(file: RemoteFile, reply: httpx.Response) -> None:
    code = reply.status_code
    if reply.is_success:
        return
    if code in _PASSING:
        raise _Passing(f"the server answered {code}")
    if code in _DENIED:
        raise DownloadFailed(
            f"{file.url}: the server does not give it ({code})",
            hint="If it is for members only: accept its terms on its page, and set HF_TOKEN.",
        )
    raise DownloadFailed(
        f"{file.url}: the server answered {code}", hint="Was it moved? `--have` takes a copy of yours."
    )


class _Passing(Exception):
    """A refusal that may pass."""


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _remember(part: Path, reply: httpx.Response) -> None:
    etag = reply.headers.get("etag", "")
    strong = etag if etag and not etag.startswith("W/") else ""  # If-Range takes no weak one (RFC 9110, 13.1.5)
    _note(part).write_text(json.dumps({"etag": strong}), encoding="utf-8")


def _etag(part: Path) -> str:
    try:
        return str(json.loads(_note(part).read_text(encoding="utf-8"))["etag"])
    except (OSError, ValueError, KeyError):
        return ""


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


@contextmanager
def _disk_full_named(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(
            f"the disk is full: {target.name} did not fit into {target.parent}",
            hint="Free some, or name another disk in CURATION_CACHE. What came is kept; run the same command again.",
        ) from error
