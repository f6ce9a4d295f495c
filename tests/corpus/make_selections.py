"""Run every policy of one half of the corpus on the corpus pool, in turn, and keep what it chose.

    python tests/corpus/make_selections.py heldout [NAME…]

A policy that does not run, or chooses what no host would take, gets a file with the reason instead. Some policies use
pandas, which the agents' image has and the harness does not, so this is meant to be run in that image.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pool import BUDGET, ROWS, make_history, make_pool

SEED = 7
HERE = Path(__file__).resolve().parent
PINNED = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def main(half: str, names: list[str]) -> None:
    policies, selections = HERE / half / "policies", HERE / half / "selections"
    selections.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        pool, history = Path(scratch) / "pool", Path(scratch) / "history"
        make_pool(pool)
        make_history(history, pool)
        for policy in sorted(policies.iterdir()):
            if not names or policy.name in names:
                _select(policy, pool, history, selections)


def _select(policy: Path, pool: Path, history: Path, selections: Path) -> None:
    kept, reason = selections / f"{policy.name}.txt", selections / f"{policy.name}.reason"
    kept.unlink(missing_ok=True)
    reason.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "selection.txt"
        command = [sys.executable, str(policy / "policy.py"), "--pool", str(pool), "--history", str(history)]
        command += ["--seed", str(SEED), "--out", str(out)]
        try:
            ended = subprocess.run(
                command, cwd=work, env=os.environ | PINNED, capture_output=True, text=True, timeout=60, check=False
            )
        except subprocess.TimeoutExpired:
            _say(reason, "it ran for more than 60 s")
            return
        if ended.returncode != 0:
            said = (ended.stderr.strip().splitlines() or ["it ended with an error"])[-1]
            _say(reason, said.replace(str(pool), "/pool").replace(str(history), "/history"))
            return
        if not out.exists():
            _say(reason, "it wrote no file")
            return
        text = out.read_text(encoding="utf-8")
    try:
        rows = _read(text)
    except (ValueError, KeyError, TypeError) as error:
        _say(reason, f"not a selection: {error}")
        return
    ids = [row for row, _ in rows]
    unknown = [row for row in ids if not 0 <= row < ROWS]
    if unknown:
        _say(reason, f"row {unknown[0]} is not in the pool")
    elif len(set(ids)) < len(ids):
        _say(reason, f"{len(ids) - len(set(ids))} rows are named twice")
    elif any(not 0 < weight < 1e6 for _, weight in rows):
        _say(reason, "a weight is not a positive number")
    elif not 0 < len(ids) <= BUDGET:
        _say(reason, f"{len(ids)} rows, allowed are 1 to {BUDGET}")
    elif all(weight == 1.0 for _, weight in rows):
        kept.write_text("".join(f"{row}\n" for row in sorted(ids)), encoding="utf-8")
    else:
        kept.write_text(
            "".join(json.dumps({"row": r, "weight": w}) + "\n" for r, w in sorted(rows)), encoding="utf-8"
        )


def _read(text: str) -> list[tuple[int, float]]:
    if text.startswith("["):
        return [(int(row), 1.0) for row in json.loads(text)]
    if text.startswith("{"):
        entries = [json.loads(line) for line in text.splitlines()]
        return [(int(entry["row"]), float(entry.get("weight", 1.0))) for entry in entries]
    return [(int(line), 1.0) for line in text.splitlines() if line.strip()]


def _say(path: Path, why: str) -> None:
    path.write_text(" ".join(why.split())[:300] + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
