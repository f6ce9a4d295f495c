# Learnability: base loss minus loss after attempt 1. EL2N took rows that are hard for ever; these are rows
# on which training of attempt 1 moved something and where there is still something left to learn.
import json
import sys

import numpy as np

argv = dict(zip(sys.argv[1::2], sys.argv[2::2]))
POOL, HIST, OUT = argv["--pool"], argv["--history"], argv["--out"]

K = 120


def sig(name, n):
    v = np.full(n, np.nan)
    for line in open(f"{HIST}/signals/{name}.jsonl"):
        d = json.loads(line)
        v[d["row"]] = d["value"]
    return v


n = sum(1 for _ in open(f"{POOL}/rows.jsonl"))
before = sig("answer-loss", n)
after = sig("answer-loss-attempt1", n)

gain = (before - after) / np.maximum(before, 1e-6)
left = np.clip(after, 0, np.nanpercentile(after, 90))
score = gain * left
score[~np.isfinite(score)] = -np.inf
keep = np.argsort(-score, kind="stable")[:K]
with open(OUT, "w") as f:
    f.write("\n".join(str(i) for i in sorted(keep.tolist())) + "\n")
