"""Weighted sum of rank-normalised scorers, configured in config.json."""

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from scorers import REGISTRY


class Bundle:
    """What scorers look at."""

    def __init__(self, pool: Path, history: Path | None):
        with (pool / "signals" / "signals.csv").open(newline="") as f:
            table = list(csv.DictReader(f))
        number = lambda text: float(text) if text else np.nan  # noqa: E731
        self.similarity = np.array([number(r["similarity"]) for r in table])
        self.loss = np.array([number(r["answer_loss"]) for r in table])
        points = np.load(pool / "signals" / "embeddings.npy").astype(np.float64)
        self.unit = points / np.linalg.norm(points, axis=1, keepdims=True)
        self.texts = []
        with (pool / "rows.jsonl").open(encoding="utf-8") as f:
            for line in f:
                self.texts.append(" ".join(t["value"] for t in json.loads(line)["conversations"]).lower())
        self.history = history


def total_score(bundle: Bundle, config: dict) -> np.ndarray:
    total = np.zeros(len(bundle.loss))
    for name, options in config["scorers"].items():
        options = dict(options)
        weight = options.pop("weight")
        total += weight * REGISTRY[name](bundle, **options)
    return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    config = json.loads((Path(__file__).parent / "config.json").read_text())
    score = np.round(total_score(Bundle(args.pool, args.history), config), 9)
    best = np.argsort(-score, kind="stable")[: config["rows"]]
    args.out.write_text("".join(f"{r}\n" for r in sorted(best.tolist())))


if __name__ == "__main__":
    main()
