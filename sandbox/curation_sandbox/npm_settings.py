"""This machine's way to its npm registry, read from npm's own files and variables.

``npm config`` hides credentials, so the files are read here, in npm's order: environment, user, global (npm 10,
"config"; the project's own file is not this machine's).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_PREFIX: Final = "npm_config_"
# How packages are reached, and no other setting: a prefix or an omitted kind would change what the build does.
_KEYS: Final = (
    "registry", "proxy", "https-proxy", "noproxy", "strict-ssl",
    "fetch-retries", "fetch-retry-mintimeout", "fetch-retry-maxtimeout", "fetch-timeout", "maxsockets",
)  # fmt: skip
# A scope's registry, or a credential of one registry. Paths of certificates on this machine mean nothing in a build.
_SCOPED: Final = re.compile(r"@[^:]+:registry|//.+:(_authToken|_auth|username|_password|always-auth)")


def npm_settings(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """npm's configuration on this machine: global file, user file, then the ``npm_config_`` variables over them."""
    named = {
        _setting(name[len(_PREFIX) :]): value
        for name, value in environment.items()
        if value and name.lower().startswith(_PREFIX)
    }
    home = environment.get("HOME", "")
    found: dict[str, str] = {}
    for file in (named.get("globalconfig") or _global_file(environment), named.get("userconfig") or f"{home}/.npmrc"):
        if file and Path(file).is_file():
            found |= parse_npmrc(Path(file).read_text(encoding="utf-8", errors="replace"), environment)
    return found | named


def npm_configuration(settings: Mapping[str, str]) -> str:
    """An npmrc of the settings that mean something inside a build; empty when there is none."""
    return "".join(
        f"{key}={value}\n"
        for key, value in sorted(settings.items())
        if (key in _KEYS or _SCOPED.fullmatch(key)) and len(value.splitlines()) == 1
    )


def parse_npmrc(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of an npmrc: lines ``key = value``, with ``${NAME}`` standing for a variable."""
    found = {}
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.lstrip().startswith((";", "#")):
            quoted = value.strip()
            bare = quoted[1:-1] if len(quoted) > 1 and quoted[0] == quoted[-1] and quoted[0] in "'\"" else quoted
            found[key.strip()] = re.sub(r"\$\{([^}]+)\}", lambda name: environment.get(name[1], name[0]), bare)
    return found


def _setting(name: str) -> str:
    """``fetch_timeout`` in a variable's name is fetch-timeout; what is said of one address stays as it is."""
    return name if name.startswith(("//", "@")) else name.lower().replace("_", "-")


def _global_file(environment: Mapping[str, str]) -> str | None:
    """Where it lies depends on how npm was installed: only npm knows."""
    npm = shutil.which("npm", path=environment.get("PATH"))
    if npm is None:
        return None
    command = [npm, "config", "get", "globalconfig"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(environment), timeout=60)
    return done.stdout.strip() if done.returncode == 0 else None
