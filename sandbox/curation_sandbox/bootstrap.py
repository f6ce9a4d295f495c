"""A Debian base image without a registry: mmdebstrap, then an archive that ``docker load`` takes.

The tar is the same for the same packages (mmdebstrap with ``SOURCE_DATE_EPOCH``), and so is the image id, because
the archive is written here with fixed times. ``docker import`` would write the time of day into it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from curation_sandbox.apt_sources import KEYRING, SUITE, debian_sources, machine_options
from curation_sandbox.build_log import BuildLog, failure

EPOCH: Final = 1754697600
"""2025-08-09, the release of Debian 13: the one time every file and image of ours carries, in seconds."""

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_APT_OPTIONS: Final = ('APT::Install-Recommends "false"', 'Acquire::Check-Valid-Until "false"')
_DPKG_OPTIONS: Final = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)
# What belongs to this machine, or to the bootstrap itself, stays out of the image.
_FORGET: Final = (
    'rm -rf "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap'
    ' "$1"/etc/*- "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old;'
    # Empty, not gone: a builder mounts its own over them, and making the mount points would touch /etc.
    ' for name in hostname hosts resolv.conf; do : > "$1/etc/$name"; done'
)
# A mirror of this machine may be private, so its address is not kept; Debian's default one is.
_FORGET_MIRROR: Final = 'rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*'


def architecture() -> str:
    """Debian's and Docker's name of this machine's architecture."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def recipe(packages: Sequence[str]) -> str:
    """Everything that decides what is bootstrapped, as text; its hash names the result."""
    return json.dumps([SUITE, EPOCH, architecture(), sorted(packages), _APT_OPTIONS, _DPKG_OPTIONS, _FORGET])


def why_not() -> str | None:
    """Why this machine cannot bootstrap a base image; None if it can."""
    if os.geteuid() != 0:
        return "bootstrapping Debian needs root"
    if shutil.which("mmdebstrap") is None:
        return "mmdebstrap is not here (apt-get install mmdebstrap debian-archive-keyring)"
    if not KEYRING.exists():
        return f"{KEYRING} is not here (apt-get install debian-archive-keyring)"
    return None


def bootstrap(packages: Sequence[str], archive: Path, tag: str, log: BuildLog) -> str:
    """Make a Debian tree with ``packages`` and write it to ``archive`` for ``docker load``; the tar's sha256.

    Raises:
        ImageBuildFailed, DiskFull: it failed (last lines, hint and the log's path are in the error).
    """
    tree = archive.with_suffix(".tree.tar")
    sources = archive.with_suffix(".sources.list")
    text = debian_sources()
    try:
        if text is not None:
            sources.write_text(text, encoding="utf-8")
        command = mmdebstrap_command(packages, tree, sources if text is not None else None)
        environment = {"SOURCE_DATE_EPOCH": str(EPOCH), "LC_ALL": "C"}
        log.run(command, "bootstrapping Debian with mmdebstrap", environment)
        return write_archive(tree, archive, tag)
    except OSError as error:
        raise failure("writing the bootstrapped tree", str(error), log.path) from error
    finally:
        tree.unlink(missing_ok=True)
        sources.unlink(missing_ok=True)


def mmdebstrap_command(packages: Sequence[str], tree: Path, sources: Path | None) -> list[str]:
    """sources: a file of apt's with this machine's mirrors, or None for mmdebstrap's own choice."""
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar"]
    command += [f"--include={','.join(sorted(packages))}"]
    command += [f"--aptopt={option}" for option in (*_APT_OPTIONS, *machine_options())]
    command += [f"--dpkgopt={option}" for option in _DPKG_OPTIONS]
    command += [f"--customize-hook={_FORGET}"]
    if sources is None:
        return [*command, SUITE, str(tree)]
    return [*command, f"--customize-hook={_FORGET_MIRROR}", SUITE, str(tree), str(sources)]


def write_archive(tree: Path, archive: Path, tag: str) -> str:
    """Wrap a root file system tar as a one-layer image archive; returns the tar's sha256.

    The same tar and tag give the same bytes, and so the same image id.
    """
    digest = _sha256(tree)
    created = datetime.fromtimestamp(EPOCH, UTC).isoformat().replace("+00:00", "Z")
    config: dict[str, Any] = {
        "architecture": architecture(),
        "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]},
        "created": created,
        "history": [{"created": created, "created_by": f"mmdebstrap {SUITE}"}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    config_bytes = json.dumps(config, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(config_bytes).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": [f"{digest}/layer.tar"]}]
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as out:
        _add(out, config_name, config_bytes)
        info = tarfile.TarInfo(f"{digest}/layer.tar")
        info.size, info.mtime, info.mode = tree.stat().st_size, EPOCH, 0o644
        with tree.open("rb") as layer:
            out.addfile(info, layer)
        _add(out, "manifest.json", json.dumps(manifest).encode())
    return digest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(out: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(content), EPOCH, 0o644
    out.addfile(info, io.BytesIO(content))
