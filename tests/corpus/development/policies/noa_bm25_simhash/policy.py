"""Retrieval after deduplication: SimHash (attempt 1) throws out twins, BM25 (attempt 2) ranks what is left."""

import argparse
import hashlib
import json
import math
import random
import re
from collections import Counter, defaultdict

QUERIES = (
    "Which digit is this?",
    "What number has been written here?",
    "What colour is the shape in the middle?",
    "What does the sign say?",
    "What is the opposite of loud?",
    "What is 6 plus 2?",
)
K1, B = 1.5, 0.75
BITS, MAX_DISTANCE = 64, 3
BUDGET = 120


def simhash(text):
    words = re.findall(r"\w+", text.lower().replace("<image>", " "))
    balance = [0] * BITS
    for gram in words + [f"{a} {b}" for a, b in zip(words, words[1:])]:
        value = int.from_bytes(hashlib.sha1(gram.encode()).digest()[:8], "little")
        for bit in range(BITS):
            balance[bit] += 1 if value >> bit & 1 else -1
    return sum(1 << bit for bit in range(BITS) if balance[bit] > 0)


def unique(texts, seed):
    hashes = [simhash(text) for text in texts]
    order = list(range(len(hashes)))
    random.Random(seed).shuffle(order)
    kept = []
    for row in order:
        if all((hashes[row] ^ hashes[other]).bit_count() > MAX_DISTANCE for other in kept):
            kept.append(row)
    return sorted(kept)


def bm25(documents, query):
    lengths = [len(d) for d in documents]
    mean, n = sum(lengths) / len(lengths), len(documents)
    score = defaultdict(float)
    for term in query:
        hits = [(i, d.count(term)) for i, d in enumerate(documents) if term in d]
        idf = math.log(1 + (n - len(hits) + 0.5) / (len(hits) + 0.5))
        for i, count in hits:
            score[i] += idf * count * (K1 + 1) / (count + K1 * (1 - B + B * lengths[i] / mean))
    return sorted(range(n), key=lambda i: (-round(score[i], 9), i))


def main():
    ap = argparse.ArgumentParser()
    for flag in ("--pool", "--history", "--out"):
        ap.add_argument(flag)
    ap.add_argument("--seed", type=int, default=0)
    args = ap.parse_args()
    with open(f"{args.pool}/rows.jsonl") as lines:
        records = [json.loads(line) for line in lines]
    alive = unique([" ".join(t["value"] for t in r["conversations"]) for r in records], args.seed)
    documents = [re.findall(r"[a-z]+|\d", records[i]["conversations"][0]["value"].replace("<image>", "").lower()) for i in alive]
    rankings = [bm25(documents, re.findall(r"[a-z]+|\d", q.lower())) for q in QUERIES]
    chosen = []
    for place in range(len(alive)):
        for ranking in rankings:
            if ranking[place] not in chosen and len(chosen) < BUDGET:
                chosen.append(ranking[place])
    with open(args.out, "w") as out:
        out.writelines(f"{row}\n" for row in sorted(alive[i] for i in chosen))


if __name__ == "__main__":
    main()
