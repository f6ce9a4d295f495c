"""Attempt 2: random rows without one-character answers."""

import argparse
import json
from pathlib import Path

import numpy as np

BUDGET = 120


MIN_ANSWER_CHARS = 3


def answer_chars(pool: Path) -> np.ndarray:
    with (pool / "rows.jsonl").open(encoding="utf-8") as handle:
        records = [json.loads(line) for line in handle if line.strip()]
    return np.array([sum(len(t["value"]) for t in r["conversations"] if t["from"] == "gpt") for r in records])


def main() -> None:
    ap = argparse.ArgumentParser()
    ap.add_argument("--pool", type=Path, required=True)
    ap.add_argument("--history", type=Path)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--out", type=Path, required=True)
    args = ap.parse_args()

    rng = np.random.default_rng(args.seed)
    usable = np.flatnonzero(answer_chars(args.pool) >= MIN_ANSWER_CHARS)
    n = len(usable)
    chosen = np.sort(rng.choice(usable, size=min(BUDGET, n), replace=False))
    args.out.write_text("\n".join(str(int(i)) for i in chosen) + "\n")
    print(json.dumps({"chosen": int(len(chosen)), "pool": n}))


if __name__ == "__main__":
    main()
