"""A user without root, in the group `docker`, on a machine where root has used the harness before."""

from __future__ import annotations

import grp
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from container_box import Box, needs_root

import curation_sandbox

pytestmark = needs_root

UID = 4321
CODE = """
import json
from curation_sandbox import conformance, reaper
found = [p.model_dump() for p in conformance.examine("base")]
print(json.dumps({"found": found, "leftovers": [str(leftover) for leftover in reaper.leftovers()]}))
"""


def as_user(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    try:
        groups = [grp.getgrnam("docker").gr_gid]
    except KeyError:
        pytest.skip("the machine has no group `docker`")
    return subprocess.run(
        [sys.executable, "-c", code],
        user=UID,
        group=UID,
        extra_groups=groups,
        cwd=folder,
        env={
            "HOME": str(folder),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(Path(curation_sandbox.__file__).parent.parent),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's, which only root may enter."""
    place = Path(tempfile.mkdtemp(prefix="curation-user-"))
    shutil.chown(place, UID, UID)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def answer(folder: Path, box: Box) -> Any:
    """``box``: root has a live container, staged binds and volumes of its own."""
    if as_user("import curation_sandbox.conformance", folder).returncode != 0:
        pytest.skip("other users may not read this checkout or its Python")
    done = as_user(CODE, folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_everything_required_holds_without_root(answer: Any) -> None:
    missing = [prop for prop in answer["found"] if not prop["holds"]]
    assert [prop["name"] for prop in missing if prop["required"]] == []
    assert {"root", "bounded volumes", "/workspace bounded", "/pool nosuid, nodev"} <= {p["name"] for p in missing}
    assert all(prop["fix"] for prop in missing)
    assert len(answer["found"]) > 25  # the container was looked into


def test_what_a_live_root_process_has_is_no_leftover(answer: Any) -> None:
    assert not [leftover for leftover in answer["leftovers"] if "test-box" in leftover]
