# 4th try: dedup as in try 3 and then the EL2N ranking of try 1 among what survives (the ranking took twins).
import json
import sys

import numpy as np
from sklearn.cluster import KMeans

argv = dict(zip(sys.argv[1::2], sys.argv[2::2]))
POOL, HIST, OUT, SEED = argv["--pool"], argv["--history"], argv["--out"], int(argv["--seed"])

K = 120
CLUSTERS = 12
EPS = 0.25

x = np.load(f"{POOL}/signals/embeddings.npy").astype(float)
x /= np.linalg.norm(x, axis=1, keepdims=True)
el2n = np.full(len(x), np.nan)
for line in open(f"{HIST}/signals/el2n.jsonl"):
    d = json.loads(line)
    el2n[d["row"]] = d["value"]

km = KMeans(n_clusters=CLUSTERS, n_init=4, random_state=SEED).fit(x)
alive = np.zeros(len(x), bool)
for c in range(CLUSTERS):
    idx = np.where(km.labels_ == c)[0]
    idx = idx[np.argsort(x[idx] @ km.cluster_centers_[c], kind="stable")]
    upper = np.triu(x[idx] @ x[idx].T, k=1)
    alive[idx[upper.max(axis=0) < 1 - EPS]] = True

ok = np.where(alive)[0]
keep = ok[np.argsort(-el2n[ok], kind="stable")][:K]
with open(OUT, "w") as f:
    f.write("\n".join(str(i) for i in sorted(keep.tolist())) + "\n")
