"""The images the containers run: build, list, find, save and load them.

An image remembers the digest of everything it was made from in a label; a second build with equal
inputs is a look-up. Mirrors drift, so the same inputs need not give the same bytes next year:
a saved image does (``save``, ``load``).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from . import bootstrap
from .bootstrap import DEBIAN_IMAGE, INPUTS_LABEL, Bootstrap
from .build_secrets import build_arguments
from .docker_cli import Transcript, disk_full, docker, docker_command, log_folder
from .errors import CurationError, EngineUnavailable, ImageBuildFailed, ImageMissing

REPOSITORY = "curation-harness"
BASE = "base"
REGISTRY_IMAGE = "debian:trixie-slim"  # the base where Debian cannot be bootstrapped

OnLine = Callable[[str], None]


@dataclass(frozen=True)
class ImageRef:
    """One image of the engine."""

    name: str  # e.g. "curation-harness/base"
    tag: str
    digest: str  # the engine's image id, "sha256:…"
    size: int  # bytes, layers shared with other images included
    created: str  # RFC 3339, as the engine says
    labels: Mapping[str, str]

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.tag}"


def images_folder() -> Path:
    """Where the Dockerfiles are: beside the package in a wheel, else at the checkout's top."""
    package = Path(__file__).resolve().parent
    packaged = package / "_data" / "images"
    return packaged if packaged.is_dir() else package.parents[1] / "images"


def buildable() -> list[str]:
    """Names ``build`` knows, the base first."""
    names = sorted(file.parent.name for file in images_folder().glob("*/Dockerfile"))
    return sorted(names, key=lambda name: name != BASE)


def build(
    names: Sequence[str], on_line: OnLine, *, base: str | None = None, force: bool = False
) -> list[ImageRef]:
    """Build the named images, and before them the base they stand on when it is not there.

    base: an image to start from instead of a bootstrapped Debian; it needs apt and Python >= 3.11.
    force: build even where an image with equal inputs exists.
    Raises ImageMissing (no such name), ImageBuildFailed, DiskFull, EngineUnavailable.
    """
    for name in names:
        if name not in buildable():
            raise ImageMissing(
                f"There is no image {name!r} to build.", hint=f"There are: {', '.join(buildable())}"
            )
    docker("version", "--format", "{{.Server.Version}}")  # no engine: say so before anything else
    log_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(log_folder().parent / "images.lock"):  # two at once would build the same twice
        ordered = [BASE, *(name for name in dict.fromkeys(names) if name != BASE)]
        built: dict[str, ImageRef] = {}
        for name in ordered:
            again = force and name in names
            built[name] = _build_one(name, Transcript(name, on_line), base, again)
    return [built[name] for name in dict.fromkeys(names)]


def _build_one(name: str, log: Transcript, base: str | None, force: bool) -> ImageRef:
    reference = f"{REPOSITORY}/{name}:latest"
    if name == BASE:
        start, mirror = _starting_image(log, base, force)
    else:
        start, mirror = _inspect(f"{REPOSITORY}/{BASE}:latest"), bootstrap.debian_mirror()
    folder = images_folder() / name
    inputs = _inputs_digest(folder, start.digest or start.reference)
    present = _find(reference)
    if present and not force and present.labels.get(INPUTS_LABEL) == inputs:
        log.say(f"{reference}: already built from these inputs ({present.digest[:19]})")
        return present
    log.say(f"{reference}: building on {start.reference}")
    with build_arguments(mirror) as arguments:
        # The host's network: an index or proxy on this machine's loopback is reachable too.
        command = [
            docker_command(), "build", "--progress=plain", "--network=host", *arguments,
            f"--build-arg=BASE_IMAGE={start.reference}", f"--label={INPUTS_LABEL}={inputs}",
            f"--tag={reference}", *(["--no-cache"] if force else []), str(folder),
        ]  # fmt: skip
        log.run(command, {**os.environ, "DOCKER_BUILDKIT": "1"}, what=f"building {reference}")
    return _inspect(reference)


def _starting_image(log: Transcript, base: str | None, force: bool) -> tuple[ImageRef, str | None]:
    """The image the base stands on, and the Debian mirror its build should use."""
    if base is not None:
        log.say(f"Starting from {base}, as asked.")
        return _named(base), None  # its own apt sources fit it; this machine's may not
    settings = Bootstrap()
    present = _find(DEBIAN_IMAGE)
    if present and not force and present.labels.get(INPUTS_LABEL) == settings.digest():
        log.say(f"{DEBIAN_IMAGE}: already bootstrapped ({present.digest[:19]})")
        return present, bootstrap.debian_mirror()
    if (reason := bootstrap.why_not()) is not None:
        log.say(f"Starting from the registry's {REGISTRY_IMAGE}: {reason}.")
        return _named(REGISTRY_IMAGE), bootstrap.debian_mirror()
    log.say(f"Bootstrapping {DEBIAN_IMAGE} from Debian packages with mmdebstrap.")
    try:
        with tempfile.TemporaryDirectory(prefix="curation-bootstrap-", dir="/var/tmp") as folder:
            tar = Path(folder) / "root.tar"
            bootstrap.write_root_tar(settings, tar, log)
            log.feed(
                [docker_command(), "load"],
                lambda out: bootstrap.write_load_archive(settings, tar, out),
                what=f"loading {DEBIAN_IMAGE}",
            )
    except OSError as error:
        raise _plain(error, f"bootstrapping {DEBIAN_IMAGE}", ImageBuildFailed) from error
    return _inspect(DEBIAN_IMAGE), bootstrap.debian_mirror()


def _named(reference: str) -> ImageRef:
    """The image if the engine has it, else its name alone: the build will pull it."""
    name, tag = _split(reference)
    return _find(reference) or ImageRef(name, tag, "", 0, "", {})


def _inputs_digest(folder: Path, start: str) -> str:
    digest = hashlib.sha256(start.encode())
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def list_images() -> list[ImageRef]:
    """Every image of ours, by name; a superseded build without a tag is left out."""
    return _list(f"label={INPUTS_LABEL}")


def _list(*filters: str) -> list[ImageRef]:
    options = [f"--filter={one}" for one in filters]
    listed = docker("image", "ls", "--no-trunc", "--format={{json .}}", *options)
    rows = [json.loads(line) for line in listed.splitlines() if line]
    named = [row for row in rows if "<none>" not in (row["Repository"], row["Tag"])]
    refs = [_inspect(f"{row['Repository']}:{row['Tag']}") for row in named]
    return sorted(refs, key=lambda ref: ref.reference)


def _find(reference: str) -> ImageRef | None:
    try:
        return _inspect(reference)
    except ImageMissing:
        return None


def _inspect(reference: str) -> ImageRef:
    """One image by reference or id. Raises ImageMissing, EngineUnavailable."""
    try:
        (found,) = json.loads(docker("image", "inspect", "--", reference))
    except EngineUnavailable:
        raise
    except CurationError as error:
        raise ImageMissing(f"The image {reference!r} is not on this machine: {error}") from error
    tags: list[str] = found["RepoTags"] or []
    name, tag = _split(reference if reference in tags or not tags else tags[0])
    return ImageRef(
        name=name, tag=tag, digest=found["Id"], size=found["Size"], created=found["Created"],
        labels=found["Config"].get("Labels") or {},
    )  # fmt: skip


def _split(reference: str) -> tuple[str, str]:
    """Name and tag; a colon before the last slash is a registry's port."""
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "latest")


def resolve(engine: object, name: str) -> ImageRef:
    """The image of a short name ("base"), a reference or an id.

    engine: the connected engine; here only to say at the call that one is needed.
    Raises ImageMissing, EngineUnavailable.
    """
    known = name in buildable()
    found = _find(f"{REPOSITORY}/{name}:latest" if known else name)
    if found is None:
        raise ImageMissing(
            f"The image {name!r} is not on this machine.",
            hint=f"Build it: harness images build {name if known else BASE}; "
            "or bring a saved one: harness images load FILE.",
        )
    return found


def save(name: str, path: Path) -> ImageRef:
    """Write an image, tags included, to one file. An existing file is replaced only at the end.

    Raises ImageMissing, DiskFull, CurationError (the folder cannot be written).
    """
    image = resolve(None, name)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.touch(mode=0o644)
        docker("save", "--output", str(part), image.reference)
        with part.open("rb") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise _plain(error, f"saving {image.reference} to {path}", CurationError) from error
    finally:
        part.unlink(missing_ok=True)
    return image


def load(path: Path) -> list[ImageRef]:
    """Load what ``save`` wrote and return the images it brought.

    Raises CurationError (no such file, no image archive), DiskFull.
    """
    tags = _archive_tags(path)
    docker("load", "--input", str(path))
    return [_inspect(tag) for tag in tags]


def _archive_tags(path: Path) -> list[str]:
    """The tags of an image archive; refuses anything else before the engine unpacks it."""
    refused = f"{path} is no archive of a tagged image"
    try:
        with tarfile.open(path) as archive:
            member = archive.extractfile("manifest.json")
            manifest = json.loads(member.read(1 << 20)) if member else None
        tags = [tag for entry in manifest or [] for tag in entry["RepoTags"] or []]
    except FileNotFoundError as error:
        raise CurationError(f"There is no file {path}.") from error
    except (OSError, tarfile.TarError, KeyError, ValueError, TypeError, EOFError) as error:
        raise CurationError(f"{refused}: {error}", hint=_SAVE_HINT) from error
    if not tags or not all(isinstance(tag, str) and not tag.startswith("-") for tag in tags):
        raise CurationError(f"{refused}.", hint=_SAVE_HINT)
    return tags


_SAVE_HINT = "Make one with: harness images save NAME FILE."


def _plain(error: OSError, what: str, otherwise: type[CurationError]) -> CurationError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(what, str(error))
    return otherwise(f"Failed while {what}: {error}")
