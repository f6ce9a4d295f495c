"""Influence on the weakest benchmark (tidied: targets in their own file, loops where they read better)."""

import argparse
import json
import os

import numpy as np

from targets import rows_like, weakest_benchmark


def lines(*parts):
    with open(os.path.join(*parts), encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def main(options):
    with open(os.path.join(options.history, "history.json"), encoding="utf-8") as stream:
        kind = weakest_benchmark(json.load(stream))
    questions = [row["conversations"][0]["value"].lower() for row in lines(options.pool, "rows.jsonl")]
    sketch = np.array([entry["value"] for entry in lines(options.history, "signals", "gradient.jsonl")])
    pull = sketch[rows_like(kind, questions)].mean(axis=0)
    products = np.round(sketch @ pull, 6)
    ranked = sorted(range(len(products)), key=lambda row: -products[row])
    with open(options.out, "w", encoding="utf-8") as stream:
        for row in sorted(ranked[:120]):
            stream.write(f"{row}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for flag in ("--pool", "--history", "--out"):
        parser.add_argument(flag)
    parser.add_argument("--seed", type=int)
    main(parser.parse_args())
