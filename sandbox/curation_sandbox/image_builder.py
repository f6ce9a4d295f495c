"""Builds one image after the other: from what, with which secrets, and whether at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from curation_sandbox import __version__, bootstrap, image_files, owners
from curation_sandbox.apt_sources import SUITE
from curation_sandbox.build_log import DISK_HINT, BuildLog, OnLine, log_folder
from curation_sandbox.build_secrets import build_arguments
from curation_sandbox.engine import LABEL, Engine
from curation_sandbox.errors import DiskFull, ImageBuildFailed, ImageMissing
from curation_sandbox.image_files import (
    BASE,
    ON,
    REPOSITORY,
    debian_packages,
    folder_of,
    inputs_digest,
    parts,
    reference_of,
    tag_of,
    versions,
)
from curation_sandbox.spec import format_size

REGISTRY_BASE: Final = f"debian:{SUITE}-slim"
NEEDED_DISK: Final = 4 * 2**30
"""Free bytes a build asks for: tree, archive, layers and cache together."""
_CACHE_BROKEN: Final = "layer does not exist"
"""What BuildKit in Docker 20.10 prints of a cached step whose layer the image store has lost."""
_FROM_BASE: Final = (
    "An agent's image needs what base has: its Python, its user, its folders. Is {start} itself built on it"
    " (`FROM {base}`), and for this machine?"
)


class Builder:
    """Builds images on one engine, unless they are there already."""

    def __init__(self, engine: Engine, on_line: OnLine, base: str | None) -> None:
        """base: image to build ``base`` on instead of a bootstrapped Debian."""
        self._engine = engine
        self._on_line = on_line
        self._base = base

    def build(self, name: str, *, force: bool) -> None:
        """
        Raises:
            ImageMissing: what it is built on is not there.
            ImageBuildFailed, DiskFull, EngineUnavailable.
        """
        inputs = self._inputs(name)
        if not force and self._up_to_date(name, inputs):
            self._on_line(f"image {name} is up to date")
            return
        log = BuildLog(name, self._on_line)
        self._check_disk()
        if name == BASE:
            start, origin = self._start(log, force=force)
        else:
            start, origin = self._tag_under(name), self._id_under(name)
        labels = {
            f"{LABEL}.image": name,
            f"{LABEL}.inputs": inputs,
            f"{LABEL}.base": origin,
            f"{LABEL}.start": start,
            f"{LABEL}.version": __version__,
            f"{LABEL}.versions": json.dumps(versions(folder_of(name))),
        }
        log.say(f"building image {name} on {start}")
        with build_arguments() as arguments:
            # The host's network: an index or proxy on this machine's own loopback is reachable too.
            command = [client(), "--host", self._engine.host, "build", "--network=host", "--progress=plain"]
            command += [f"--tag={tag_of(name)}", f"--build-arg=BASE_IMAGE={start}"]
            command += [f"--build-arg=SOURCE_DATE_EPOCH={bootstrap.EPOCH}", *arguments]
            command += [f"--label={key}={value}" for key, value in labels.items()]
            command += [f"--file={folder_of(name) / 'Dockerfile'}", str(image_files.FOLDER)]
            try:
                self._run(command, name, log, cached=not force)
            except ImageBuildFailed as error:
                if ON not in name or error.hint is not None:
                    raise
                hint = _FROM_BASE.format(start=start, base=tag_of(BASE))
                raise ImageBuildFailed(error.message, hint=hint) from error
        self._note(self._engine.inspect_image(tag_of(name))["Id"])

    @staticmethod
    def _note(identity: str) -> None:
        note = note_of(identity)
        with contextlib.suppress(OSError):  # without it the image is only never taken for one that can go
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()

    @staticmethod
    def _run(command: list[str], name: str, log: BuildLog, *, cached: bool) -> None:
        """Run a build. An engine that was killed may remember steps whose layers are gone; then all are done anew."""
        what, environment, anew = f"building image {name}", {"DOCKER_BUILDKIT": "1"}, [*command, "--no-cache"]
        try:
            log.run(command if cached else anew, what, environment)
        except ImageBuildFailed as error:
            if not cached or _CACHE_BROKEN not in error.message:
                raise
            log.say("the engine's build cache names layers that are gone; building again without it")
            log.run(anew, what, environment)

    def _inputs(self, name: str) -> str:
        """sha256 over everything of ours that decides an image's content."""
        digest = hashlib.sha256(inputs_digest(name).encode())
        start = bootstrap.recipe(debian_packages()) if name == BASE else self._id_under(name)
        digest.update(start.encode())
        return digest.hexdigest()

    def _under(self, name: str) -> dict[str, Any]:
        return self._engine.inspect_image(reference_of(parts(name)[1]))

    def _id_under(self, name: str) -> str:
        return str(self._under(name)["Id"])

    def _tag_under(self, name: str) -> str:
        """A tag of what an image is built on: builders look for anything else in a registry, ids too."""
        reference = reference_of(parts(name)[1])
        tags = [str(tag) for tag in self._under(name).get("RepoTags") or () if tag != "<none>:<none>"]
        if not tags:
            raise ImageMissing(
                f"The image {reference} has no tag, and only a tag can be built on.",
                hint=f"Give it one: docker tag {reference} mytask:1",
            )
        return reference if reference in tags else tags[0]

    def _up_to_date(self, name: str, inputs: str) -> bool:
        try:
            labels = self._engine.inspect_image(tag_of(name))["Config"].get("Labels") or {}
        except ImageMissing:
            return False
        # Without `base` whatever it was built on is right: only asking for another one is a change.
        other = name == BASE and self._base not in (None, labels.get(f"{LABEL}.start"))
        return labels.get(f"{LABEL}.inputs") == inputs and not other

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
        packages = debian_packages()
        key = hashlib.sha256(bootstrap.recipe(packages).encode()).hexdigest()[:12]
        tag = f"{REPOSITORY}/debian:{SUITE}-{key}"
        if not force:
            with contextlib.suppress(ImageMissing):
                layers: list[str] = self._engine.inspect_image(tag)["RootFS"]["Layers"]
                log.say(f"{tag} is here already")
                return tag, layers[0]
        log.say(f"bootstrapping {tag} from Debian packages (no registry is asked; about a minute)")
        with owners.scratch() as folder:
            archive = folder / "base.tar"
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


def note_of(identity: str) -> Path:
    """The file which says that this image was built here. Its labels do not: an image that a user builds on one of
    ours inherits them all."""
    return log_folder().parent / "images-built" / identity.removeprefix("sha256:")


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
