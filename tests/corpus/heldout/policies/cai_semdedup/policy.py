# SemDeDup (Abbas et al. 2023): k-means in embedding space, inside a cluster drop rows that have a near twin.
# The pool has many copies; nothing so far looked at that.
import sys

import numpy as np
from sklearn.cluster import KMeans

argv = dict(zip(sys.argv[1::2], sys.argv[2::2]))
POOL, OUT, SEED = argv["--pool"], argv["--out"], int(argv["--seed"])

K = 120
CLUSTERS = 12
EPS = 0.25

x = np.load(f"{POOL}/signals/embeddings.npy").astype(float)
x /= np.linalg.norm(x, axis=1, keepdims=True)
km = KMeans(n_clusters=CLUSTERS, n_init=4, random_state=SEED).fit(x)

survivors = []
for c in range(CLUSTERS):
    idx = np.where(km.labels_ == c)[0]
    # farthest from the centroid first: those are kept, their twins near the centroid go
    to_centroid = x[idx] @ km.cluster_centers_[c]
    idx = idx[np.argsort(to_centroid, kind="stable")]
    sim = x[idx] @ x[idx].T
    upper = np.triu(sim, k=1)
    worst = upper.max(axis=0)
    survivors.extend(idx[worst < 1 - EPS].tolist())

print(len(survivors), "of", len(x), "rows survive")
rng = np.random.default_rng(SEED)
keep = rng.permutation(np.array(sorted(survivors)))[:K]
with open(OUT, "w") as f:
    f.write("\n".join(str(i) for i in sorted(keep.tolist())) + "\n")
