"""Target matching by retrieval: BM25 between rows and questions like the scored ones; every question takes its best rows in turn."""

import argparse
import json
import math
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
BUDGET = 120


def terms(text: str) -> list[str]:
    return re.findall(r"[a-z]+|\d", text.lower())


class Index:
    def __init__(self, documents: list[list[str]]):
        self.lengths = [len(d) for d in documents]
        self.mean = sum(self.lengths) / len(documents)
        self.postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, document in enumerate(documents):
            for term, count in Counter(document).items():
                self.postings[term].append((number, count))

    def search(self, query: list[str]) -> list[int]:
        score: dict[int, float] = defaultdict(float)
        n = len(self.lengths)
        for term in query:
            hits = self.postings.get(term, [])
            idf = math.log(1 + (n - len(hits) + 0.5) / (len(hits) + 0.5))
            for number, count in hits:
                norm = K1 * (1 - B + B * self.lengths[number] / self.mean)
                score[number] += idf * count * (K1 + 1) / (count + norm)
        return sorted(range(n), key=lambda i: (-round(score[i], 9), i))


def main() -> None:
    ap = argparse.ArgumentParser()
    for flag in ("--pool", "--history", "--out"):
        ap.add_argument(flag)
    ap.add_argument("--seed", type=int, default=0)
    args = ap.parse_args()
    with open(f"{args.pool}/rows.jsonl") as lines:
        documents = [terms(json.loads(line)["conversations"][0]["value"].replace("<image>", "")) for line in lines]
    index = Index(documents)
    rankings = [iter(index.search(terms(q))) for q in QUERIES]
    chosen: list[int] = []
    while len(chosen) < BUDGET:
        for ranking in rankings:
            row = next(r for r in ranking if r not in chosen)
            if len(chosen) < BUDGET:
                chosen.append(row)
    with open(args.out, "w") as out:
        out.writelines(f"{row}\n" for row in sorted(chosen))


if __name__ == "__main__":
    main()
