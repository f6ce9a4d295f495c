"""What the container tests share: small limits, and the long-lived container to look out of."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from curation_sandbox.container import Container, ExecResult
from curation_sandbox.spec import ContainerSpec, Limits

MIB = 2**20
LIMITS = Limits(
    memory=128 * MIB,
    cpus=0.5,
    pids=64,
    file_size=8 * MIB,
    workspace_size=16 * MIB,
    home_size=8 * MIB,
    tmp_size=8 * MIB,
    tmp_inodes=500,
    shm_size=4 * MIB,
    open_files=128,
)
MakeSpec = Callable[..., ContainerSpec]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root on the host")


class Box(NamedTuple):
    """The long-lived container, and the host's side of it."""

    container: Container
    folder: Path
    """Host folder with ``pool``, ``sockets``, ``workspace``, ``home``."""

    def run(self, *argv: str, user: str | None = None) -> ExecResult:
        return self.container.exec(argv, user)

    def sh(self, script: str, user: str | None = None) -> ExecResult:
        return self.run("sh", "-c", script, user=user)

    def python(self, code: str, user: str | None = None) -> Any:
        """What the code printed, as JSON."""
        result = self.run("python3", "-c", code, user=user)
        assert result.code == 0, result.output.decode(errors="replace")
        return json.loads(result.output)
