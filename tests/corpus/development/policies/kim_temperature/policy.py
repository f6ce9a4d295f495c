"""Temperature sampling over sources: p(source) ~ size^(1/T), rows uniform inside a source."""
import json
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from random import Random

TEMPERATURE = 3.0
TOTAL = 120


def parse_args():
    parser = ArgumentParser()
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def shares(sizes: Counter, temperature: float) -> dict[str, float]:
    scaled = {name: size ** (1 / temperature) for name, size in sorted(sizes.items())}
    total = sum(scaled.values())
    return {name: value / total for name, value in scaled.items()}


def main():
    args = parse_args()
    rng = Random(args.seed)
    sources = [json.loads(line)["source"] for line in args.pool.joinpath("rows.jsonl").read_text().splitlines()]
    picked = []
    for name, share in shares(Counter(sources), TEMPERATURE).items():
        members = [i for i, s in enumerate(sources) if s == name]
        picked += rng.sample(members, min(len(members), round(share * TOTAL)))
    args.out.write_text("\n".join(map(str, sorted(picked[:TOTAL]))) + "\n")


if __name__ == "__main__":
    main()
