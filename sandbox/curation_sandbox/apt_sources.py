"""Where this machine gets Debian packages from, so that a build can get them from the same place."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

SUITE: Final = "trixie"
MIRROR_VARIABLE: Final = "CURATION_DEBIAN_MIRROR"
KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Source(NamedTuple):
    """One archive and suite that apt is told to use."""

    uri: str
    suite: str
    components: tuple[str, ...]


def debian_sources(folder: Path = Path("/etc/apt")) -> str | None:
    """apt sources of our suite from this machine's own mirrors; None: leave the choice to the tools.

    ``CURATION_DEBIAN_MIRROR`` (a URL) wins; then, on Debian, the mirrors of the machine's own release.
    """
    security = None
    mirror = os.environ.get(MIRROR_VARIABLE, "").strip()
    if not mirror:
        mirror, security = _machine_mirrors(folder)
    if not mirror:
        return None
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    lines = [f"deb {signed}{mirror} {SUITE} main"]
    if security:
        lines.append(f"deb {signed}{security} {SUITE}-security main")
    return "\n".join(lines) + "\n"


def machine_options() -> list[str]:
    """The machine's own way to its mirrors (proxy, certificates, date checks), as apt option lines."""
    if shutil.which("apt-config") is None:
        return []
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    wanted = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries")
    lines = [line.rstrip(";") for line in dump.splitlines() if line.startswith(wanted)]
    return [line for line in lines if not line.endswith('""')]


def parse(text: str) -> Iterator[Source]:
    """The sources in one file of apt's, in the one-line or the stanza format."""
    for line in text.splitlines():
        if match := re.match(r"deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)", line):
            yield Source(match[1].rstrip("/"), match[2], tuple(match[3].split()))
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", stanza, flags=re.MULTILINE))
        if "deb" not in fields.get("Types", "").split() or fields.get("Enabled", "yes") == "no":
            continue
        for uri in fields.get("URIs", "").split():
            for suite in fields.get("Suites", "").split():
                yield Source(uri.rstrip("/"), suite, tuple(fields.get("Components", "").split()))


def _machine_mirrors(folder: Path) -> tuple[str, str | None]:
    """The mirror ("" if unknown) and the security mirror of this machine, if it is a Debian.

    The files are read, not apt's lists: on a fresh machine there are no lists yet.
    """
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    codename = release.get("VERSION_CODENAME", "")
    if release.get("ID") != "debian" or not codename:
        return "", None  # Ubuntu's mirrors hold no suite of Debian
    found: dict[str, str] = {}
    for path in (folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))):
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        for source in parse(path.read_text(encoding="utf-8", errors="replace")):
            # Vendors publish suites of the same name; only Debian's own archives end like these.
            if "main" in source.components and source.uri.endswith(("/debian", "/debian-security")):
                found.setdefault(source.suite, source.uri)
    return found.get(codename, ""), found.get(f"{codename}-security")
