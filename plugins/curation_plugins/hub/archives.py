"""Unpacking image archives: checksums are checked (a plain tar has none), and no member lands outside the folder."""

from __future__ import annotations

import errno
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from curation_plugins.errors import DownloadDamaged
from curation_sandbox.errors import DiskFull

_UTF8 = 0x800
"""General-purpose bit 11 of a member (APPNOTE 4.4.4)."""
_TELL_EVERY = 500
"""Members between two words of progress."""
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError)
"""What a damaged archive raises."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FOREIGN = (NotImplementedError, RuntimeError)
"""What a zip raises that is compressed in a way this Python does not know, or encrypted."""
_BAD_NAMES = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EILSEQ)
"""What a member raises whose name is too long, or taken by a folder."""


def unpack(archive: Path, folder: Path, done: Callable[[int], None]) -> int:
    """Unpacks a zip or tar file into a new folder and returns how many files it held.

    Args:
        done: told about how many bytes of the archive were read.

    Raises:
        DownloadDamaged: no archive, a member whose checksum is wrong, or one that would land elsewhere.
        DiskFull: the archive stays, so that only this step is repeated.
    """
    folder.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            return _unzip(archive, folder, done)
        return _untar(archive, folder, done)
    except (*_BROKEN, *_FOREIGN) as error:
        raise _damaged(archive, folder, error) from None
    except OSError as error:
        if error.errno in (None, *_BAD_NAMES):  # without a number: gzip's and bz2's complaints about their content
            raise _damaged(archive, folder, error) from None
        shutil.rmtree(folder, ignore_errors=True)
        if error.errno not in _FULL:
            raise
        raise DiskFull(
            f"the disk is full: {archive.name} could not be unpacked into {folder}",
            hint="Free some, then run the same command again: the archive is here, only unpacking is repeated.",
        ) from error


def _damaged(archive: Path, folder: Path, error: Exception) -> DownloadDamaged:
    shutil.rmtree(folder, ignore_errors=True)
    return DownloadDamaged(
        f"{archive} cannot be unpacked: {error}",
        hint=f"Remove {archive.parent.parent} and fetch again, or name a folder of your own with --have.",
    )


def _unzip(archive: Path, folder: Path, done: Callable[[int], None]) -> int:
    count = read = 0
    with zipfile.ZipFile(archive) as members:
        for member in members.infolist():
            if member.is_dir():
                continue
            target = _place(folder, _name(member))
            with members.open(member) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)  # its end checks the CRC
            count, read = count + 1, read + member.compress_size
            if count % _TELL_EVERY == 0:
                done(read)
    return count


def _name(member: zipfile.ZipInfo) -> str:
    """Names without the UTF-8 mark are read as code page 437; most archivers mean UTF-8 all the same."""
    if not member.flag_bits & _UTF8:
        with suppress(UnicodeError):
            return member.filename.encode("cp437").decode("utf-8")
    return member.filename


def _untar(archive: Path, folder: Path, done: Callable[[int], None]) -> int:
    count = read = 0
    with tarfile.open(archive) as members:
        for member in members:
            if member.isdir():
                continue
            source = members.extractfile(member) if member.isfile() else None
            if source is None:
                raise ValueError(f"member {member.name!r} is no plain file")
            with source, _place(folder, member.name).open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
            count, read = count + 1, read + member.size
            if count % _TELL_EVERY == 0:
                done(read)
        # a tar's members have no checksum: that of the compression stands behind the last of them
        while members.fileobj is not None and members.fileobj.read(1 << 20):
            pass
    return count


def _place(folder: Path, name: str) -> Path:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"member {name!r} would land elsewhere")
    target = folder.joinpath(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
