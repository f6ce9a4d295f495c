"""How long and in how much memory a list of uids is validated, against NumPy's own sort and search of the same pairs.

Each way runs in a process of its own, so that its peak of memory is its own::

    python tests/benchmarks/uid_lists.py [--pool 12800000] [--list 12800000] [--repeat 3]
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import machine, table, verdict

from curation_plugins.config import SubmissionRules
from curation_plugins.uids.digits import pairs, to_hex
from curation_plugins.uids.table import CHUNK, order_of

WAYS = {
    "numpy": "unsorted.npy",
    "unsorted .npy": "unsorted.npy",
    "sorted .npy": "sorted.npy",
    "repeats .npy": "repeats.npy",
    "text": "unsorted.txt",
    "parquet": "unsorted.parquet",
}
"""What is measured → the list it reads."""


def make(folder: Path, pool: int, chosen: int) -> None:
    """A made pool's table and lists of some of its uids."""
    rng = np.random.default_rng(0)
    table = _random(rng, pool)
    np.save(folder / "table.npy", table)
    some = table[rng.permutation(pool)[:chosen]]
    np.save(folder / "unsorted.npy", some)
    np.save(folder / "repeats.npy", np.concatenate([some, some[: len(some) // 4]])[: len(some)])
    with (folder / "unsorted.txt").open("w") as text:
        for start in range(0, chosen, CHUNK):
            text.writelines(f"{uid}\n" for uid in to_hex(some[start : start + CHUNK]))
    _parquet(folder / "unsorted.parquet", some)
    np.save(folder / "sorted.npy", some[order_of(some["f0"].copy(), some["f1"].copy())])


def _random(rng: np.random.Generator, count: int) -> np.ndarray:
    high, low = (rng.integers(0, 2**64, count, np.uint64, endpoint=False) for _ in range(2))
    return pairs(high, low)[order_of(high, low)]


def _parquet(path: Path, uids: np.ndarray) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([("uid", pa.string())])
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, len(uids), CHUNK):
            writer.write_table(pa.table({"uid": to_hex(uids[start : start + CHUNK])}, schema))


def measure(way: str, folder: Path, chosen: int) -> None:
    """Do it in this process, and print seconds and the peak of memory."""
    data, table = folder / WAYS[way], folder / "table.npy"
    began = time.perf_counter()
    found = _numpy(data, table) if way == "numpy" else _ours(data, table, chosen)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "mib": _peak(), "rows": found}))


def _numpy(data: Path, table: Path) -> int:
    uids, whole = np.load(data), np.load(table)
    uids = np.sort(uids)
    left, right = np.searchsorted(whole, uids, "left"), np.searchsorted(whole, uids, "right")
    return int(np.count_nonzero(right > left))


def _ours(data: Path, table: Path, chosen: int) -> int:
    from curation_plugins import uid_lists

    rules = SubmissionRules(kind="uids", rows_max=chosen, repeats_max=4, max_bytes=2**33)
    return len(uid_lists.parse(data, rules, table).rows)


def _peak() -> float:
    """MiB of this process; what ``getrusage`` says begins with the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def in_child(way: str, folder: Path, chosen: int) -> dict[str, float]:
    """Measure one way in a process of its own."""
    command = [sys.executable, __file__, "--child", way, "--folder", str(folder), "--list", str(chosen)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pool", type=int, default=12_800_000)
    parser.add_argument("--list", type=int, default=12_800_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--child", choices=tuple(WAYS))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--way", action="append", choices=tuple(WAYS), help="numpy and these only")
    parser.add_argument("--json", action="store_true", help="medians as one line of JSON")
    given = parser.parse_args()
    if given.child:
        measure(given.child, given.folder, given.list)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        folder = Path(scratch)
        make(folder, given.pool, given.list)
        ways = [way for way in WAYS if way in (given.way or WAYS)]
        found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(given.repeat):
            for way in ways:
                found[way].append(in_child(way, folder, given.list))
    medians = {
        way: {key: statistics.median(one[key] for one in ones) for key in ones[0]} for way, ones in found.items()
    }
    if given.json:
        print(json.dumps(medians))
        return
    print(f"{given.list:,} uids of a pool of {given.pool:,}; {machine()}\n")
    base = medians["numpy"]["seconds"]
    rows = [("way", "seconds", "of numpy's", "peak MiB")]
    rows += [
        (way, f"{one['seconds']:.2f}", f"{one['seconds'] / base:.2f}", f"{one['mib']:.0f}")
        for way, one in medians.items()
    ]
    table(rows)
    worst = max(one["seconds"] / base for way, one in medians.items() if way.endswith(".npy"))
    verdict("a .npy list, against numpy", worst, 2.0, at_most=True)
    verdict("peak MiB", max(one["mib"] for way, one in medians.items() if way != "numpy"), 1024, at_most=True)


if __name__ == "__main__":
    main()
