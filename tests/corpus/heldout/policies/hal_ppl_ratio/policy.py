"""Perplexity pruning: keep rows whose text is good under an n-gram model of the questions that matter.

One band of percentiles per source, since the sources write in different styles.
"""

import argparse
import collections
import json
import math
import random
import re

BANDS = {
    "north": (0, 40),
    "amber": (0, 40),
    "stone": (0, 40),
    "maple": (0, 40),
    "harbor": (0, 40),
    "meadow": (0, 40),
}
N_ROWS = 120
WANTED = [
    "Which digit is this?", "What number has been written here?", "What does the sign say?",
    "What colour is the shape in the middle?", "What is the opposite of deep?", "What is 3 plus 4?",
]


def tokens(record):
    said = " ".join(t["value"] for t in record["conversations"]).replace("<image>", " ")
    return ["<s>", *re.findall(r"\w+|[^\w\s]", said.lower()), "</s>"]


def bigram_model(corpus):
    pairs, singles = collections.Counter(), collections.Counter()
    for words in corpus:
        pairs.update(zip(words, words[1:]))
        singles.update(words[:-1])
    return pairs, singles


def perplexity(words, pairs, singles, vocabulary):
    logs = 0.0
    for a, b in zip(words, words[1:]):
        logs += math.log((max(0, pairs[a, b] - 1) + 0.1) / (singles[a] - 1 + 0.1 * vocabulary)) if singles[a] > 1 else -math.log(
            vocabulary
        )
    return math.exp(-logs / (len(words) - 1))


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
    corpus = [tokens(r) for r in records]
    pairs, singles = bigram_model(corpus)
    wanted = bigram_model([tokens({"conversations": [{"value": t}]}) for t in WANTED for _ in range(3)])
    ppl = [
        perplexity(words, *wanted, len(singles)) / perplexity(words, pairs, singles, len(singles)) for words in corpus
    ]
    kept = []
    for source, (low, high) in BANDS.items():
        members = [i for i, r in enumerate(records) if r["source"] == source]
        values = [ppl[i] for i in members]
        a, b = percentile(values, low), percentile(values, high)
        kept += [i for i in members if a <= ppl[i] <= b]
    random.Random(args.seed).shuffle(kept)
    with open(args.out, "w") as out:
        out.write("\n".join(map(str, sorted(kept[:N_ROWS]))) + "\n")


if __name__ == "__main__":
    main()
