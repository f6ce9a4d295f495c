"""Spaced repetition: easy rows once, medium twice, hard four times, of rows drawn evenly from thirds of the loss."""
import argparse
import json
from pathlib import Path

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--pool", type=Path)
parser.add_argument("--history", type=Path)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", type=Path)

SCHEDULE = (1.0, 1.0, 2.0, 6.0)
TAKE = 120


def main():
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    loss = np.array([json.loads(line)["value"] for line in (args.history / "signals" / "answer-loss.jsonl").open()])
    thirds = np.array_split(np.argsort(loss, kind="stable"), len(SCHEDULE))
    lines = []
    for members, times in zip(thirds, SCHEDULE):
        for row in rng.choice(members, TAKE // len(SCHEDULE), replace=False):
            lines.append({"row": int(row), "weight": times})
    args.out.write_text("".join(json.dumps(line) + "\n" for line in sorted(lines, key=lambda line: line["row"])))


if __name__ == "__main__":
    main()
