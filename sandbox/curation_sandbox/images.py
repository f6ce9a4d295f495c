"""Container images: built from ``images/<name>/``, found, listed, saved and loaded.

``base`` is built on a tree bootstrapped from Debian packages (``bootstrap.py``), or, where that cannot be done or
is not wanted, on an image of a registry; every other image is built on ``base``, or, named ``codex+mine``, on
another one. An image whose inputs did not change is not built again: the hash of everything that decides its content
is one of its labels.
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
from curation_sandbox.image_files import BASE, ON, parts, reference_of, tag_of


@dataclass(frozen=True)
class ImageRef:
    """An image that is there."""

    name: str
    """Name under ``images/``, one of those on another (``codex+mine``), or what was asked for."""
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
    """The image of a name under ``images/``, one of those on another image, a tag, or an id.

    Raises:
        ImageMissing: it is not built, or no such name.
    """
    reference = reference_of(name)
    try:
        return _as_ref(name, engine.inspect_image(reference))
    except ImageMissing:
        if reference != name:
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
            tags = [tag for tag in entry.get("RepoTags") or () if tag != "<none>:<none>"]
            found += [_by_tag(engine, tag) for tag in tags]
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
        return [_by_tag(engine, tag) for tag in tags]


def build(names: Sequence[str], on_line: OnLine, *, base: str | None = None, force: bool = False) -> list[ImageRef]:
    """Build images (all under ``images/``, if none are named), first what they are built on.

    Args:
        on_line: is told what happens, and each line of the builders' output.
        base: image to build ``base`` on, pulled if it is not here, instead of a bootstrapped Debian.
            It must be a Debian trixie (the locked wheels are for its Python, 3.13).
        force: build the named images anew, without any cache.

    Raises:
        ImageMissing: no such name under ``images/``, or none that the engine has to build one of them on.
        ImageBuildFailed, DiskFull, EngineUnavailable, EngineTooOld.
    """
    known = image_files.names()
    starts = dict.fromkeys(parts(name)[1] for name in names)  # before the engine is asked: are they names?
    wanted = sorted(set(names or known), key=lambda name: (ON in name, name != BASE, name))
    needed = dict.fromkeys((BASE, *(start for start in starts if start in known), *wanted))
    with connect() as engine:
        for start in starts.keys() - set(known):
            resolve(engine, start)
        logs = log_folder()
        logs.mkdir(parents=True, exist_ok=True)
        with FileLock(logs.parent / "images.lock"):  # two at once would do the same work twice
            builder = Builder(engine, on_line, base)
            for name in needed:
                builder.build(name, force=force and name in wanted)
        return [resolve(engine, name) for name in wanted]


def _as_ref(name: str, image: Mapping[str, Any], tag: str | None = None) -> ImageRef:
    tags = image.get("RepoTags") or [image["Id"]]
    labels = image["Config"].get("Labels") or {}
    return ImageRef(name, tag or tags[0], image["Id"], int(image["Size"]), image["Created"], dict(labels))


def _by_tag(engine: Engine, tag: str) -> ImageRef:
    """An image under the name we gave it, if it still has the tag that goes with the name."""
    image = engine.inspect_image(tag)
    name = (image["Config"].get("Labels") or {}).get(f"{LABEL}.image", "")
    try:
        parts(name)
        ours = tag == tag_of(name)
    except ImageMissing:  # a label is whatever somebody's image says
        ours = False
    return _as_ref(name if ours else tag, image, tag)
