#!/usr/bin/env python3
# half from the rule filter (attempt 1), half from influence on the weakest benchmark (attempt 3)
import argparse, json, os, random
import numpy as np

TOTAL = 120
KEEP = ["digit", "number", "colour", "sign", "opposite", "plus"]
DROP = ["yes", "no"]
LOW, HIGH = 1, 60
MARKS = {"digits": ("digit", "number"), "colours": ("colour",), "signs": ("sign",), "facts": ("opposite", "plus")}

def by_rules(rows, seed):
    ok = []
    for i, row in enumerate(rows):
        q = row["conversations"][0]["value"].lower()
        ans = " ".join(t["value"] for t in row["conversations"] if t["from"] == "gpt").lower()
        if any(k in q for k in KEEP) and not any(w in ans.split() for w in DROP) and LOW <= len(ans) <= HIGH:
            ok.append(i)
    random.Random(seed).shuffle(ok)
    return ok

def by_influence(rows, history):
    last = json.load(open(os.path.join(history, "history.json")))["attempts"][-1]["feedback"]["by_benchmark"]
    weakest = min(sorted(last), key=lambda name: last[name]["mean"])
    g = np.array([json.loads(l)["value"] for l in open(os.path.join(history, "signals/gradient.jsonl"))])
    like = [i for i, r in enumerate(rows) if any(m in r["conversations"][0]["value"].lower() for m in MARKS[weakest])]
    return np.argsort(-np.round(g @ g[like].mean(axis=0), 6), kind="stable").tolist()

ap = argparse.ArgumentParser()
ap.add_argument("--pool"); ap.add_argument("--history"); ap.add_argument("--seed", type=int); ap.add_argument("--out")
args = ap.parse_args()
rows = [json.loads(l) for l in open(os.path.join(args.pool, "rows.jsonl"))]
first = by_rules(rows, args.seed)[: TOTAL // 2]
second = [r for r in by_influence(rows, args.history) if r not in first][: TOTAL - len(first)]
with open(args.out, "w") as f:
    f.writelines(f"{i}\n" for i in sorted(first + second))
