"""Container images: built from ``images/<name>/``, found, listed, saved and loaded.

``base`` is built on a tree bootstrapped from Debian packages (``bootstrap.py``), or, where that cannot be done or
is not wanted, on an image of a registry; every other image is built on ``base``. An image whose inputs did not
change is not built again: the hash of everything that decides its content is one of its labels.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from curation_sandbox import __version__, bootstrap, image_archive
from curation_sandbox.apt_sources import SUITE
from curation_sandbox.build_log import DISK_HINT, BuildLog, OnLine, log_folder
from curation_sandbox.build_secrets import build_arguments
from curation_sandbox.engine import LABEL, Engine, connect
from curation_sandbox.errors import CurationError, DiskFull, ImageBuildFailed, ImageMissing
from curation_sandbox.spec import format_size

REPOSITORY: Final = "curation-harness"
BASE: Final = "base"
REGISTRY_BASE: Final = f"debian:{SUITE}-slim"
NEEDED_DISK: Final = 4 * 2**30
"""Free bytes a build asks for: tree, archive, layers and cache together."""

_PACKAGE: Final = Path(__file__).resolve().parent
_IN_WHEEL: Final = _PACKAGE / "_data" / "images"
FOLDER: Final = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent.parent / "images"

_NOT_INPUTS: Final = ("README.md", "requirements.in")


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


def names() -> tuple[str, ...]:
    """Images that can be built, ``base`` first."""
    found = sorted(path.parent.name for path in FOLDER.glob("*/Dockerfile"))
    return tuple(sorted(found, key=lambda name: (name != BASE, name)))


def tag_of(name: str) -> str:
    return f"{REPOSITORY}/{name}:latest"


def resolve(engine: Engine, name: str) -> ImageRef:
    """The image of a name under ``images/``, a tag, or an id.

    Raises:
        ImageMissing: it is not built, or no such name.
    """
    known = name in names()
    try:
        return _as_ref(name, engine.inspect_image(tag_of(name) if known else name))
    except ImageMissing:
        if known:
            raise ImageMissing(
                f"Image {name} is not built yet.", hint=f"Run `harness images build {name}`."
            ) from None
        raise ImageMissing(
            f"There is no image {name}; images/ has: {', '.join(names()) or 'none'}.",
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


def build(
    names: Sequence[str], on_line: OnLine, *, base: str | None = None, force: bool = False
) -> list[ImageRef]:
    """Build images (all, if none are named), ``base`` first where it is needed.

    Args:
        on_line: is told what happens, and each line of the builders' output.
        base: image to build ``base`` on, pulled if it is not here, instead of a bootstrapped Debian.
            It must be a Debian with Python >= 3.13 to be had from apt.
        force: build the named images anew, without any cache.

    Raises:
        ImageMissing: no such name under ``images/``.
        ImageBuildFailed, DiskFull, EngineUnavailable, EngineTooOld.
    """
    known = _known()
    for name in names:
        if name not in known:
            raise ImageMissing(f"images/ has no {name!r}; it has: {', '.join(known)}.")
    wanted = [name for name in known if not names or name in names]
    with connect() as engine:
        logs = log_folder()
        logs.mkdir(parents=True, exist_ok=True)
        with FileLock(logs.parent / "images.lock"):  # two at once would do the same work twice
            builder = _Builder(engine, on_line, base)
            built = {name: builder.build(name, force=force and name in wanted) for name in _order(wanted)}
    return [built[name] for name in wanted]


def _known() -> tuple[str, ...]:
    return names()


def _order(wanted: Sequence[str]) -> list[str]:
    return [BASE, *(name for name in wanted if name != BASE)]


class _Builder:
    """One call of ``build``."""

    def __init__(self, engine: Engine, on_line: OnLine, base: str | None) -> None:
        self._engine = engine
        self._on_line = on_line
        self._base = base

    def build(self, name: str, *, force: bool) -> ImageRef:
        inputs = self._inputs(name)
        if not force and (image := self._up_to_date(name, inputs)):
            self._on_line(f"image {name} is up to date ({image.digest[:19]})")
            return image
        log = BuildLog(name, self._on_line)
        self._check_disk()
        if name == BASE:
            start, origin = self._start(log, force=force)
        else:
            start, origin = tag_of(BASE), resolve(self._engine, BASE).digest
        labels = {
            f"{LABEL}.image": name,
            f"{LABEL}.inputs": inputs,
            f"{LABEL}.base": origin,
            f"{LABEL}.start": start,
            f"{LABEL}.version": __version__,
            f"{LABEL}.versions": json.dumps(_versions(FOLDER / name)),
        }
        log.say(f"building image {name} on {start}")
        with build_arguments() as arguments:
            # The host's network: an index or proxy on this machine's own loopback is reachable too.
            command = [client(), "--host", self._engine.host, "build", "--network=host", "--progress=plain"]
            command += [f"--tag={tag_of(name)}", f"--build-arg=BASE_IMAGE={start}"]
            command += [f"--build-arg=SOURCE_DATE_EPOCH={bootstrap.EPOCH}", *arguments]
            command += [f"--label={key}={value}" for key, value in labels.items()]
            command += ["--no-cache"] if force else []
            log.run([*command, str(FOLDER / name)], f"building image {name}", {"DOCKER_BUILDKIT": "1"})
        return resolve(self._engine, name)

    def _inputs(self, name: str) -> str:
        """sha256 over everything of ours that decides an image's content."""
        digest = hashlib.sha256(folder_digest(FOLDER / name).encode())
        start = bootstrap.recipe(_packages()) if name == BASE else resolve(self._engine, BASE).digest
        digest.update(start.encode())
        return digest.hexdigest()

    def _up_to_date(self, name: str, inputs: str) -> ImageRef | None:
        with contextlib.suppress(ImageMissing):
            image = resolve(self._engine, name)
            # Without `base` whatever it was built on is right: only asking for another one is a change.
            other = name == BASE and self._base not in (None, image.labels.get(f"{LABEL}.start"))
            if image.labels.get(f"{LABEL}.inputs") == inputs and not other:
                return image
        return None

    def _start(self, log: BuildLog, *, force: bool) -> tuple[str, str]:
        """What ``base`` is built on: a reference, and the digest that says which one it was."""
        if self._base is not None:
            return self._named(self._base, log)
        if (reason := bootstrap.why_not()) is None:
            return self._bootstrapped(log, force=force)
        log.say(f"{reason}; starting from {REGISTRY_BASE} of a container registry instead")
        try:
            return self._named(REGISTRY_BASE, log)
        except ImageBuildFailed as error:
            raise ImageBuildFailed(
                f"{error.message}\nWithout a registry Debian is bootstrapped, but {reason}.",
                hint="As root: apt-get install mmdebstrap debian-archive-keyring, then `harness images build`;"
                " or bring a saved image: `harness images load FILE`.",
            ) from error

    def _named(self, reference: str, log: BuildLog) -> tuple[str, str]:
        try:
            image = self._engine.inspect_image(reference)
        except ImageMissing:
            log.run([client(), "--host", self._engine.host, "pull", reference], f"pulling {reference}")
            image = self._engine.inspect_image(reference)
        return reference, next(iter(image.get("RepoDigests") or ()), image["Id"])

    def _bootstrapped(self, log: BuildLog, *, force: bool) -> tuple[str, str]:
        packages = _packages()
        key = hashlib.sha256(bootstrap.recipe(packages).encode()).hexdigest()[:12]
        tag = f"{REPOSITORY}/debian:{SUITE}-{key}"
        if not force:
            with contextlib.suppress(ImageMissing):
                layers: list[str] = self._engine.inspect_image(tag)["RootFS"]["Layers"]
                log.say(f"{tag} is here already")
                return tag, layers[0]
        log.say(f"bootstrapping {tag} from Debian packages (no registry is asked; about a minute)")
        with tempfile.TemporaryDirectory(prefix="curation-debian-") as folder:
            archive = Path(folder) / "base.tar"
            digest = bootstrap.bootstrap(packages, archive, tag, log)
            with archive.open("rb") as file:
                self._engine.load_image(file)
        return tag, f"sha256:{digest}"

    def _check_disk(self) -> None:
        root = Path(self._engine.info().root_dir)
        for place in (root if root.exists() else Path("/"), Path(tempfile.gettempdir())):
            free = shutil.disk_usage(place).free
            if free < NEEDED_DISK:
                raise DiskFull(
                    f"{place} has {format_size(free)} free; a build needs {format_size(NEEDED_DISK)}.",
                    hint=DISK_HINT,
                )


def client() -> str:
    """A docker command that can build with secrets: one before 23 has BuildKit in it, a later one needs buildx.

    Raises:
        ImageBuildFailed: there is none.
    """
    for candidate in (shutil.which("docker"), "/usr/bin/docker"):
        if candidate is None or not Path(candidate).exists():
            continue
        version = _output([candidate, "version", "--format", "{{.Client.Version}}"])
        major = re.match(r"\d+", version)
        if (major and int(major[0]) < 23) or _output([candidate, "buildx", "version"]):
            return candidate
    raise ImageBuildFailed(
        "No docker command that can build images is here.",
        hint="Run: sudo apt-get install docker.io, and docker-cli docker-buildx where they are separate.",
    )


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    # `docker version` exits 1 when the client and the engine do not suit each other, and yet tells its own.
    return done.stdout.strip() if done.returncode == 0 or "version" in command[1:2] else ""


def _packages() -> list[str]:
    lines = (FOLDER / "base" / "packages.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _versions(name: str) -> dict[str, str]:
    """Versions of what ``requirements.in`` names, from the lock beside it."""
    folder = FOLDER / name
    if not (folder / "requirements.in").exists():
        return {}
    text = (folder / "requirements.in").read_text(encoding="utf-8")
    asked = {line.split("=")[0].strip().lower() for line in text.splitlines() if line and line[0] != "#"}
    lock = (folder / "requirements.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock, flags=re.MULTILINE)
    return {"debian": bootstrap.SUITE, **{key: version for key, version in pins if key.lower() in asked}}


def folder_digest(folder: Path) -> str:
    """sha256 over the names and contents of the files that go into a build."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in _NOT_INPUTS and "__pycache__" not in path.parts:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _as_ref(name: str, image: Mapping[str, Any], tag: str | None = None) -> ImageRef:
    tags = image.get("RepoTags") or [image["Id"]]
    labels = image["Config"].get("Labels") or {}
    return ImageRef(name, tag or tags[0], image["Id"], int(image["Size"]), image["Created"], dict(labels))


def _name_of(tag: str) -> str:
    repository, _, version = tag.rpartition(":")
    ours = repository.removeprefix(f"{REPOSITORY}/")
    return ours if ours in names() and version == "latest" else tag
