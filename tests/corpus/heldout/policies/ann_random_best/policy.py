"""Diversity-promoting stochastic exploration: decorrelated uniform sampling of the corpus."""

import argparse
import json
from pathlib import Path

import numpy as np

BUDGET = 120


def count_rows(pool: Path) -> int:
    with (pool / "rows.jsonl").open(encoding="utf-8") as handle:
        return sum(1 for line in handle if line.strip())


def main() -> None:
    ap = argparse.ArgumentParser()
    ap.add_argument("--pool", type=Path, required=True)
    ap.add_argument("--history", type=Path)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--out", type=Path, required=True)
    args = ap.parse_args()

    rng = np.random.default_rng([args.seed, 20240611])
    n = count_rows(args.pool)
    chosen = np.sort(rng.choice(n, size=min(BUDGET, n), replace=False))
    args.out.write_text("\n".join(str(int(i)) for i in chosen) + "\n")
    print(json.dumps({"chosen": int(len(chosen)), "pool": n}))


if __name__ == "__main__":
    main()
