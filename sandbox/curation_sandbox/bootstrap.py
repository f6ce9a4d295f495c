"""A Debian base image from Debian packages alone: no container registry is asked.

mmdebstrap with a fixed SOURCE_DATE_EPOCH writes the same tar each time, as long as the mirror's
state is the same. ``docker import`` would stamp it with the current time and give a new id; the
``docker load`` archive written here carries a fixed time, so equal tars have equal image ids.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from .docker_cli import Transcript
from .errors import ImageBuildFailed

DEBIAN_IMAGE = "curation-harness/debian:trixie"
MIRROR_VARIABLE = "CURATION_DEBIAN_MIRROR"
INPUTS_LABEL = "io.curation-harness.inputs"
TAR_LABEL = "io.curation-harness.rootfs-sha256"

# Runs in the finished tree ($1). Leaves out what differs between two builds or names the machine.
_CLEAN_UP = """set -eu; cd "$1"
rm -f etc/apt/apt.conf.d/99mmdebstrap etc/hostname etc/resolv.conf etc/machine-id
rm -f etc/passwd- etc/group- etc/shadow- etc/gshadow- etc/subuid- etc/subgid-
rm -f var/lib/dbus/machine-id var/cache/ldconfig/aux-cache var/cache/debconf/*-old
rm -f var/log/lastlog var/log/btmp var/log/wtmp var/log/alternatives.log var/log/dpkg.log
rm -rf var/log/apt var/lib/apt/lists/* var/cache/apt/archives/*.deb
"""
# A mirror taken from the machine may be private: the image does not keep its address.
_FORGET_MIRROR = 'rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*'


@dataclass(frozen=True)
class Bootstrap:
    """Everything that decides the content of the image, except the mirror's state."""

    suite: str = "trixie"
    packages: tuple[str, ...] = (
        "ca-certificates", "git", "less", "procps", "python3", "ripgrep",
    )  # fmt: skip
    source_date_epoch: int = 1_754_697_600  # 2025-08-09, the release of trixie
    clean_up: str = _CLEAN_UP

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def command(self, tar: Path, mirror: str | None) -> list[str]:
        command = [
            "mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar",
            f"--include={','.join(self.packages)}",
            '--aptopt=Acquire::Check-Valid-Until "false"',
            '--aptopt=APT::Install-Recommends "false"',
            '--aptopt=Acquire::Retries "3"',
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            f"--customize-hook={self.clean_up}",
        ]  # fmt: skip
        if mirror is None:  # mmdebstrap then uses Debian's own default
            return [*command, self.suite, str(tar)]
        return [*command, f"--customize-hook={_FORGET_MIRROR}", self.suite, str(tar), mirror]


def why_not() -> str | None:
    """Why this machine cannot bootstrap a base image, or None when it can."""
    if os.geteuid() != 0:
        return "bootstrapping needs root"
    if shutil.which("mmdebstrap") is None:
        return "mmdebstrap is not installed"
    return None


def debian_mirror() -> str | None:
    """The Debian mirror of this machine: $CURATION_DEBIAN_MIRROR, else its apt sources, else None."""
    if given := os.environ.get(MIRROR_VARIABLE, "").strip():
        return given.rstrip("/")
    release = Path("/etc/os-release")
    if not release.is_file() or not re.search(r"^ID=debian$", release.read_text(), re.M):
        return None  # Ubuntu's mirrors hold no Debian suite
    apt = Path("/etc/apt")
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    texts = (file.read_text(errors="replace") for file in files if file.is_file())
    return next((uri for text in texts for uri in _debian_uris(text)), None)


def _debian_uris(text: str) -> Iterator[str]:
    """Mirror addresses in one apt source file, in either format, that look like the main archive."""
    one_line = r"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+\S+\s+main\b"
    for uri in re.findall(rf"{one_line}|^URIs:\s*(\S+)", text, re.M):
        found = (uri[0] or uri[1]).rstrip("/")
        # By the last part of the path: vendors' repositories and the security archive end otherwise.
        if found.startswith(("http://", "https://", "file://")) and found.endswith("/debian"):
            yield found


def write_root_tar(settings: Bootstrap, tar: Path, log: Transcript) -> None:
    """Write the root file system as a tar.

    Raises ImageBuildFailed with the last lines of the log, DiskFull when the disk is.
    """
    mirror = debian_mirror()
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(settings.source_date_epoch), "LC_ALL": "C"}
    log.run(settings.command(tar, mirror), environment, what="bootstrapping Debian")
    if not tar.is_file() or tar.stat().st_size == 0:
        raise ImageBuildFailed(f"mmdebstrap wrote no file. The log: {log.path}")


def architecture() -> str:
    """Docker's name of this machine's architecture; Debian uses the same words for both we know."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def write_load_archive(settings: Bootstrap, tar: Path, out: IO[bytes]) -> None:
    """Write ``docker load``'s archive for one layer to ``out``; the same bytes for the same tar."""
    with tar.open("rb") as stream:
        layer = hashlib.file_digest(stream, "sha256").hexdigest()
    created = datetime.fromtimestamp(settings.source_date_epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = _json({
        "architecture": architecture(),
        "os": "linux",
        "created": created,
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": ["bash"],
            "Labels": {INPUTS_LABEL: settings.digest(), TAR_LABEL: layer},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        "history": [{"created": created, "created_by": f"mmdebstrap {settings.suite}"}],
    })  # fmt: skip
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = _json([
        {"Config": config_name, "RepoTags": [DEBIAN_IMAGE], "Layers": [f"{layer}/layer.tar"]}
    ])  # fmt: skip
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in ((config_name, config), ("manifest.json", manifest)):
            archive.addfile(_member(name, len(content)), io.BytesIO(content))
        with tar.open("rb") as stream:
            archive.addfile(_member(f"{layer}/layer.tar", tar.stat().st_size), stream)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)  # time 0, user 0: nothing of this machine
    member.size = size
    return member
