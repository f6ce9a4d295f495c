"""A pool of 200,000 rows is audited in memory that does not grow with its text."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from made_leaks import World

_AUDIT = """
import json, sys
from pathlib import Path
from curation_plugins.tasks.llava import layout
from curation_plugins.tasks.llava.audit.files import audit_files

def peak():  # what getrusage tells begins with the parent's
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

before = peak()
audit = audit_files(Path(sys.argv[1]), lambda what, done: None)
print(json.dumps({"before": before, "peak": peak(), "excluded": sorted(audit.excluded()), "rows": audit.counts.rows}))
"""


def pool_of(folder: Path, rows: int) -> int:
    """Writes a pool in which one of the last rows leaks an item; its place."""
    world = World(folder)
    world.add_items(60)
    world.add_honest(2_000, pictures=False)
    honest = [row.model_dump(by_alias=True) for row in world.rows]
    for half in ("public", "sealed"):
        items = world.items[:30] if half == "public" else world.items[30:]
        (world.benchmarks / f"{half}.jsonl").write_text("".join(item.model_dump_json() + "\n" for item in items))
    leaked = rows - 7
    world.pool.mkdir()
    with (world.pool / "rows.jsonl").open("w") as lines:
        for place in range(rows):
            record = honest[place % len(honest)]
            if place == leaked:
                world.leak(world.items[31], "question")
                record = world.rows[-1].model_dump(by_alias=True)
            # words that no other row has, so that nothing may be kept for each different word
            extra = {"from": "gpt", "value": f"Plate {place:x}q{place:o}."}
            lines.write(json.dumps({**record, "conversations": [*record["conversations"], extra]}) + "\n")
    return leaked


@pytest.mark.slow  # 20 s and more: the size is what is tested
def test_a_large_pool_is_audited_in_bounded_memory(tmp_path: Path) -> None:
    used = {}
    for rows in (20_000, 200_000):
        leaked = pool_of(tmp_path / str(rows), rows)
        done = subprocess.run(
            [sys.executable, "-c", _AUDIT, str(tmp_path / str(rows))], capture_output=True, text=True, check=True
        )
        told = json.loads(done.stdout)
        assert told["excluded"] == [leaked]
        assert told["rows"] == rows
        used[rows] = told["peak"] - told["before"]
        size = (tmp_path / str(rows) / "pool/rows.jsonl").stat().st_size
        assert used[rows] < 150 * 2**20
    assert size > 50 * 2**20
    assert used[200_000] - used[20_000] < size / 2
