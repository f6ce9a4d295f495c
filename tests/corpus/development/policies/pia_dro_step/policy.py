"""Group DRO on sources: shares follow the worst source of attempt 1's model by mirror ascent on its raw loss."""

import argparse
import json
import pathlib

import numpy as np

TOTAL = 120
STEP = 0.02
ROUNDS = 15


def main():
    ap = argparse.ArgumentParser()
    for flag in ("--pool", "--history", "--out"):
        ap.add_argument(flag, type=pathlib.Path)
    ap.add_argument("--seed", type=int, default=0)
    args = ap.parse_args()
    rng = np.random.default_rng(args.seed)
    sources = np.array([json.loads(line)["source"] for line in (args.pool / "rows.jsonl").open()])
    loss = np.array([json.loads(line)["value"] for line in (args.history / "signals" / "answer-loss-attempt1.jsonl").open()])
    names = np.unique(sources)
    groups = [np.flatnonzero(sources == name) for name in names]
    share = np.full(len(names), 1 / len(names))
    for _ in range(ROUNDS):
        now = np.array([loss[rng.choice(g, 10)].mean() for g in groups])
        # what is trained on more gets easier: a proxy of one step of training
        now = now / (1 + share)
        share = share * np.exp(STEP * now)
        share /= share.sum()
    chosen = []
    for members, part in zip(groups, share):
        count = min(len(members), int(round(part * TOTAL)))
        chosen += rng.choice(members, count, replace=False).tolist()
    args.out.write_text("".join(f"{r}\n" for r in sorted(chosen[:TOTAL])))


if __name__ == "__main__":
    main()
