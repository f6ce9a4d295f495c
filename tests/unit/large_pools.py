"""Metadata of large pools, made quickly; and what indexing and opening one costs, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation_plugins.tasks.datacomp.shard_index import ENTRY, Shard

FILE_ROWS = 50_000
"""Rows of one metadata file, about as DataComp's."""
SHARD_ROWS = 10_000
DEAD = 10
"""One in so many rows has no image."""


def uids(number: int, rows: int) -> np.ndarray:
    """Those of one metadata file: uint64 of shape (rows, 2)."""
    return np.random.default_rng(number).integers(0, 2**64, (rows, 2), np.uint64)


def parts(rows: int) -> Iterator[tuple[int, int]]:
    """(number, rows) of each metadata file."""
    for number, begin in enumerate(range(0, rows, FILE_ROWS)):
        yield number, min(FILE_ROWS, rows - begin)


def write_large(folder: Path, rows: int) -> None:
    """Metadata with uids, captions and scores."""
    folder.mkdir(parents=True)
    for number, count in parts(rows):
        random = np.random.default_rng(number + 10**6)
        digits = uids(number, count).byteswap().tobytes().hex()
        offsets = np.arange(count + 1, dtype=np.int32) * 32
        column = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(digits.encode()))
        lengths = random.integers(20, 90, count)
        table = pa.table(
            {
                "uid": column,
                "text": ["x" * length for length in lengths.tolist()],
                "clip_b32_similarity_score": random.random(count, np.float32),
                "clip_l14_similarity_score": random.random(count, np.float32),
            }
        )
        pq.write_table(table, folder / f"{number:08d}.parquet")


def made_shards(rows: int) -> Iterator[Shard]:
    """Entries as if they had been read from tars: 12.8 million pairs would be 40 GB of headers alone."""
    count = 0
    for number, size in parts(rows):
        some = uids(number, size)[np.arange(size) % DEAD != 0]
        for begin in range(0, len(some), SHARD_ROWS):
            pairs = some[begin : begin + SHARD_ROWS]
            entries = np.zeros(len(pairs), ENTRY)
            entries["hi"], entries["lo"] = pairs[:, 0], pairs[:, 1]
            entries["image"] = np.arange(len(pairs)) * 40_000
            yield Shard(f"{count:08d}.tar", 0, "0" * 64, 0, entries)
            count += 1


_PEAK = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])

def peak():  # what getrusage tells begins with the parent's
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

import numpy as np
import pyarrow.parquet
import large_pools
from curation_plugins.tasks.datacomp import index_making, layout
from curation_plugins.tasks.datacomp.metadata import metadata_files
from curation_plugins.tasks.datacomp.pool_index import PoolIndex
from curation_plugins.tasks.datacomp.metadata_uids import MetadataUids
assets, rows, before, began = Path(sys.argv[2]), int(sys.argv[3]), peak(), time.perf_counter()
"""

_INDEX = """
files = metadata_files(layout.metadata(assets))
table = MetadataUids(files)
join = index_making.Join(table, -(-rows // large_pools.SHARD_ROWS) * 2)
for shard in large_pools.made_shards(rows):
    join.add(shard)
layout.uids(assets).parent.mkdir()
join.write(assets)
facts = tuple(
    index_making.MetadataFacts(name=file.name, sha256="0" * 64, bytes=file.stat().st_size, rows=count)
    for file, count in zip(files, table.rows, strict=True)
)
layout.manifest(assets).write_text(join.manifest(facts, ()).model_dump_json())
(assets / "shards").mkdir()
for shard in join.manifest((), ()).shards:
    (assets / "shards" / shard.name).touch()
done = join.reachable
"""

_OPEN = """
with PoolIndex(assets) as pool:
    chosen = np.arange(0, pool.rows, 3)
    found = pool.samples[chosen]
    lengths = pool.text_lengths()
    scores = pool.columns(("clip_l14_similarity_score",))["clip_l14_similarity_score"]
    assert lengths.min() >= 20 and len(scores) == len(np.asarray(pool.uids)) == pool.rows
    done = len(found)
"""


def cost(work: str, assets: Path, rows: int) -> dict[str, float]:
    """Seconds, and bytes that the peak of memory adds to what the interpreter and its libraries take.

    Args:
        work: ``index`` makes the index; ``open`` opens it, looks up every third row, and reads two columns of all.
    """
    code = _PEAK + {"index": _INDEX, "open": _OPEN}[work]
    code += "print(json.dumps({'peak': peak(), 'before': before, 'rows': done, 's': time.perf_counter() - began}))"
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, here, str(assets), str(rows)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, float] = json.loads(done.stdout)
    return found
