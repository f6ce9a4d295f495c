"""Source shares by temperature (attempt 1), inside each source the rows with the best IFD (attempt 2)."""
import json
import math
import re
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from statistics import fmean, median

TEMPERATURE = 3.0
CAP = 1.0
TOTAL = 120


def parse_args():
    parser = ArgumentParser()
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def difficulty(records, loss):
    bags = []
    for record in records:
        said = " ".join(t["value"] for t in record["conversations"] if t["from"] == "gpt").lower()
        bags.append(re.findall(r"\w+", said) or ["-"])
    freq = Counter(word for bag in bags for word in bag)
    total = sum(freq.values())
    raw = [value / -fmean(math.log(freq[word] / total) for word in bag) for value, bag in zip(loss, bags)]
    middle = median(raw)
    return [value / middle if value / middle <= CAP else -1.0 for value in raw]


def main():
    args = parse_args()
    records = [json.loads(line) for line in args.pool.joinpath("rows.jsonl").read_text().splitlines()]
    loss = [json.loads(line)["value"] for line in args.history.joinpath("signals", "answer-loss.jsonl").open()]
    score = difficulty(records, loss)
    sizes = Counter(record["source"] for record in records)
    scaled = {name: size ** (1 / TEMPERATURE) for name, size in sorted(sizes.items())}
    picked = []
    for name, value in scaled.items():
        quota = round(value / sum(scaled.values()) * TOTAL)
        members = [i for i, record in enumerate(records) if record["source"] == name]
        picked += sorted(members, key=lambda i: -score[i])[:quota]
    args.out.write_text("\n".join(map(str, sorted(picked[:TOTAL]))) + "\n")


if __name__ == "__main__":
    main()
