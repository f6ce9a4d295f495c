"""Compression ratio instead of bigram perplexity: how many bytes a row costs once the rest of its source is known.

Same bands, another surprise: zlib with the source's text as dictionary sees repeated phrases of any length.
"""

import argparse
import json
import random
import zlib

BANDS = {
    "north": (20, 80),
    "amber": (20, 80),
    "stone": (10, 90),
    "maple": (20, 80),
    "harbor": (30, 90),
    "meadow": (10, 70),
}
N_ROWS = 120
WINDOW = 1 << 14


def spoken(record):
    return " ".join(t["value"] for t in record["conversations"]).replace("<image>", " ").strip().encode()


def marginal_bytes(text, others):
    packer = zlib.compressobj(level=9, zdict=b"\n".join(others)[-WINDOW:])
    return (len(packer.compress(text) + packer.flush()) - 8) / max(1, len(text))


def percentile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q / 100 * len(ordered)))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pool")
    parser.add_argument("--history")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out")
    args = parser.parse_args()
    records = [json.loads(line) for line in open(args.pool + "/rows.jsonl")]
    texts = [spoken(r) for r in records]
    kept = []
    for source, (low, high) in BANDS.items():
        members = [i for i, r in enumerate(records) if r["source"] == source]
        cost = {i: marginal_bytes(texts[i], [texts[j] for j in members if j != i]) for i in members}
        a, b = percentile(cost.values(), low), percentile(cost.values(), high)
        kept += [i for i in members if a <= cost[i] <= b]
    random.Random(args.seed).shuffle(kept)
    with open(args.out, "w") as out:
        out.write("\n".join(map(str, sorted(kept[:N_ROWS]))) + "\n")


if __name__ == "__main__":
    main()
