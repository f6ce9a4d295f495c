"""What was fetched, on this machine: one folder a source, shared by all tasks that want it.

::

    <cache>/downloads/<name>-<key>/
        fetched.json     where from, which revision, every file with size and SHA-256; complete or under way
        before.json      what stood there before a folder of the user's took its place
        files/           the files, or for an archive its members
        archive/         an archive that is not unpacked yet
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
from filelock import FileLock
from pydantic import ValidationError

from curation_plugins.config import Frozen
from curation_plugins.errors import AssetsInvalid, ConfigInvalid
from curation_plugins.hub.archives import unpack
from curation_plugins.hub.listing import Listing, RemoteFile, list_files
from curation_plugins.hub.own import require_images, require_weights, sha256_of, wanted_files
from curation_plugins.hub.transfer import download
from curation_plugins.hub.wanted import Source, UrlSource, Want
from curation_sandbox.errors import DiskFull
from curation_sandbox.spec import format_size

FILES = "files"
ARCHIVE = "archive"
NOTE = "fetched.json"
BEFORE = "before.json"
ROOM = 2**30
"""Bytes that are left free beside what is fetched."""

Meter = Callable[[Want, str, int, int | None], None]
"""``meter(want, what, have, total)``: bytes of a want that are here, of how many if that is known."""


class FileNote(Frozen):
    """One fetched file."""

    size: int
    """Bytes."""
    sha256: str
    """As it came."""


class Fetched(Frozen):
    """What is known of one fetched source."""

    name: str
    """Of the want that first asked for it."""
    source: Source
    """What was asked for."""
    revision: str | None = None
    """Commit of a hub repository, as it was then."""
    own: str | None = None
    """A folder or file of the user's that stands for it (`--have`); nothing was fetched."""
    files: dict[str, FileNote] = {}
    """Path to facts; of an archive, the archive itself."""
    unpacked: int | None = None
    """Members of an unpacked archive."""
    fetched: str = ""
    """When, UTC."""
    complete: bool = False
    """Whether all is here."""


class Store:
    """The downloads folder of a cache."""

    def __init__(self, cache: Path) -> None:
        self.root = cache / "downloads"

    def folder(self, want: Want) -> Path:
        return self.root / f"{want.name}-{want.key}"

    def fetched(self, want: Want) -> Fetched | None:
        """What is here of it; none if nothing ever came.

        Raises:
            AssetsInvalid: its note cannot be read.
        """
        path = self.folder(want) / NOTE
        if not path.exists():
            return None
        try:
            return Fetched.model_validate_json(path.read_bytes())
        except ValidationError:
            raise AssetsInvalid(f"{path} cannot be read", hint=f"Remove {path.parent} and fetch again.") from None

    def content(self, want: Want) -> Path | None:
        """The folder with its files (or the user's own); none if it is not completely here."""
        known = self.fetched(want)
        if known is None or not known.complete:
            return None
        content = Path(known.own) if known.own else self.folder(want) / FILES
        return content if content.is_dir() else None

    def missing(self, wants: Iterable[Want]) -> list[Want]:
        """Those that are not completely here."""
        return [want for want in wants if self.content(want) is None]

    def adopt(self, want: Want, path: Path) -> None:
        """Takes a folder or file of the user's for what is wanted. Nothing is copied; the path must stay.

        Raises:
            ConfigInvalid: no such path, a file where a folder is needed, or not the wanted files in it.
            AssetsInvalid: a model without its weights.
            DownloadDamaged: a file whose published hash is known, and is another one.
        """
        path = path.resolve()
        if not path.exists() or (want.unpack and not path.is_dir()):
            kind = "folder" if want.unpack else "folder or file"
            raise ConfigInvalid(f"--have {want.name}={path}: there is no such {kind}", hint=f"It is {want.what}.")
        require_images(want, path)
        root = path if path.is_dir() else path.parent
        names = [] if want.unpack else wanted_files(want, path)
        if want.weights:
            require_weights(root, frozenset(names), want.name)
        files = {
            name: FileNote(size=(root / name).stat().st_size, sha256=sha256_of(want, root / name, name))
            for name in names
        }
        known = Fetched(name=want.name, source=want.source, own=str(root), files=files, complete=True)
        with self._held(want):
            before = self.fetched(want)
            if before is not None and not before.own:
                (self.folder(want) / NOTE).replace(self.folder(want) / BEFORE)
            self._write(want, known)

    def disown(self, want: Want) -> None:
        """Undoes ``adopt``: what was fetched before stands for it again, if anything was. No file is removed.

        Raises:
            ConfigInvalid: nothing of the user's stands for it.
        """
        with self._held(want):
            known = self.fetched(want)
            if known is None or not known.own:
                raise ConfigInvalid(
                    f"--have {want.name}=: no folder or file of yours stands for it", hint=f"It is {want.what}."
                )
            note, before = self.folder(want) / NOTE, self.folder(want) / BEFORE
            note.unlink()
            if before.exists():
                before.replace(note)

    def fetch(self, want: Want, client: httpx.Client, meter: Meter) -> Fetched:
        """Brings what is missing of it; what is here stays.

        Raises:
            DownloadFailed, DownloadDamaged, DiskFull: what came stays for the next try.
        """
        with self._held(want):
            known = self.fetched(want) or Fetched(name=want.name, source=want.source)
            if self.content(want) is not None:
                return known
            if known.own:  # the user's folder is gone, and what it held binds nobody
                known = Fetched(name=want.name, source=want.source)
            known = known.model_copy(update={"complete": False})
            meter(want, "asking the server", 0, None)
            listing = self._list(want, known, client)
            self._require_room(want, known, listing)
            known = self._write(want, known.model_copy(update={"revision": listing.revision}))
            if not (want.unpack and (self.folder(want) / FILES).exists()):
                for file in listing.files:
                    known = self._one(want, known, file, listing, client, meter)
                if want.unpack:
                    known = self._unpack(want, known, meter)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            known = self._write(want, known.model_copy(update={"complete": True, "fetched": now}))
            shutil.rmtree(self.folder(want) / ARCHIVE, ignore_errors=True)
            return known

    def _list(self, want: Want, known: Fetched, client: httpx.Client) -> Listing:
        """An interrupted fetch goes on at the commit at which it began, whatever the branch is by now."""
        source = want.source
        if not isinstance(source, UrlSource) and known.revision is not None:
            source = source.model_copy(update={"revision": known.revision})
        return list_files(source, client)

    def _one(
        self, want: Want, known: Fetched, file: RemoteFile, listing: Listing, client: httpx.Client, meter: Meter
    ) -> Fetched:
        target = self._incoming(want) / file.path
        note = known.files.get(file.path)
        if note is not None and target.exists() and target.stat().st_size == note.size:
            return known
        if note is not None and file.sha256 is None:  # it was here once: it must be the same again
            file = replace(file, sha256=note.sha256)
        had = sum(note.size for note in known.files.values())
        total = listing.size or want.source.bytes
        sha256 = download(file, target, client, lambda here: meter(want, file.path, had + here, total))
        note = FileNote(size=target.stat().st_size, sha256=sha256)
        return self._write(want, known.model_copy(update={"files": {**known.files, file.path: note}}))

    def _unpack(self, want: Want, known: Fetched, meter: Meter) -> Fetched:
        """Members appear all at once, so that a broken attempt is told from a whole one."""
        (name,) = known.files
        archive, members = self._incoming(want) / name, self.folder(want) / "unpacking"
        shutil.rmtree(members, ignore_errors=True)
        total = archive.stat().st_size
        count = unpack(archive, members, lambda done: meter(want, f"unpacking {archive.name}", done, total))
        members.rename(self.folder(want) / FILES)
        return self._write(want, known.model_copy(update={"unpacked": count}))

    def _incoming(self, want: Want) -> Path:
        """Where bytes of the server go to."""
        return self.folder(want) / (ARCHIVE if want.unpack else FILES)

    def _require_room(self, want: Want, known: Fetched, listing: Listing) -> None:
        """Before the first byte: room for what is still to come, twice for an archive and its members."""
        total = listing.size or want.source.bytes
        if total is None:
            return
        require_room(self.root, total * (2 if want.unpack else 1) - self._came(want, known), want.what)

    def came(self, want: Want) -> int:
        """Bytes that are here of something that is not completely here."""
        known = self.fetched(want)
        if known is None or known.own:
            known = Fetched(name=want.name, source=want.source)
        return self._came(want, known)

    def _came(self, want: Want, known: Fetched) -> int:
        parts = self._incoming(want).rglob("*.part")
        return sum(note.size for note in known.files.values()) + sum(part.stat().st_size for part in parts)

    def _write(self, want: Want, known: Fetched) -> Fetched:
        folder = self.folder(want)
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / f".{NOTE}"
        scratch.write_text(known.model_dump_json(indent=1), encoding="utf-8")
        scratch.rename(folder / NOTE)
        return known

    @contextmanager
    def _held(self, want: Want) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f"{want.name}-{want.key}.lock"):
            yield


def require_room(folder: Path, needed: int, what: str, made_of: str = "") -> None:
    """Refuse before anything is fetched.

    Args:
        made_of: what the bytes are for, in a few words.

    Raises:
        DiskFull: less than ``needed`` bytes and ``ROOM`` are free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed + ROOM > free:
        raise DiskFull(
            f"{what} needs about {format_size(needed)}{f' ({made_of})' if made_of else ''}, and {folder} has"
            f" {format_size(free)} free, of which {format_size(ROOM)} is kept free",
            hint="Free some, or export CURATION_CACHE=/another/disk",
        )
