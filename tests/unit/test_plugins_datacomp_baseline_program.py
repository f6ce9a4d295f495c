"""The baseline's program on a pool of pairs, as the container runs it: uids go in, and policies make them again."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from curation_plugins.agents.programs.baseline.selection.pool import Pool
from curation_plugins.policies.carried import carried_data
from made_host import Host, Seat
from made_pairs import make_pairs


@pytest.fixture
def seat(tmp_path: Path) -> Iterator[Seat]:
    make_pairs(tmp_path / "pool", dead=30)
    (tmp_path / "workspace").mkdir()
    with tempfile.TemporaryDirectory(prefix="cur") as sockets:
        yield Seat(tmp_path / "pool", tmp_path / "workspace", Path(sockets))


def test_the_program_hands_in_uids_and_its_policies_make_the_same_again(seat: Seat, tmp_path: Path) -> None:
    known = {tuple(uid): row for row, uid in enumerate(Pool(seat.pool).pairs.uids.tolist())}

    def read(data: Path) -> list[int]:
        named = np.load(data, allow_pickle=False)
        assert named.dtype == np.dtype("u8,u8")
        assert np.array_equal(named, np.sort(named))
        return [known[uid] for uid in named.tolist()]

    host = Host(iterations=4, pool_rows=len(known), kind="uids", rows_max=len(known), read=read)
    ended = seat.run(host)
    assert ended.returncode == 0, ended.stderr
    entries = [json.loads(line) for line in (seat.workspace / "journal.jsonl").read_text().splitlines()]
    assert [entry["method"] for entry in entries if entry["outcome"] == "scored"] == [
        *("random", "no-filter", "clip-l14", "intersection")
    ]
    assert len(host.submissions[1].rows) == len(known)
    folder = tmp_path / "again"
    for name, content in host.submissions[3].policy.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    command = [sys.executable, "policy.py", "--pool", str(seat.pool), "--seed", "11", "--out", "rows.txt"]
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert carried_data(files, len(known)) == ()
    subprocess.run([*command, "--like", "manifest.json"], check=True, cwd=folder)
    assert read(folder / "rows.txt") == host.submissions[3].rows
