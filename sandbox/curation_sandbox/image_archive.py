"""Image archives as files: written whole or not at all, and looked into before the engine unpacks them."""

from __future__ import annotations

import errno
import json
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from curation_sandbox.build_log import DISK_HINT
from curation_sandbox.errors import CurationError, DiskFull

_MANIFEST_LIMIT: Final = 2**20
_HINT: Final = "Give a file that `harness images save NAME FILE` wrote."


def write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file; an older one of that name is replaced only once the new one is complete on disk.

    Raises:
        DiskFull, CurationError: it could not be written. Nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as out:
            for piece in pieces:
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"The disk of {path} is full.", hint=DISK_HINT) from error
        raise CurationError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def tags(path: Path) -> list[str]:
    """The tags of the images in an archive.

    Raises:
        CurationError: no such file, no image archive, or one whose images have no tag.
    """
    try:
        with tarfile.open(path) as archive:
            member = archive.extractfile("manifest.json")
            found = _tags(json.loads(member.read(_MANIFEST_LIMIT)) if member else None)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise CurationError(f"{path} cannot be read: {error.strerror}.", hint=_HINT) from error
    # EOFError, OSError: a file cut short, or one that only starts like a compressed archive.
    except (tarfile.TarError, KeyError, ValueError, TypeError, AttributeError, EOFError, OSError) as error:
        what = str(error).partition("\n")[0].rstrip(":")  # tarfile adds a line for each format it tried
        raise CurationError(f"{path} is no archive of a tagged image ({what}).", hint=_HINT) from error
    if not found:
        raise CurationError(f"{path} is no archive of a tagged image.", hint=_HINT)
    return found


def _tags(manifest: Any) -> list[str]:
    found = [tag for entry in manifest or () for tag in entry["RepoTags"] or ()]
    if not all(isinstance(tag, str) for tag in found):
        raise ValueError("a tag that is no text")
    return found
