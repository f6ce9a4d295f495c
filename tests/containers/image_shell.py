"""A shell command inside one of our images, under the isolation that matters to what an image brings."""

from __future__ import annotations

import subprocess
from typing import Final

from curation_sandbox import image_builder, image_files

_HARDENED: Final = (
    "--rm", "--network=none", "--read-only", "--user=1000:1000", "--cap-drop=ALL", "--pids-limit=64",
    "--security-opt=no-new-privileges", "--memory=1g", "--log-driver=none", "--tmpfs=/tmp",
    "--tmpfs=/home/agent:uid=1000,gid=1000",
)  # fmt: skip


def in_image(name: str, program: str, *, repository: str = image_files.REPOSITORY) -> str:
    """What the shell program prints; it must succeed."""
    command = [image_builder.client(), "run", *_HARDENED, f"{repository}/{name}:latest", "sh", "-ceu", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
