"""Bytes that an agent hands over, kept on the host under their SHA-256.

Everything that arrives here is hostile: how much there is, how fast it comes, whether it ends. A blob exists
only once all of its bytes arrived, hash to the promised digest and are on disk; whatever stops an upload
earlier leaves nothing behind.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Literal

from curation_sandbox.errors import CurationError, DiskFull

_BLOCK = 4096
"""What the smallest file takes on disk, in bytes. A blob is charged in whole blocks, so that the cap in total
also caps the number of blobs."""

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class BlobRejected(CurationError):
    """The sender's fault: the upload is too large, or is not what its digest says."""

    def __init__(self, reason: Literal["too-large", "digest-mismatch"], message: str) -> None:
        super().__init__(message)
        self.reason = reason


class BlobStore:
    """Blobs in ``folder/blobs/<digest>``, unfinished uploads in ``folder/incoming``.

    Safe to use from several threads of one process. Only one process may own ``folder``: opening the store
    removes unfinished uploads that a crash left.

    Args:
        folder: Where to keep blobs; created if needed.
        max_blob: Largest blob, in bytes.
        max_total: Cap on all blobs and running uploads together, in bytes of whole 4096-byte blocks.
    """

    def __init__(self, folder: Path, max_blob: int, max_total: int) -> None:
        self.max_blob = max_blob
        self.max_total = max_total
        self._blobs = folder / "blobs"
        self._incoming = folder / "incoming"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._incoming.mkdir(exist_ok=True)
        for leftover in self._incoming.iterdir():
            leftover.unlink()
        self._lock = threading.Lock()
        self._charged = sum(_charge(blob.stat().st_size) for blob in self._blobs.iterdir())

    @property
    def charged(self) -> int:
        """Bytes that count against ``max_total`` now."""
        return self._charged

    def path(self, digest: str) -> Path:
        """Where the blob lies. Raises KeyError where no such blob is complete, or ``digest`` is none."""
        if not _DIGEST.fullmatch(digest):
            raise KeyError(digest)
        path = self._blobs / digest
        if not path.is_file():
            raise KeyError(digest)
        return path

    def __contains__(self, digest: str) -> bool:
        try:
            self.path(digest)
        except KeyError:
            return False
        return True

    def upload(self, digest: str) -> Upload:
        """Start an upload. Use it as a context manager: leaving it unfinished discards it.

        Raises ValueError if ``digest`` is not a lower-case SHA-256, BlobRejected if the store is full.
        """
        if not _DIGEST.fullmatch(digest):
            raise ValueError("not a lower-case SHA-256 in hexadecimal")
        return Upload(self, digest, self._incoming, self._blobs / digest)

    def reserve(self, size: int) -> None:
        """Charge ``size`` bytes. Raises BlobRejected if they do not fit under the cap in total."""
        with self._lock:
            if self._charged + size > self.max_total:
                raise BlobRejected(
                    "too-large",
                    f"this run's uploads are full: all blobs together may take {self.max_total} bytes "
                    f"(in blocks of {_BLOCK}) and {self._charged} are taken. Blobs that were uploaded "
                    "before can still be named.",
                )
            self._charged += size

    def release(self, size: int) -> None:
        """Give back what was reserved."""
        with self._lock:
            self._charged -= size


class Upload:
    """One running upload: ``write`` chunks, then ``finish``. Not safe to share between threads at a time."""

    def __init__(self, store: BlobStore, digest: str, incoming: Path, target: Path) -> None:
        self._store = store
        self._digest = digest
        self._target = target
        self._hash = hashlib.sha256()
        self._size = 0
        self._charged = _charge(0)
        store.reserve(self._charged)
        try:
            descriptor, name = tempfile.mkstemp(dir=incoming, prefix="upload-")
        except OSError as error:
            store.release(self._charged)
            raise _ours(error) from error
        self._temporary: Path | None = Path(name)
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, chunk: bytes) -> None:
        """Append. Raises BlobRejected (over a cap) or DiskFull; nothing over a cap reaches the disk."""
        size = self._size + len(chunk)
        if size > self._store.max_blob:
            raise BlobRejected(
                "too-large",
                f"the blob is larger than {self._store.max_blob} bytes, the most that one may have.",
            )
        more = _charge(size) - self._charged
        if more > 0:
            self._store.reserve(more)
            self._charged += more
        view = memoryview(chunk)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise _ours(error) from error
        self._hash.update(chunk)
        self._size = size

    def finish(self) -> int:
        """Make the blob exist, synced to disk; returns its size in bytes. Raises BlobRejected or DiskFull."""
        actual = self._hash.hexdigest()
        if actual != self._digest:
            raise BlobRejected(
                "digest-mismatch",
                f"the {self._size} bytes that arrived have SHA-256 {actual}, not {self._digest}. "
                "The file changed while it was sent, or the upload was cut: send it again.",
            )
        assert self._temporary is not None, "finish() was called twice"
        try:
            os.fchmod(self._file.fileno(), 0o444)
            os.fsync(self._file.fileno())
            with self._store._lock:
                known = self._target.exists()
                if not known:
                    self._temporary.rename(self._target)
                    self._temporary = None
            if not known:
                self._charged = 0  # now the blob's, no longer this upload's to give back
                _sync_folder(self._target.parent)
        except OSError as error:
            raise _ours(error) from error
        return self._size

    def discard(self) -> None:
        """Remove what is not finished. May be called more than once, and after ``finish``."""
        self._file.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
            self._temporary = None
        self._store.release(self._charged)
        self._charged = 0

    def __enter__(self) -> Upload:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.discard()


def _charge(size: int) -> int:
    return max(1, -(-size // _BLOCK)) * _BLOCK


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ours(error: OSError) -> Exception:
    """The error to raise for a failed write: the host's disk is the harness's to keep free."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            "the disk that holds the run folder is full; an upload of the agent could not be kept.",
            hint="Free space on it, then resume the run.",
        )
    return error
