"""This machine's ways to packages (mirrors, index, registry, proxy, certificates), lent to a build and kept by none.

They travel as BuildKit secrets, so no address, token or certificate ends up in an image layer, and as Docker's
predefined proxy build arguments, which an image's history leaves out.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from curation_sandbox import apt_sources, owners
from curation_sandbox.npm_settings import npm_configuration, npm_settings

# Where packages come from, and no other setting: a target folder or prefix would change what the build does.
_PIP_PLACES: Final = ("index-url", "extra-index-url", "find-links")
_PIP_KEYS: Final = (*_PIP_PLACES, "trusted-host", "proxy", "retries")
_PIP_TIMEOUTS: Final = ("timeout", "default-timeout")
_CERTIFICATES: Final = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


@contextmanager
def build_arguments() -> Iterator[list[str]]:
    """``docker build``'s options for secrets and proxies; the secrets' files live as long as the block."""
    pip, npm = pip_settings(), npm_settings()
    bundle = certificates(pip, npm, os.environ)
    contents = {
        "pipconf": pip_configuration(pip).encode(),
        "npmrc": npm_configuration(npm).encode(),
        "ca": bundle.read_bytes() if bundle else b"",
        "sources": (apt_sources.debian_sources() or "").encode(),
        "aptconf": "".join(f"{option};\n" for option in apt_sources.machine_options()).encode(),
    }
    # The names only: docker takes the values from our environment.
    proxies = [name for upper in _PROXIES for name in (upper, upper.lower()) if os.environ.get(name)]
    with owners.scratch() as folder:  # mode 0700
        arguments = [f"--build-arg={name}" for name in proxies]
        for name, content in contents.items():
            if content:
                path = folder / name
                path.write_bytes(content)
                arguments.append(f"--secret=id={name},src={path}")
        yield arguments


def pip_settings(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """pip's configuration on this machine: its files, then the ``PIP_`` variables over them."""
    listed = ""
    # An environment made by another tool than venv may have no pip; the variables count all the same.
    for python in (sys.executable, shutil.which("python3")):
        command = [str(python), "-m", "pip", "config", "list"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(environment))
        if python and done.returncode == 0:
            listed = done.stdout
            break
    found: dict[str, str] = {}
    for section in ("global", "install"):
        for line in listed.splitlines():
            name, separator, quoted = line.partition("=")
            if separator and name.startswith(f"{section}."):
                found[name.removeprefix(f"{section}.")] = str(ast.literal_eval(quoted))
    for name, value in environment.items():
        if name.startswith("PIP_"):
            found[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return found


def pip_configuration(settings: Mapping[str, str]) -> str:
    """A pip.conf of the settings that mean something inside a build; empty when there is none."""
    lines = []
    for key in _PIP_KEYS:
        words = settings.get(key, "").split()
        if key in _PIP_PLACES:  # this machine's files are not there in a build: addresses only
            words = [word for word in words if word.startswith(("http://", "https://"))]
        if words:
            lines.append(f"{key} = {' '.join(words)}")
    timeout = next((settings[key] for key in _PIP_TIMEOUTS if key in settings), None)
    if timeout is not None:
        lines.append(f"timeout = {timeout}")
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def certificates(pip: Mapping[str, str], npm: Mapping[str, str], environment: Mapping[str, str]) -> Path | None:
    """The certificate bundle this machine was told to use, if it was told: by pip, by variables, or by npm."""
    named = (pip.get("cert"), *(environment.get(name) for name in _CERTIFICATES), npm.get("cafile"))
    paths = (Path(name).expanduser() for name in named if name)
    return next((path for path in paths if path.is_file()), None)
