"""k-center again, but over words: TF-IDF of question and answer instead of the model's embedding.

The embedding mixes image and text; signs and facts moved least last time and those differ in words only.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

BUDGET = 120
DIMS = 32


def texts_of(pool: Path) -> list[str]:
    texts = []
    for line in (pool / "rows.jsonl").read_text(encoding="utf-8").splitlines():
        turns = json.loads(line)["conversations"]
        texts.append(" ".join(t["value"].replace("<image>", " ") for t in turns))
    return texts


def embed_text(texts: list[str]) -> np.ndarray:
    tfidf = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(texts)
    svd = TruncatedSVD(n_components=DIMS, algorithm="arpack", random_state=0)
    return np.round(svd.fit_transform(tfidf), 6)


def k_center(points: np.ndarray, budget: int, first: int) -> list[int]:
    chosen = [first]
    nearest = np.linalg.norm(points - points[first], axis=1)
    while len(chosen) < budget:
        candidate = int(np.argmax(nearest))
        chosen.append(candidate)
        nearest = np.minimum(nearest, np.linalg.norm(points - points[candidate], axis=1))
        nearest[chosen] = -1.0
    return chosen


def main() -> None:
    ap = argparse.ArgumentParser()
    ap.add_argument("--pool", type=Path, required=True)
    ap.add_argument("--history", type=Path)
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--out", type=Path, required=True)
    args = ap.parse_args()

    points = embed_text(texts_of(args.pool))
    rng = np.random.default_rng(args.seed)
    rows = k_center(points, BUDGET, int(rng.integers(len(points))))
    args.out.write_text("".join(f"{r}\n" for r in sorted(rows)))


if __name__ == "__main__":
    main()
