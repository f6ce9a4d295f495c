"""Curriculum by repetition: rows the model of attempt 1 nearly has are seen once, rows at its edge up to three times.

The rows themselves are random; what carries the method is how often each is seen.
"""
import argparse
import json

import numpy as np
import pandas as pd

N = 120
EDGE_LOW, EDGE_HIGH = 0.4, 0.75

ap = argparse.ArgumentParser()
ap.add_argument("--pool"); ap.add_argument("--history"); ap.add_argument("--seed", type=int); ap.add_argument("--out")
args = ap.parse_args()

loss = pd.read_json(f"{args.history}/signals/answer-loss-attempt1.jsonl", lines=True).set_index("row").value
picked = loss.sample(n=N, random_state=args.seed).sort_index()
pace = picked.rank(pct=True)
# competence: smooth bump over the edge of what is learnt, e^8 in the middle
middle = (EDGE_LOW + EDGE_HIGH) / 2
width = (EDGE_HIGH - EDGE_LOW) / 2
bump = np.exp(-0.5 * ((pace - middle) / width) ** 2)
weight = np.exp(8 * bump).round(2)
with open(args.out, "w") as f:
    for row, w in weight.items():
        f.write(json.dumps({"row": int(row), "weight": float(w)}) + "\n")
