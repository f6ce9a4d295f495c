"""DSIR (Xie et al. 2023): hashed n-gram importance resampling towards texts like those that are scored."""
import argparse
import json
import re
import zlib

import numpy as np

TARGET = [
    "What is the opposite of deep?", "What is the opposite of near?", "What is 2 plus 7?", "What is 9 plus 9?",
    "What does the sign say?", "What is written there?",
]
BUCKETS = 1024
NGRAM = 2
SMOOTH = 0.1
SIZE = 120


def ngrams(text, n=NGRAM):
    words = re.findall(r"[a-z]+|\d|[?.!]", text.lower().replace("<image>", " "))
    for width in range(1, n + 1):
        for i in range(len(words) - width + 1):
            yield " ".join(words[i : i + width])


def hashed_counts(texts):
    counts = np.zeros((len(texts), BUCKETS))
    for row, text in enumerate(texts):
        for gram in ngrams(text):
            counts[row, zlib.crc32(gram.encode()) % BUCKETS] += 1
    return counts


def log_importance(pool_counts, target_counts):
    def distribution(counts):
        total = counts.sum(axis=0) + SMOOTH
        return np.log(total / total.sum())

    ratio = distribution(target_counts) - distribution(pool_counts)
    lengths = np.maximum(1, pool_counts.sum(axis=1))
    return (pool_counts @ ratio) / lengths


def main():
    parser = argparse.ArgumentParser()
    for flag in ("--pool", "--history", "--out"):
        parser.add_argument(flag)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    questions = []
    with open(args.pool + "/rows.jsonl", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            questions.append(" ".join(t["value"] for t in record["conversations"] if t["from"] == "human"))
    weights = log_importance(hashed_counts(questions), hashed_counts(TARGET))
    # Gumbel top-k = sampling without replacement in proportion to the importance weights
    gumbel = np.random.default_rng(args.seed).gumbel(size=len(weights))
    picked = np.argsort(-(weights + gumbel), kind="stable")[:SIZE]
    with open(args.out, "w") as out:
        out.write("".join(f"{i}\n" for i in sorted(picked.tolist())))


if __name__ == "__main__":
    main()
