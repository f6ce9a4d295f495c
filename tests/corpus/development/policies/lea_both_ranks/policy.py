# product of two ranks we already tried one by one: IFD-like difficulty and gradient length
import argparse, json, math, re
from collections import Counter
import numpy as np
import pandas as pd

p = argparse.ArgumentParser()
p.add_argument("--pool"); p.add_argument("--history"); p.add_argument("--seed", type=int, default=0); p.add_argument("--out")
a = p.parse_args()

CAP = 1.0
CUT_TOP = 0.02
N = 120

rows = pd.read_json(a.pool + "/rows.jsonl", lines=True)
words = rows.conversations.map(lambda ts: re.findall(r"\w+", " ".join(t["value"] for t in ts if t["from"] == "gpt").lower()) or ["-"])
freq = Counter(w for ws in words for w in ws)
total = sum(freq.values())
alone = words.map(lambda ws: -np.mean([math.log(freq[w] / total) for w in ws]))
sig = lambda name: pd.read_json(f"{a.history}/signals/{name}.jsonl", lines=True).set_index("row").value
df = pd.DataFrame({"ifd": sig("answer-loss") / alone, "grand": sig("gradient").map(np.linalg.norm)})
df["ifd"] /= df.ifd.median()
df.loc[df.ifd > CAP, "ifd"] = -1
df.loc[df.grand > df.grand.quantile(1 - CUT_TOP), "grand"] = -1
product = df.ifd.rank(method="first", pct=True) * df.grand.rank(method="first", pct=True)
best = product.sort_values(ascending=False, kind="stable").index[:N]
pd.Series(sorted(best)).to_csv(a.out, index=False, header=False)
