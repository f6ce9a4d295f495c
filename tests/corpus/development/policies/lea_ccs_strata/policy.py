# Coverage-centric selection (Zheng et al. 2023): instead of the top of the score, equal parts from strata of the score.
import argparse, json, math, re
from collections import Counter
import numpy as np

p = argparse.ArgumentParser()
p.add_argument("--pool"); p.add_argument("--history"); p.add_argument("--seed", type=int, default=0); p.add_argument("--out")
a = p.parse_args()

STRATA = 50
PRUNE_HARD = 0.3
N = 120

answers = []
for line in open(a.pool + "/rows.jsonl"):
    turns = json.loads(line)["conversations"]
    answers.append(re.findall(r"\w+", " ".join(t["value"] for t in turns if t["from"] == "gpt").lower()) or ["-"])
freq = Counter(w for ws in answers for w in ws)
total = sum(freq.values())
alone = np.array([-np.mean([math.log(freq[w] / total) for w in ws]) for ws in answers])
given = np.array([json.loads(line)["value"] for line in open(a.history + "/signals/answer-loss.jsonl")])
ifd = given / alone
alive = np.argsort(ifd, kind="stable")[: int((1 - PRUNE_HARD) * len(ifd))]
edges = np.linspace(ifd[alive].min(), ifd[alive].max(), STRATA + 1)
which = np.clip(np.digitize(ifd[alive], edges) - 1, 0, STRATA - 1)
rng = np.random.default_rng(a.seed)
strata = sorted((alive[which == s] for s in range(STRATA)), key=len)
chosen, left = [], N
for place, stratum in enumerate(strata):
    quota = min(len(stratum), left // (STRATA - place))
    chosen += rng.choice(stratum, quota, replace=False).tolist() if quota else []
    left -= quota
open(a.out, "w").write("\n".join(map(str, sorted(chosen))) + "\n")
