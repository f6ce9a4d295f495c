"""Balance by content words (after MetaCLIP, Xu et al. 2023): a row is kept with probability min(1, t / count) of its
rarest concept, so that no concept crowds out the others. Sources are not looked at.
"""
import json
import re
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from random import Random

LIMIT = 12
MIN_COUNT = 2
STOP = set("the a an is of at and or this that what which does do you it to in on for me some your with here been has".split())
TOTAL = 120


def parse_args():
    parser = ArgumentParser()
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def concepts(record):
    text = " ".join(turn["value"] for turn in record["conversations"]).lower().replace("<image>", " ")
    return {word for word in re.findall(r"[a-z]+|\d+", text) if word not in STOP}


def main():
    args = parse_args()
    rng = Random(args.seed)
    found = [concepts(json.loads(line)) for line in args.pool.joinpath("rows.jsonl").read_text().splitlines()]
    counts = Counter(word for words in found for word in words)
    known = {word for word, count in counts.items() if count >= MIN_COUNT}
    keep = []
    for row, words in enumerate(found):
        chance = max((min(1.0, LIMIT / counts[word]) for word in words & known), default=0.0)
        keep.append((rng.random() < chance, rng.random(), row))
    keep.sort(key=lambda item: (not item[0], item[1]))
    args.out.write_text("\n".join(str(row) for row in sorted(row for _, _, row in keep[:TOTAL])) + "\n")


if __name__ == "__main__":
    main()
