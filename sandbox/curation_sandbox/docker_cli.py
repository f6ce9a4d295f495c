"""The docker command, for what the SDK cannot do: builds with BuildKit secrets, save and load.

The SDK builds with the classic builder, which knows no secrets. Everything else that concerns the
engine is in ``engine.py``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from .errors import CurationError, DiskFull, EngineUnavailable, ImageBuildFailed

_KEPT_LINES = 15
_DISK_FULL = ("no space left on device", "disk quota exceeded")
# What the output says -> what to do. The first that matches wins.
_HINTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("buildx component is missing", "requires buildx", "unknown flag: --secret"),
        "This docker command has no BuildKit: install the package docker-buildx.",
    ),
    (
        ("certificate verify failed", "self-signed certificate", "unknown authority"),
        "A certificate is not trusted: name your certificate bundle in SSL_CERT_FILE.",
    ),
    (
        (
            "temporary failure resolving", "could not resolve", "name or service not known",
            "temporary failure in name resolution", "no such host", "failed to fetch",
            "connection refused", "connection timed out", "network is unreachable", "i/o timeout",
            "newconnectionerror", "no matching distribution found", "failed to resolve source",
        ),
        "A mirror, package index or registry cannot be reached. Check the network, "
        "CURATION_DEBIAN_MIRROR (Debian) and pip's own configuration (Python packages); "
        "or bring a saved image: harness images load FILE.",
    ),
)  # fmt: skip


def docker_command() -> str:
    """The docker command to use; the distribution's own first, since it comes with BuildKit."""
    packaged = Path("/usr/bin/docker")
    found = str(packaged) if packaged.exists() else shutil.which("docker")
    if found is None:
        raise EngineUnavailable("There is no docker command on this machine.", hint=engine_hint())
    return found


def engine_hint() -> str:
    return "Start Docker, or, as root on Debian or Ubuntu, run images/engine.sh."


def docker(*arguments: str) -> str:
    """Run a short docker command and return what it printed.

    Raises EngineUnavailable when no engine answers, DiskFull, else CurationError.
    """
    done = subprocess.run(
        [docker_command(), *arguments], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        raise docker_error(arguments[0], done.stderr)
    return done.stdout


def docker_error(verb: str, said: str) -> CurationError:
    low = said.lower()
    if any(word in low for word in ("cannot connect to the docker", "permission denied while")):
        return EngineUnavailable(f"No Docker engine answers: {said.strip()}", hint=engine_hint())
    if any(word in low for word in _DISK_FULL):
        return disk_full(f"docker {verb}", said.strip())
    return CurationError(f"docker {verb} failed: {said.strip()}")


def disk_full(what: str, said: str) -> DiskFull:
    return DiskFull(
        f"The disk is full: {what}: {said}",
        hint="`df -h` says which one; `docker system df` and `docker image prune` free space.",
    )


def log_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "curation-harness" / "logs"


class Transcript:
    """Runs long commands; every line goes to a log file and to ``on_line``."""

    def __init__(self, name: str, on_line: Callable[[str], None]) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self.path = log_folder() / f"images-{name}-{stamp}-{os.getpid()}.log"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._on_line = on_line

    def say(self, line: str) -> None:
        with self.path.open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")
        self._on_line(line)

    def run(self, command: Sequence[str], environment: Mapping[str, str], *, what: str) -> None:
        """Raises DiskFull, EngineUnavailable or ImageBuildFailed (last lines, log path, hint)."""
        last: deque[str] = deque(maxlen=_KEPT_LINES)
        with subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        ) as process:  # fmt: skip
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    last.append(line.rstrip())
                    self.say(line.rstrip())
            except BaseException:  # Ctrl-C included: leave no build running behind us
                process.terminate()
                raise
        if process.returncode != 0:
            raise build_error(what, "\n".join(last), self.path)

    def feed(self, command: Sequence[str], write: Callable[[IO[bytes]], None], *, what: str) -> None:
        """Run a command whose standard input ``write`` produces. Raises as ``run`` does."""
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                write(process.stdin)
                process.stdin.close()
            except BrokenPipeError:
                pass  # the command ended early: its own words, read below, say why
            except BaseException:
                process.terminate()
                raise
            said = process.stdout.read().decode(errors="replace").strip()
        self.say(said)
        if process.returncode != 0:
            raise build_error(what, said, self.path)


def build_error(what: str, last: str, log: Path) -> CurationError:
    low = last.lower()
    if any(word in low for word in _DISK_FULL):
        return disk_full(what, f"the log: {log}")
    if "cannot connect to the docker" in low or "permission denied while trying" in low:
        return EngineUnavailable(f"No Docker engine answers while {what}.", hint=engine_hint())
    hint = next((hint for words, hint in _HINTS if any(word in low for word in words)), None)
    return ImageBuildFailed(f"Failed while {what}. The last lines:\n{last}\nThe log: {log}", hint=hint)
