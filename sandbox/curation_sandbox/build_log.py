"""Long commands of an image build: every line shown and logged, and a failure that says what to do."""

from __future__ import annotations

import os
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from curation_sandbox.errors import CurationError, DiskFull, ImageBuildFailed

OnLine = Callable[[str], None]

DISK_HINT: Final = "`df -h` says which disk; `harness clean` and `docker system df` say what can go."
_KEPT_LINES: Final = 15
_DISK_FULL: Final = ("no space left on device", "disk quota exceeded")
# What the last lines say, and what to do about it. The first that matches wins.
_HINTS: Final = (
    (
        ("buildx component is missing", "requires buildx", "unknown flag: --secret"),
        "This docker command has no BuildKit: install the package docker-buildx.",
    ),
    (
        (
            "certificate verify failed", "certificate_verify_failed", "self-signed certificate",
            "self_signed_cert", "unable_to_get_issuer_cert", "unable_to_verify_leaf",
        ),
        "A certificate is not trusted here: name your certificate bundle in SSL_CERT_FILE.",
    ),
    (
        ("do not match the hashes", "eintegrity"),
        "The package index or registry gave other bytes than the locked ones: use another one.",
    ),
    (
        (
            "temporary failure", "could not resolve", "name or service not known", "no such host",
            "failed to fetch", "connection refused", "connection timed out", "i/o timeout",
            "network is unreachable", "newconnectionerror", "no matching distribution found",
            "failed to resolve source", "failed to do request", "error resolving",
            "enotfound", "econnrefused", "etimedout", "eai_again", "etarget", "code e404",
        ),
        "A package mirror, index or registry cannot be reached. Check the network, CURATION_DEBIAN_MIRROR"
        " (Debian's packages), and pip's and npm's own configuration; or bring a saved image with"
        " `harness images load FILE`.",
    ),
)  # fmt: skip


def log_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "curation-harness" / "logs"


class BuildLog:
    """The log file of one build."""

    def __init__(self, name: str, on_line: OnLine) -> None:
        """
        Raises:
            DiskFull, ImageBuildFailed: the log cannot be written.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self.path = log_folder() / f"image-{name.replace('/', '-')}-{stamp}-{os.getpid()}.log"
        self._on_line = on_line
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
        except OSError as error:
            raise failure(f"starting the log {self.path}", str(error), None) from error

    def say(self, line: str) -> None:
        with self.path.open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")
        self._on_line(line)

    def run(self, command: Sequence[str], what: str, environment: Mapping[str, str] | None = None) -> None:
        """Run a command to its end. ``what`` completes "failed while …".

        Raises:
            DiskFull, ImageBuildFailed: it failed; the last lines, the log's path and a hint are in the error.
        """
        last: deque[str] = deque(maxlen=_KEPT_LINES)
        with subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", env={**os.environ, **(environment or {})},
        ) as process:  # fmt: skip
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    last.append(line.rstrip())
                    self.say(line.rstrip())
            except BaseException:  # Ctrl-C too: no build goes on without us
                process.terminate()
                raise
        if process.returncode != 0:
            raise failure(what, "\n".join(last), self.path)


def failure(what: str, said: str, log: Path | None) -> CurationError:
    """The error for a failed step, from the last lines it printed."""
    low = said.lower()
    where = f"\nThe whole log: {log}" if log else ""
    if any(words in low for words in _DISK_FULL):
        return DiskFull(f"The disk is full; it happened while {what}.{where}", hint=DISK_HINT)
    hint = next((hint for words, hint in _HINTS if any(one in low for one in words)), None)
    return ImageBuildFailed(f"Failed while {what}. The last lines:\n{said}{where}", hint=hint)
