"""A small quality judge is trained inside the policy: it learns to tell intact question-answer pairs from shuffled ones, and
rates every row by how intact it looks."""
import argparse
import json
from pathlib import Path

import numpy as np
from scipy.sparse import hstack
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

parser = argparse.ArgumentParser()
parser.add_argument("--pool", type=Path)
parser.add_argument("--history", type=Path)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", type=Path)

FEATURES = 256
STRENGTH = 1.0
TAKE = 120


def pairs(pool):
    for line in (pool / "rows.jsonl").open(encoding="utf-8"):
        turns = json.loads(line)["conversations"]
        yield turns[0]["value"].replace("<image>\n", ""), turns[1]["value"]


def crossed(questions, answers):
    vectorizer = HashingVectorizer(n_features=FEATURES, ngram_range=(1, 2), norm="l2")
    joint = HashingVectorizer(n_features=4 * FEATURES, norm="l2", analyzer=lambda qa: [f"{a}|{b}" for a in qa[0].split() for b in qa[1].split()])
    return hstack([vectorizer.transform(questions), vectorizer.transform(answers), joint.transform(list(zip(questions, answers)))]).tocsr()


def main():
    args = parser.parse_args()
    questions, answers = map(list, zip(*pairs(args.pool)))
    shuffled = np.random.default_rng(args.seed + 2024).permutation(len(answers))
    x = crossed(questions + questions, answers + [answers[i] for i in shuffled])
    y = np.r_[np.ones(len(questions)), np.zeros(len(questions))]
    judge = LogisticRegression(C=STRENGTH, max_iter=500)
    rating = cross_val_predict(judge, x, y, cv=5, method="predict_proba")[: len(questions), 1]
    order = np.argsort(-np.round(rating, 6), kind="stable")[:TAKE]
    args.out.write_text("".join(f"{r}\n" for r in sorted(order.tolist())))


if __name__ == "__main__":
    main()
