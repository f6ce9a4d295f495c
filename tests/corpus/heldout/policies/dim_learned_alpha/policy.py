"""A scorer that is learnt instead of weighed by hand.

Every earlier attempt is a bag of rows with a mean score. A row's label is the mean of the attempts that held it,
less the mean of those that did not; a ridge on embedding and signals is fitted to that and rates all rows.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

TAKE = 100
ALPHA = 3.0


def features(pool: Path) -> np.ndarray:
    with (pool / "signals" / "signals.csv").open(newline="") as f:
        table = list(csv.DictReader(f))
    number = lambda text: float(text) if text else np.nan  # noqa: E731
    scalars = np.array([[number(r["similarity"]), number(r["answer_loss"])] for r in table])
    scalars = np.where(np.isnan(scalars), np.nanmedian(scalars, axis=0), scalars)
    points = np.load(pool / "signals" / "embeddings.npy").astype(np.float64)
    return StandardScaler().fit_transform(np.hstack([points, scalars]))


def credit(history: Path, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Difference of mean scores with and without the row, and for which rows it is defined."""
    attempts = json.loads((history / "history.json").read_text())["attempts"]
    member = np.zeros((len(attempts), n), dtype=bool)
    score = np.zeros(len(attempts))
    for k, attempt in enumerate(attempts):
        score[k] = attempt["feedback"]["mean"]
        for line in (history / "attempts" / str(attempt["n"]) / "selection.txt").open():
            member[k, json.loads(line)["row"]] = True
    inside = member.sum(axis=0)
    known = (inside > 0) & (inside < len(attempts))
    with_row = (score @ member) / np.maximum(1, inside)
    without = (score @ ~member) / np.maximum(1, len(attempts) - inside)
    return with_row - without, known


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    x = features(args.pool)
    y, known = credit(args.history, len(x))
    model = Ridge(alpha=ALPHA, solver="cholesky").fit(x[known], y[known])
    rating = np.round(model.predict(x), 9)
    best = np.argsort(-rating, kind="stable")[:TAKE]
    args.out.write_text("".join(f"{r}\n" for r in sorted(best.tolist())))


if __name__ == "__main__":
    main()
