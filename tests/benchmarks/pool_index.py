"""Memory and time of indexing and opening a pool as large as DataComp's small one, and the speed of reading a shard.

    python tests/benchmarks/pool_index.py [--rows 12800000] [--folder SCRATCH]

Metadata of that many rows is generated (uid, caption, scores; about 65 bytes a row on disk) and read for true. The
shards' entries are generated, too, as if tars had been walked: those tars would take 40 GB. Each step runs in a
process of its own; memory is the peak of its resident set, libraries and mapped files included.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

import measuring

from curation_plugins.tasks.datacomp.shard_index import read_shard
from downloaded_pool import sample, write_shard
from large_pools import SHARD_ROWS, cost, write_large

AIM = 10**9
"""Bytes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=12_800_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    print(measuring.machine())
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        assets = Path(scratch) / "assets"
        write_large(assets / "pool" / "metadata", options.rows)
        lines: list[tuple[str, ...]] = [("step", "rows", "seconds", "peak MB", "libraries MB")]
        worst = 0.0
        for work in ("index", "open"):
            found = cost(work, assets, options.rows)
            worst = max(worst, found["peak"])
            mb = [f"{found[key] / 1e6:.0f}" for key in ("peak", "before")]
            lines.append((work, f"{options.rows:,}", f"{found['s']:.0f}", *mb))
        measuring.table(lines)
        measuring.verdict("largest peak, GB", worst / 1e9, AIM / 1e9, at_most=True)
        shard = Path(scratch) / "00000000.tar"
        padding = b"\xff\xd8" + bytes(30_000)
        write_shard(shard, ({**sample(number), "jpg": padding} for number in range(SHARD_ROWS)))
        began = time.perf_counter()
        read_shard(shard)
        spent = time.perf_counter() - began
        size = shard.stat().st_size
        print(
            f"\none shard, {SHARD_ROWS:,} pairs, {size / 1e6:.0f} MB: walked and hashed in {spent:.2f} s on one core"
        )


if __name__ == "__main__":
    main()
