"""All in one file and without a registry: three terms do not need one. Weights are those of config.json."""

import argparse
import csv
import json
from pathlib import Path

import numpy as np

ROWS = 120
W_NOVELTY, W_DIFFICULTY, W_ALIGNMENT = 0.8, 0.5, 1.0
CLIP = 0.95


def position(values):
    middle = np.nanmedian(values)
    values = np.array([middle if np.isnan(v) else v for v in values])
    place = np.empty(len(values))
    place[values.argsort(kind="stable")] = np.arange(len(values))
    return place / max(1, len(values) - 1)


parser = argparse.ArgumentParser()
parser.add_argument("--pool", type=Path)
parser.add_argument("--history", type=Path)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", type=Path)
args = parser.parse_args()

similarity, loss = [], []
with (args.pool / "signals" / "signals.csv").open(newline="") as f:
    for record in csv.DictReader(f):
        loss.append(float(record["answer_loss"]) if record["answer_loss"] else np.nan)
        similarity.append(float(record["similarity"]) if record["similarity"] else np.nan)
loss = np.array(loss)

vectors = np.load(args.pool / "signals" / "embeddings.npy").astype(np.float64)
vectors = vectors / np.sqrt((vectors * vectors).sum(axis=1))[:, None]
nearest = vectors @ vectors.T
nearest[np.diag_indices(len(nearest))] = -1.0

hard = loss.copy()
hard[~(loss <= np.nanquantile(loss, CLIP))] = 0.0
terms = W_ALIGNMENT * position(np.array(similarity))
terms = terms + W_DIFFICULTY * position(hard)
terms = terms + W_NOVELTY * position(np.round(1 - nearest.max(axis=1), 6))

with args.out.open("w") as f:
    for row in sorted(np.argsort(-np.round(terms, 9), kind="stable")[:ROWS].tolist()):
        print(row, file=f)
