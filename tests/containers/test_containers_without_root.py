"""A user without root, in the group `docker`, on a machine where root has used the harness before."""

from __future__ import annotations

import grp
import json
import shutil
import subprocess
import sys
import sysconfig
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


def as_user(code: str, folder: Path) -> subprocess.CompletedProcess[str] | None:
    """Run code as the user, with the first Python that the user may run; none if there is none."""
    packages = [str(Path(curation_sandbox.__file__).parent.parent), sysconfig.get_path("purelib")]
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            done = subprocess.run(
                [python, "-c", code],
                user=UID,
                group=UID,
                extra_groups=[grp.getgrnam("docker").gr_gid],
                cwd=folder,
                env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(packages)},
                capture_output=True,
                text=True,
                timeout=120,
            )
        except (OSError, KeyError):  # no such Python, or no group `docker`
            continue
        return done
    return None


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
    tried = as_user("import curation_sandbox.conformance", folder)
    if tried is None or tried.returncode != 0:
        pytest.skip("other users may not read this checkout or its Python, or there is no group `docker`")
    done = as_user(CODE, folder)
    assert done is not None
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
