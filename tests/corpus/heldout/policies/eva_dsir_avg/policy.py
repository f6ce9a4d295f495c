"""DSIR with the luck of the draw averaged out: the resampling is done with five seeds, rows drawn most often are taken."""
import argparse
import json
import re
import zlib

import numpy as np

TARGET = [
    "Which digit is this?", "What number has been written here?", "What colour is the shape at the top left?",
    "What does the sign say?", "Read the sign.", "What is the opposite of hot?", "What is 4 plus 5?",
]
SEEDS = (0, 1, 2, 3, 4)
BUCKETS = 2048
SMOOTH = 0.2
SIZE = 120


def hashed(text):
    words = re.findall(r"[a-z]+|\d|[?.!]", text.lower().replace("<image>", " "))
    vector = np.zeros(BUCKETS)
    for gram in words + [" ".join(pair) for pair in zip(words, words[1:])]:
        vector[zlib.crc32(gram.encode()) % BUCKETS] += 1
    return vector


def main():
    parser = argparse.ArgumentParser()
    for flag in ("--pool", "--history", "--out"):
        parser.add_argument(flag)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with open(args.pool + "/rows.jsonl", encoding="utf-8") as lines:
        asked = [json.loads(line)["conversations"][0]["value"] for line in lines]
    pool = np.stack([hashed(text) for text in asked])
    target = sum(hashed(text) for text in TARGET) + SMOOTH
    raw = pool.sum(axis=0) + SMOOTH
    ratio = np.log(target / target.sum()) - np.log(raw / raw.sum())
    logits = pool @ ratio / pool.sum(axis=1)
    drawn = np.zeros(len(logits))
    for seed in SEEDS:
        noise = np.random.default_rng(args.seed + seed).gumbel(size=len(logits))
        drawn[np.argsort(-(logits + noise), kind="stable")[:SIZE]] += 1
    order = np.lexsort((-logits, -drawn))[:SIZE]
    with open(args.out, "w") as out:
        out.write("".join(f"{i}\n" for i in sorted(order.tolist())))


if __name__ == "__main__":
    main()
