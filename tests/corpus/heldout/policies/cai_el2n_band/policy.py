# EL2N (Paul et al. 2021): keep the hard rows, but drop the very top, which is label noise.
import json
import sys

import numpy as np

argv = dict(zip(sys.argv[1::2], sys.argv[2::2]))
POOL, HIST, OUT = argv["--pool"], argv["--history"], argv["--out"]

K = 120
LO_PCT = 20
HI_PCT = 85

n = sum(1 for _ in open(f"{POOL}/rows.jsonl"))
el2n = np.full(n, np.nan)
for line in open(f"{HIST}/signals/el2n.jsonl"):
    d = json.loads(line)
    el2n[d["row"]] = d["value"]

lo, hi = np.nanpercentile(el2n, [LO_PCT, HI_PCT])
ok = np.where((el2n >= lo) & (el2n <= hi))[0]
ranked = ok[np.argsort(-el2n[ok], kind="stable")]
keep = ranked[:K]

print("el2n of kept rows:", el2n[keep].min().round(3), "to", el2n[keep].max().round(3))
with open(OUT, "w") as f:
    f.write("\n".join(str(i) for i in sorted(keep.tolist())) + "\n")
