# Mean of two ranks: EL2N (try 1) and image-text similarity (try 2). Each had its own good benchmark.
import csv
import json
import sys

import numpy as np

argv = dict(zip(sys.argv[1::2], sys.argv[2::2]))
POOL, HIST, OUT = argv["--pool"], argv["--history"], argv["--out"]
K = 120

with open(f"{POOL}/signals/signals.csv", newline="") as f:
    sim = np.array([float(r["similarity"]) if r["similarity"] else np.nan for r in csv.DictReader(f)])
el2n = np.zeros(len(sim))
for line in open(f"{HIST}/signals/el2n.jsonl"):
    d = json.loads(line)
    el2n[d["row"]] = d["value"]

sim[np.isnan(sim)] = np.nanmin(sim)
rank_a = np.argsort(np.argsort(el2n, kind="stable"), kind="stable")
rank_b = np.argsort(np.argsort(sim, kind="stable"), kind="stable")
both = (rank_a + rank_b) / 2
keep = np.argsort(-both, kind="stable")[:K]
with open(OUT, "w") as f:
    f.write("\n".join(str(i) for i in sorted(keep.tolist())) + "\n")
