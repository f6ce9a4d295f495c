"""The seal of a record: a list of its files, and the digest of that list, by which the whole record can be named.

A run's folder is sealed when a process that worked on the run is through with it, and unsealed when one goes on. What
is made of a record later (report, trajectory, reruns) stands in a list of its own, so that the root digest stays.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from curation_harness.errors import RecordInvalid, RunBusy
from curation_harness.record import files, listing
from curation_harness.record.layout import BESIDE, MANIFEST, shown, walk
from curation_harness.record.store import RunRecord

_RERUN: Final = re.compile(r"reruns/(\d{3}(?:-[a-z]+)?)(?:/.*|\.log)", re.DOTALL)
"""What belongs to a rerun, beside its verdict."""
_HINT: Final = "The record was changed or damaged; a copy of it from another place may be whole."


def seal(record: RunRecord) -> str:
    """List the record's files as they are now; the caller holds the record's lock. Returns the root digest.

    What somebody else put into the folder is not listed, and costs the run nothing: ``check_sealed`` names it.
    """
    there = _standing(record.folder, "sealed", strict=False)
    digests = {path: listing.digest_of(record.folder / path) for path in there}
    files.write(record.folder / MANIFEST, listing.render(digests))
    sealed = root(record.folder)
    assert sealed is not None
    return sealed


def unseal(record: RunRecord) -> None:
    """Break the seal, before anything is written into the record; the caller holds its lock. What was made of the
    record as it was (report, trajectory) goes, too: it is made anew when the run is over.

    Raises:
        RecordInvalid: its list of these was damaged; nothing was touched.
    """
    manifest, place = record.folder / MANIFEST, record.folder / BESIDE
    known = _listed(record.folder)
    if manifest.exists():
        manifest.unlink()
        files.sync_folder(record.folder)
    if place.exists():
        files.write(place, listing.render({path: known[path] for path in known if _of_rerun(path)}))
        for path in _standing(record.folder, "beside", strict=False):  # as it lies there: a list may name anything
            if not _of_rerun(path):
                (record.folder / path).unlink()


def root(folder: Path) -> str | None:
    """The root digest, SHA-256 of the list; none: the record is not sealed. Says nothing of the files themselves."""
    manifest = folder / MANIFEST
    return listing.digest_of(manifest) if manifest.is_file() else None


def note_beside(record: RunRecord, *rewritten: str) -> None:
    """List what was made beside a sealed record, but for reruns without a verdict: they are going on, or were killed.
    Files that are listed already keep their digests, but for those that were ``rewritten``. The caller holds the
    record's lock."""
    folder, place = record.folder, record.folder / BESIDE
    known = {path: digest for path, digest in _listed(folder).items() if not _undecided(folder, path)}
    for path in _standing(folder, "beside", strict=False):
        if not _undecided(folder, path) and (path not in known or path in rewritten):
            known[path] = listing.digest_of(folder / path)
    files.write(place, listing.render(known))


def written_up(record: RunRecord) -> bool:
    """Whether what is made of a record at its end is listed, and not only reruns."""
    return any(not _of_rerun(path) for path in _listed(record.folder))


def note_beside_unless_busy(record: RunRecord, *rewritten: str) -> None:
    """Likewise, without the lock. While another process works on the run nothing is listed: it does so in the end."""
    with suppress(RunBusy), record.lock():
        note_beside(record, *rewritten)


def check_sealed(folder: Path) -> tuple[int, int]:
    """Hold every file against the list. Returns how many files and bytes they are.

    Raises:
        RecordInvalid: a file is missing, added or another one; with its name.
    """
    return _check(folder, MANIFEST, listing.parse(folder / MANIFEST), set(_standing(folder, "sealed")))


def check_beside(folder: Path) -> int:
    """Likewise what was made later; of reruns without a verdict nothing is asked. Returns how many files they are."""
    known = _listed(folder)
    there = {path for path in _standing(folder, "beside") if path in known or not _undecided(folder, path)}
    return _check(folder, BESIDE, known, there)[0]


def _listed(folder: Path) -> dict[str, str]:
    """Digests of what was made later, by path."""
    place = folder / BESIDE
    return listing.parse(place) if place.exists() else {}


def _of_rerun(path: str) -> bool:
    return path.startswith("reruns")


def _undecided(folder: Path, path: str) -> bool:
    """Whether a file belongs to a rerun that has come to no verdict."""
    found = _RERUN.fullmatch(path)
    return found is not None and not (folder / "reruns" / f"{found[1]}.json").is_file()


def _standing(folder: Path, stands: str, *, strict: bool = True) -> list[str]:
    return [path for path, kind in walk(folder, strict=strict) if kind.stands == stands]


_HINTS: Final = {
    MANIFEST: _HINT,
    BESIDE: "It was changed, or its writer was killed before listing it: `harness report` writes a report anew.",
}


def _check(folder: Path, name: str, listed: dict[str, str], there: Collection[str]) -> tuple[int, int]:
    size = 0
    for path in sorted({*listed, *there}):
        if path not in there:
            raise RecordInvalid(f"{folder}: {shown(path)} is missing; {name} lists it", hint=_HINTS[name])
        if path not in listed:
            raise RecordInvalid(f"{folder}: {shown(path)} is not in {name}: it was added later", hint=_HINTS[name])
        size += (folder / path).stat().st_size
        if listing.digest_of(folder / path) != listed[path]:
            raise RecordInvalid(
                f"{folder}: {shown(path)} is not what it was (or {name} is not): its SHA-256 is another one",
                hint=_HINTS[name],
            )
    return len(listed), size
