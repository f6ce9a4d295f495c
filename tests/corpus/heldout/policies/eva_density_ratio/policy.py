"""Importance resampling again, with weights from a density ratio in embedding space instead of n-grams.

N-grams see words only; "Describe it." and "Give me some advice." were both down-weighted although they differ.
The ratio p(target)/p(pool) is estimated by two Gaussians with a shared, shrunk covariance.
"""
import argparse
import json

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA

MARKS = ("digit", "number", "colour", "sign", "opposite", "plus")
DIMS = 12
TEMPERATURE = 2.0
SIZE = 120


def gaussian_log_density(points, mean, precision):
    centred = points - mean
    return -0.5 * np.einsum("ij,jk,ik->i", centred, precision, centred)


def looks_like_target(question):
    """Short single questions of the scored kinds stand for the target."""
    return any(mark in question.lower() for mark in MARKS) and len(question) < 40


def main():
    parser = argparse.ArgumentParser()
    for flag in ("--pool", "--history", "--out"):
        parser.add_argument(flag)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    with open(args.pool + "/rows.jsonl", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    reference = np.array(
        [len(r["conversations"]) == 2 and looks_like_target(r["conversations"][0]["value"]) for r in records]
    )
    raw = np.load(args.pool + "/signals/embeddings.npy").astype(np.float64)
    points = PCA(DIMS, svd_solver="full").fit_transform(raw)
    shared = LedoitWolf().fit(points - points.mean(axis=0)).precision_
    ratio = gaussian_log_density(points, points[reference].mean(axis=0), shared)
    ratio = ratio - gaussian_log_density(points, points.mean(axis=0), shared)
    gumbel = np.random.default_rng(args.seed).gumbel(size=len(ratio))
    picked = np.argsort(-np.round(TEMPERATURE * ratio + gumbel, 8), kind="stable")[:SIZE]
    with open(args.out, "w") as out:
        out.write("".join(f"{i}\n" for i in sorted(picked.tolist())))


if __name__ == "__main__":
    main()
