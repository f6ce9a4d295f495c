"""What every policy of the demonstration reads the pool with; handed in with each of them."""

import argparse
import csv
import json
from pathlib import Path

import numpy as np


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--history", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def column(pool, name):
    """One column of the shipped signals as numbers; NaN where a row has none."""
    with (pool / "signals" / "signals.csv").open(encoding="utf-8") as file:
        return np.array([float(row[name] or "nan") for row in csv.DictReader(file)])


def sources(pool):
    with (pool / "rows.jsonl").open(encoding="utf-8") as file:
        return np.array([json.loads(line)["source"] for line in file])


def words(pool):
    """The text of every row."""
    with (pool / "rows.jsonl").open(encoding="utf-8") as file:
        talks = [json.loads(line)["conversations"] for line in file]
    return [" ".join(turn["value"] for turn in talk).replace("<image>", " ").lower() for talk in talks]


def embeddings(pool):
    return np.load(pool / "signals" / "embeddings.npy").astype(np.float64)


def bought(history, name, size):
    """A signal that was bought from the host in this run; NaN where it was not."""
    values = np.full(size, np.nan)
    with (history / "signals" / f"{name}.jsonl").open(encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            values[entry["row"]] = np.nan if entry["value"] is None else entry["value"]
    return values


def room(size):
    """Rows to take: an eighth of the pool, which is what the task allows."""
    return size // 8


def hand_in(out, rows):
    out.write_text("".join(f"{row}\n" for row in sorted(int(row) for row in rows)), encoding="utf-8")
