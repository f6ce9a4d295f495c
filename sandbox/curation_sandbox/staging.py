"""Read-only binds, staged on the host: what a container is shown passes through a mount of ours first.

The engine can make a bind read-only, but not nosuid and nodev. So, as root, each source is bound into a folder of
the container's own with all three flags, and the engine binds that. Without root the engine's read-only bind
remains; set-user-id bits and device files are then stopped by no-new-privileges and the device rules alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from curation_sandbox import mounts, owners
from curation_sandbox.errors import ContainerFailed
from curation_sandbox.hardening import Bind
from curation_sandbox.owners import OWNER_FILE
from curation_sandbox.spec import check_host_path
from curation_sandbox.volumes import STATE

STAGES: Final = STATE / "binds"


class Stage:
    """The folder of one container's staged binds. ``close`` unmounts and removes it; repeatable."""

    def __init__(self, name: str) -> None:
        self.folder = STAGES / name

    def open(self, sources: Sequence[tuple[Path, str]]) -> list[Bind]:
        """Stage the sources; the binds to give to the engine.

        Raises:
            ContainerFailed: a source is missing or may not be shown, or the kernel refuses.
        """
        checked = [(_checked(source), target) for source, target in sources]
        if not mounts.can_mount():
            return [Bind(source, target, writable=False) for source, target in checked]
        STAGES.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700)
        owners.mark(self.folder)
        binds = []
        for number, (source, target) in enumerate(checked):
            place = self.folder / str(number)
            mounts.bind_read_only(source, place)
            binds.append(Bind(place, target, writable=True))
        return binds

    def close(self) -> None:
        """Unmount and remove. Never removes through a mount: a place that stays mounted stays.

        Raises:
            ContainerFailed: the kernel refuses to unmount.
        """
        if not mounts.can_mount() or not self.folder.is_dir():
            return  # without root nothing is staged, and root's stages are not ours to look at
        with suppress(FileNotFoundError):  # two processes may be removing what a dead one left
            for place in sorted(self.folder.iterdir()):
                if place.name != OWNER_FILE:
                    mounts.unmount(place)
                    place.rmdir() if place.is_dir() else place.unlink(missing_ok=True)
            (self.folder / OWNER_FILE).unlink(missing_ok=True)  # last: until here a killed close can be repeated
            self.folder.rmdir()


@contextmanager
def staged(name: str, sources: Sequence[tuple[Path, str]]) -> Iterator[list[Bind]]:
    """``Stage`` as a context: closed at the end, and when opening fails half-way."""
    stage = Stage(name)
    try:
        yield stage.open(sources)
    finally:
        stage.close()


def _checked(source: Path) -> Path:
    try:
        real = source.resolve(strict=True)
    except OSError as error:
        raise ContainerFailed(f"{source} cannot be shown to the container: {error.strerror}.") from error
    try:
        check_host_path(real)  # the spec checked the name; a link may lead elsewhere
    except ValueError as error:
        raise ContainerFailed(str(error)) from error
    return real
