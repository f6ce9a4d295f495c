"""Perplexity pruning, reorganised: settings.py, language.py and this driver. Harder rows than in attempt 2."""

import argparse
import random
from pathlib import Path

from language import BigramModel, Document
from settings import CURRENT


def cut(values, q):
    ranked = sorted(values)
    position = int(len(ranked) * q / 100)
    return ranked[position if position < len(ranked) else -1]


def inside_bands(documents, scores, bands):
    for name in ("north", "amber", "stone", "maple", "harbor", "meadow"):
        band = bands[name]
        own = {i: scores[i] for i, d in enumerate(documents) if d.source == name}
        floor, ceiling = cut(own.values(), band.low), cut(own.values(), band.high)
        yield from (i for i, score in own.items() if floor <= score <= ceiling)


def run(pool: Path, out: Path, seed: int) -> None:
    with (pool / "rows.jsonl").open() as lines:
        documents = [Document(line) for line in lines]
    model = BigramModel(documents, CURRENT.smoothing)
    scores = [model.perplexity(d) for d in documents]
    survivors = list(inside_bands(documents, scores, CURRENT.bands))
    random.Random(seed).shuffle(survivors)
    out.write_text("".join(f"{i}\n" for i in sorted(survivors[: CURRENT.rows])))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    run(given.pool, given.out, given.seed)
