# GraNd (Paul et al. 2021): rank by the length of the gradient sketch.
import argparse, json
import numpy as np

p = argparse.ArgumentParser()
p.add_argument("--pool"); p.add_argument("--history"); p.add_argument("--seed", type=int, default=0); p.add_argument("--out")
a = p.parse_args()

CUT_TOP = 0.02
N = 120

g = np.array([json.loads(line)["value"] for line in open(a.history + "/signals/gradient.jsonl")])
length = np.sqrt((g ** 2).sum(axis=1))
order = np.argsort(-length, kind="stable")
order = order[int(CUT_TOP * len(order)):]
open(a.out, "w").write("\n".join(map(str, sorted(order[:N].tolist()))) + "\n")
