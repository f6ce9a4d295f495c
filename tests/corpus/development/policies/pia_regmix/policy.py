"""Mixture from losses by regression (after RegMix, Liu et al. 2024): the drop of loss from base to attempt 1 is regressed
on which sources attempt 1 held near a row; the shares that promise the largest drop are searched on the simplex.
"""

import argparse
import json
import pathlib

import numpy as np
from sklearn.linear_model import LinearRegression

TOTAL = 120
TRIALS = 2000
ALPHA = 1.5
PROXIES = 64


def column(history, name):
    return np.array([json.loads(line)["value"] for line in (history / "signals" / f"{name}.jsonl").open()])


def simulated(sources, drop, names, rng):
    """Proxy mixtures: the mean drop of loss over rows drawn with random shares."""
    shares = rng.dirichlet(np.full(len(names), ALPHA), size=PROXIES)
    target = []
    for share in shares:
        chance = share[np.searchsorted(names, sources)]
        chance /= chance.sum()
        rows = rng.choice(len(sources), size=80, replace=True, p=chance)
        target.append(np.log1p(np.maximum(drop[rows], 0)).mean())
    return shares, np.array(target)


def main():
    ap = argparse.ArgumentParser()
    for flag in ("--pool", "--history", "--out"):
        ap.add_argument(flag, type=pathlib.Path)
    ap.add_argument("--seed", type=int, default=0)
    args = ap.parse_args()
    rng = np.random.default_rng(args.seed)
    sources = np.array([json.loads(line)["source"] for line in (args.pool / "rows.jsonl").open()])
    names = np.unique(sources)
    drop = column(args.history, "answer-loss") - column(args.history, "answer-loss-attempt1")
    shares, target = simulated(sources, drop, names, rng)
    model = LinearRegression().fit(np.hstack([shares, shares**2]), target)
    trial = rng.dirichlet(np.full(len(names), ALPHA), size=TRIALS)
    promise = model.predict(np.hstack([trial, trial**2]))
    best = trial[np.argsort(-promise)[:20]].mean(axis=0)
    counts = np.floor(best * TOTAL).astype(int)
    chosen = []
    for name, count in zip(names, counts):
        members = np.flatnonzero(sources == name)
        chosen += rng.choice(members, min(count, len(members)), replace=False).tolist()
    args.out.write_text("".join(f"{r}\n" for r in sorted(chosen)))


if __name__ == "__main__":
    main()
