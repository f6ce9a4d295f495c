"""A learnt judge: a classifier is trained to tell rows that attempt 1 learnt from rows it did not, and rates all rows."""
import argparse
import json

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

TAKE = 120


def signal(history, name):
    with open(f"{history}/signals/{name}.jsonl") as lines:
        return np.array([json.loads(line)["value"] for line in lines])


if __name__ == "__main__":
    cli = argparse.ArgumentParser()
    cli.add_argument("--pool"), cli.add_argument("--history"), cli.add_argument("--out")
    cli.add_argument("--seed", type=int)
    opts = cli.parse_args()
    vectors = np.load(opts.pool + "/signals/clip_embeddings.npy").astype(np.float64)
    before, after = signal(opts.history, "answer-loss"), signal(opts.history, "answer-loss-attempt1")
    learnt = after < 0.6 * before
    judge = HistGradientBoostingClassifier(max_iter=40, random_state=opts.seed).fit(vectors, learnt)
    rating = judge.predict_proba(vectors)[:, 1]
    rows = np.argsort(-np.round(rating, 6), kind="stable")[:TAKE]
    with open(opts.out, "w") as target:
        target.write("\n".join(str(int(r)) for r in sorted(rows)))
