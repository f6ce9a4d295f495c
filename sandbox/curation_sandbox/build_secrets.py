"""This machine's ways to packages (index, proxy, certificates), lent to a build and kept by none.

They travel as BuildKit secrets, so no address, token or certificate ends up in an image layer,
and as Docker's predefined proxy build arguments, which an image's history leaves out.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

# The keys that say where packages come from. Everything else (target folders, prefixes, user
# installs) would change what the build does.
_PIP_KEYS = ("index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "retries")
_PIP_TIMEOUTS = ("timeout", "default-timeout")
_CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


def pip_settings(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """pip's own configuration of this machine: its files, then PIP_* variables over them."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True, text=True, check=False, env=dict(environment),
    )  # fmt: skip
    listed = done.stdout if done.returncode == 0 else ""  # no pip here: the variables alone
    found: dict[str, str] = {}
    for section in ("global", "install", "download", ":env:"):
        found |= _section(listed, section)
    for name, value in environment.items():
        if name.startswith("PIP_"):
            found[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return found


def _section(listed: str, section: str) -> dict[str, str]:
    found = {}
    for line in listed.splitlines():
        name, separator, quoted = line.partition("=")
        if separator and name.startswith(f"{section}."):
            found[name.removeprefix(f"{section}.")] = str(ast.literal_eval(quoted))
    return found


def pip_configuration(settings: Mapping[str, str]) -> str:
    """A pip.conf with the settings that mean something inside a build; empty when there is none."""
    lines = []
    for key in _PIP_KEYS:
        words = [word for word in settings.get(key, "").split() if _reachable(key, word)]
        if words:
            lines.append(f"{key} = {' '.join(words)}")
    seconds = next((settings[key] for key in _PIP_TIMEOUTS if key in settings), None)
    if seconds is not None:
        lines.append(f"timeout = {seconds}")
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def _reachable(key: str, word: str) -> bool:
    """Files of this machine are not there in a build: only addresses are."""
    is_place = key in ("index-url", "extra-index-url", "find-links")
    return not is_place or word.startswith(("http://", "https://"))


def certificates(settings: Mapping[str, str], environment: Mapping[str, str]) -> Path | None:
    """The certificate bundle this machine was told to use, if it was told."""
    named = [settings.get("cert"), *(environment.get(name) for name in _CERTIFICATES)]
    paths = (Path(name).expanduser() for name in named if name)
    return next((path for path in paths if path.is_file()), None)


@contextmanager
def build_arguments(mirror: str | None) -> Iterator[list[str]]:
    """``docker build``'s options for secrets and proxies; the files live as long as the block.

    mirror: the Debian mirror the build's apt should use, or None for the image's own.
    """
    settings = pip_settings()
    bundle = certificates(settings, os.environ)
    contents = {
        "pipconf": pip_configuration(settings).encode(),
        "ca": bundle.read_bytes() if bundle else b"",
        "mirror": (mirror or "").encode(),
    }
    proxies = [n for name in _PROXIES for n in (name, name.lower()) if os.environ.get(n)]
    with tempfile.TemporaryDirectory(prefix="curation-build-") as folder:  # mode 0700
        arguments = [f"--build-arg={name}" for name in proxies]  # the value: from our environment
        for name, content in contents.items():
            file = Path(folder) / name
            file.write_bytes(content)
            if content:
                arguments.append(f"--secret=id={name},src={file}")
        yield arguments
