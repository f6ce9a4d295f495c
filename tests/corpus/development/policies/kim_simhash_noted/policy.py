"""SimHash near-duplicate removal over all text, then a uniform draw."""
import hashlib
import json
import re
from argparse import ArgumentParser
from pathlib import Path
from random import Random

BITS = 64
MAX_DISTANCE = 3
TOTAL = 120


def parse_args():
    parser = ArgumentParser()
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def simhash(record) -> int:
    text = " ".join(turn["value"] for turn in record["conversations"]).lower().replace("<image>", " ")
    words = re.findall(r"\w+", text)
    grams = words + [f"{a} {b}" for a, b in zip(words, words[1:])]
    balance = [0] * BITS
    for gram in grams:
        value = int.from_bytes(hashlib.sha1(gram.encode()).digest()[:8], "little")
        for bit in range(BITS):
            balance[bit] += 1 if value >> bit & 1 else -1
    return sum(1 << bit for bit in range(BITS) if balance[bit] > 0)


def main():
    args = parse_args()
    hashes = [simhash(json.loads(line)) for line in args.pool.joinpath("rows.jsonl").read_text().splitlines()]
    order = list(range(len(hashes)))
    Random(args.seed).shuffle(order)
    kept = []
    for row in order:
        if all((hashes[row] ^ hashes[other]).bit_count() > MAX_DISTANCE for other in kept):
            kept.append(row)
    args.out.write_text("\n".join(map(str, sorted(kept[:TOTAL]))) + "\n")


if __name__ == "__main__":
    main()
