"""Container images: built from ``images/<name>/``, found, listed, saved and loaded.

``base`` is built on a tree bootstrapped from Debian packages (``bootstrap.py``), or, where that cannot be done or
is not wanted, on an image of a registry; every other image is built on ``base``. An image whose inputs did not
change is not built again: the hash of everything that decides its content is one of its labels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from curation_sandbox import image_archive, image_files
from curation_sandbox.build_log import OnLine, log_folder
from curation_sandbox.engine import LABEL, Engine, connect
from curation_sandbox.errors import ImageMissing
from curation_sandbox.image_builder import Builder
from curation_sandbox.image_files import BASE, REPOSITORY, tag_of


@dataclass(frozen=True)
class ImageRef:
    """An image that is there."""

    name: str
    """Name under ``images/``, or what was asked for."""
    tag: str
    """A tag of it, or its id."""
    digest: str
    """Image id, ``sha256:…``: the hash of its configuration and layers."""
    size: int
    """Bytes, the layers it shares with other images included."""
    created: str
    """When, as the engine says it (RFC 3339)."""
    labels: Mapping[str, str]

    @property
    def versions(self) -> dict[str, str]:
        """Versions of what matters in it, by name, from its lock files."""
        found = json.loads(self.labels.get(f"{LABEL}.versions", "{}"))
        return {str(name): str(version) for name, version in found.items()}


def resolve(engine: Engine, name: str) -> ImageRef:
    """The image of a name under ``images/``, a tag, or an id.

    Raises:
        ImageMissing: it is not built, or no such name.
    """
    known = name in image_files.names()
    try:
        return _as_ref(name, engine.inspect_image(tag_of(name) if known else name))
    except ImageMissing:
        if known:
            raise ImageMissing(
                f"Image {name} is not built yet.", hint=f"Run `harness images build {name}`."
            ) from None
        raise ImageMissing(
            f"There is no image {name}; images/ has: {', '.join(image_files.names()) or 'none'}.",
            hint="Give one of those, or the tag or id of an image the engine has.",
        ) from None


def list_images() -> list[ImageRef]:
    """Our images the engine has, newest first; bootstrapped base trees are not among them.

    Raises:
        EngineUnavailable, EngineTooOld.
    """
    with connect() as engine:
        found = []
        for entry in engine.images(f"{LABEL}.image"):
            if tags := [tag for tag in entry.get("RepoTags") or () if tag != "<none>:<none>"]:
                found += [_as_ref(_name_of(tag), engine.inspect_image(tag), tag) for tag in tags]
    return sorted(found, key=lambda image: (image.created, image.tag), reverse=True)


def save(name: str, path: Path) -> ImageRef:
    """Write an image to a file, from which ``load`` brings it back with the same digest.

    Raises:
        ImageMissing, DiskFull, EngineUnavailable.
        CurationError: the file cannot be written.
    """
    with connect() as engine:
        image = resolve(engine, name)
        image_archive.write_whole(path, engine.save_image(image.tag))
    return image


def load(path: Path) -> list[ImageRef]:
    """Load a file that ``save`` wrote; the images it brought or confirmed.

    Raises:
        CurationError: no such file, or no archive of a tagged image.
        DiskFull, EngineUnavailable.
    """
    tags = image_archive.tags(path)
    with connect() as engine, path.open("rb") as archive:
        engine.load_image(archive)
        return [_as_ref(_name_of(tag), engine.inspect_image(tag), tag) for tag in tags]


def build(names: Sequence[str], on_line: OnLine, *, base: str | None = None, force: bool = False) -> list[ImageRef]:
    """Build images (all, if none are named), ``base`` first where it is needed.

    Args:
        on_line: is told what happens, and each line of the builders' output.
        base: image to build ``base`` on, pulled if it is not here, instead of a bootstrapped Debian.
            It must be a Debian trixie (the locked wheels are for its Python, 3.13).
        force: build the named images anew, without any cache.

    Raises:
        ImageMissing: no such name under ``images/``.
        ImageBuildFailed, DiskFull, EngineUnavailable, EngineTooOld.
    """
    known = image_files.names()
    for name in names:
        if name not in known:
            raise ImageMissing(f"images/ has no {name!r}; it has: {', '.join(known)}.")
    wanted = [name for name in known if not names or name in names]
    with connect() as engine:
        logs = log_folder()
        logs.mkdir(parents=True, exist_ok=True)
        with FileLock(logs.parent / "images.lock"):  # two at once would do the same work twice
            builder = Builder(engine, on_line, base)
            for name in (BASE, *(name for name in wanted if name != BASE)):
                builder.build(name, force=force and name in wanted)
        return [resolve(engine, name) for name in wanted]


def _as_ref(name: str, image: Mapping[str, Any], tag: str | None = None) -> ImageRef:
    tags = image.get("RepoTags") or [image["Id"]]
    labels = image["Config"].get("Labels") or {}
    return ImageRef(name, tag or tags[0], image["Id"], int(image["Size"]), image["Created"], dict(labels))


def _name_of(tag: str) -> str:
    repository, _, version = tag.rpartition(":")
    ours = repository.removeprefix(f"{REPOSITORY}/")
    return ours if ours in image_files.names() and version == "latest" else tag
