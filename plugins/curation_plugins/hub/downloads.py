"""What was fetched for a task, as its `prepare` finds it: by the wants' names, and linked, not copied."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from curation_plugins.errors import AssetsInvalid
from curation_plugins.hub.store import Fetched


class Downloads:
    """The folder `downloads` of assets in the making."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def content(self, name: str) -> Path:
        """Folder with the files."""
        return (self._folder / name).resolve()

    def note(self, name: str) -> Fetched:
        """What is known of the fetch."""
        return Fetched.model_validate_json((self._folder / f"{name}.json").read_bytes())

    def only_file(self, name: str) -> Path:
        """The file of a want of one file."""
        (path,) = self.note(name).files
        return self.content(name) / path

    def files(self, name: str) -> dict[str, Path]:
        """Path below the content → file, in order of paths."""
        return {path: self.content(name) / path for path in sorted(self.note(name).files)}

    def write_sources(self, path: Path) -> None:
        """Where everything came from; without times and places, so that the same files make the same folder."""
        notes = {file.stem: Fetched.model_validate_json(file.read_bytes()) for file in self._folder.glob("*.json")}
        shown = {
            name: note.model_dump(mode="json", include={"source", "revision", "files"})
            for name, note in notes.items()
        }
        path.write_text(json.dumps(shown, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def hard_link(source: Path, target: Path) -> None:
    """One more name for a file. What the container sees must be linked so: the pool is one mounted folder, in which a
    symbolic link would point nowhere.

    Raises:
        AssetsInvalid: the file is gone, lies on another disk, or the system forbids it.
    """
    try:
        os.link(source.resolve(), target)
    except FileNotFoundError:
        raise _gone(source) from None
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        raise AssetsInvalid(
            f"{source} cannot be linked into {target.parent}: {error.strerror}",
            hint="Files are linked, not copied: folders of yours must be on the cache's disk and be yours."
            " CURATION_CACHE names another place for the cache.",
        ) from None


def link(source: Path, target: Path) -> None:
    """One more name for a file that stays on the host: a symbolic link will do where a hard one cannot be.

    Raises:
        AssetsInvalid: the file is gone.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # the file itself: in the hub's own cache, which may be named with --have, names are relative links
    file = source.resolve()
    try:
        os.link(file, target)
    except FileNotFoundError:
        raise _gone(source) from None
    except OSError:
        target.symlink_to(file)


def _gone(path: Path) -> AssetsInvalid:
    return AssetsInvalid(
        f"{path} is gone: it was here when it was fetched",
        hint="Remove its folder, and fetch again or name another one with --have NAME=PATH.",
    )
