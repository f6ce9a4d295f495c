"""What a harness that was killed left on the machine: containers, staged binds, attached volumes.

Something is a leftover only if it carries our record of its owner and that process is surely dead. What has no
such record, or a live owner, or one we cannot see (another pid namespace), is never touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, NamedTuple

from curation_sandbox import mounts
from curation_sandbox.container import KEPT_LABEL
from curation_sandbox.engine import LABEL, Engine, connect
from curation_sandbox.errors import ContainerFailed, EngineUnavailable
from curation_sandbox.owners import Owner, of_folder
from curation_sandbox.staging import STAGES, Stage
from curation_sandbox.volumes import CLAIMS, Claim, backing_file


class Leftover(NamedTuple):
    """One thing that a dead harness process left behind."""

    kind: Literal["container", "binds", "volume"]
    name: str
    """Container id, name of the stage, or name of the claim file."""
    what: str
    """For a person: which run's, where."""
    owner: Owner
    """The process that made it."""


def leftovers(engine: Engine | None = None) -> list[Leftover]:
    """Everything of ours whose owner is dead, in the order in which it can be removed: containers first, since
    they hold the mounts.

    Without ``engine`` one is connected to; where none runs, no container does either, and the rest is told.

    Raises:
        EngineUnavailable: the engine given went away.
    """
    return [*_containers(engine), *_binds(), *_volumes()]


def remove(leftover: Leftover, engine: Engine | None = None) -> None:
    """Remove a leftover; nothing happens if it is gone. What a volume holds stays in its file.

    Raises:
        EngineUnavailable: there is none, and it is a container.
        ContainerFailed: the owner lives after all, or the engine or the kernel refuses.
    """
    if not leftover.owner.dead:
        raise ContainerFailed(f"{leftover.what} belongs to process {leftover.owner.pid}, which lives.")
    if leftover.kind == "container":
        with _connected(engine) as connected:
            connected.remove(leftover.name)
    elif leftover.kind == "binds":
        Stage(leftover.name).close()
    else:
        _detach(leftover)


def _containers(engine: Engine | None) -> Iterator[Leftover]:
    prefix = f"{LABEL}."
    try:
        with _connected(engine) as connected:
            found = connected.containers(f"{prefix}owner-pid")
    except EngineUnavailable:
        if engine is not None:
            raise
        return
    for container in found:
        labels = container.get("Labels") or {}
        own = {key.removeprefix(prefix): value for key, value in labels.items() if key.startswith(prefix)}
        owner = Owner.of_labels(own)
        if owner is not None and owner.dead and KEPT_LABEL not in labels:
            what = f"container {container['Id'][:12]} of run {own.get('run', '?')} ({container['State']})"
            yield Leftover("container", container["Id"], what, owner)


def _binds() -> Iterator[Leftover]:
    for folder in _listed(STAGES):
        if (owner := of_folder(folder)) is not None and owner.dead:
            yield Leftover("binds", folder.name, f"binds staged in {folder}", owner)


def _volumes() -> Iterator[Leftover]:
    for path in _listed(CLAIMS):
        claim = Claim.read(path)
        if path.suffix == ".json" and claim is not None and claim.owner.dead:
            yield Leftover("volume", path.name, f"volume {claim.image} at {claim.mountpoint}", claim.owner)


def _detach(leftover: Leftover) -> None:
    path = CLAIMS / leftover.name
    claim = Claim.read(path)
    if claim is None or claim.owner != leftover.owner:
        return  # detached, or attached anew by a live run, since it was listed
    present = mounts.at(claim.mountpoint)
    if present is not None and backing_file(present.source) == claim.image.resolve():
        mounts.unmount(claim.mountpoint)
    path.unlink(missing_ok=True)


def _connected(engine: Engine | None) -> AbstractContextManager[Engine]:
    return connect() if engine is None else nullcontext(engine)


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, PermissionError):  # root's, when we are not root: not ours to remove
        return []
