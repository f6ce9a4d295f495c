"""Lists of uids: the time against NumPy's own, and memory that does not grow. In full: benchmarks/uid_lists.py."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from curation_plugins.uids.digits import pairs
from curation_plugins.uids.table import order_of

PROGRAM = Path(__file__).resolve().parents[1] / "benchmarks" / "uid_lists.py"
POOL = 150_000
READ = """
import re, sys
from pathlib import Path
from curation_plugins import uid_lists
from curation_plugins.config import SubmissionRules
from curation_plugins.errors import SubmissionRefused
rules = SubmissionRules(kind="uids", rows_max=10**8, max_bytes=2**33)
try:
    uid_lists.parse(Path(sys.argv[1]), rules, Path(sys.argv[2]))
except SubmissionRefused as refused:
    print(refused.problems[0].code, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_a_list_is_read_in_at_most_twice_the_time_of_numpys_sort_and_search(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "--pool", str(POOL), "--list", str(POOL), "--repeat", "1", "--json"]
    ways = ["numpy", "unsorted .npy", "sorted .npy", "text"]
    asked = [part for way in ways for part in ("--way", way)]
    done = subprocess.run([*command, *asked, "--folder", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for way in ways:
        assert found[way]["rows"] == POOL
        assert found[way]["seconds"] <= 2 * found["numpy"]["seconds"], (way, found)


def test_memory_does_not_grow_with_the_length_of_a_list(tmp_path: Path) -> None:
    """Uids of another pool, two and seven parts of them: the file grows by 80 MiB, the process by next to nothing."""
    peaks = {}
    for millions in (2, 7):
        rng = np.random.default_rng(millions)
        with (tmp_path / "list.npy").open("wb") as file:
            header = {"descr": [("f0", "<u8"), ("f1", "<u8")], "fortran_order": False, "shape": (millions * 2**20,)}
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(millions):
                file.write(rng.bytes(16 * 2**20))
        table = tmp_path / "table.npy"
        high, low = (rng.integers(0, 2**64, 1000, np.uint64, endpoint=False) for _ in range(2))
        np.save(table, pairs(high, low)[order_of(high, low)])
        command = [sys.executable, "-c", READ, str(tmp_path / "list.npy"), str(table)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        told = re.fullmatch(r"other-pool (\d+)\n", done.stdout)
        assert told, done.stderr
        peaks[millions] = int(told[1]) / 1024
    assert peaks[7] - peaks[2] < 20, peaks
