"""Orthogonal exploration of the representation manifold.

Rows are taken one after the other; each is the one with the largest part that no row before it explains (regularised
Gram-Schmidt in feature space). A genuinely new, geometry-first view of the problem.
"""

import json
import pathlib
import sys

import numpy as np

TOTAL = 120
NOISE_FLOOR = 0.05


def unexplained(gram, explained_by):
    remaining = np.diag(gram).copy()
    for component in explained_by:
        remaining = remaining - component**2
    return remaining


def explore(gram, total):
    components, visited = [], []
    for _ in range(total):
        remaining = np.round(unexplained(gram, components), 8)
        remaining[visited] = -np.inf
        here = int(remaining.argmax())
        residual = gram[here].copy()
        norm = gram[here, here]
        for component in components:
            residual = residual - component * component[here]
            norm = norm - component[here] ** 2
        components.append(residual / np.sqrt(norm))
        visited.append(here)
    return visited


def manifold(path):
    features = np.load(path).astype(np.float64)
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    return features @ features.T + NOISE_FLOOR * np.identity(len(features))


if __name__ == "__main__":
    given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    path = pathlib.Path(given["--pool"]) / "signals" / "embeddings.npy"
    walk = explore(manifold(path), TOTAL)
    print(json.dumps({"visited": len(walk)}))
    pathlib.Path(given["--out"]).write_text("".join(f"{r}\n" for r in sorted(walk)))
