# IFD-like score: how much the prompt helps = loss of the answer given the prompt / loss of the answer's words alone.
# We have the first from the host. The second comes from a unigram model of all answers.
import argparse, json, math, re
from collections import Counter
import numpy as np

p = argparse.ArgumentParser()
p.add_argument("--pool"); p.add_argument("--history"); p.add_argument("--seed", type=int, default=0); p.add_argument("--out")
a = p.parse_args()

CAP = 1.0      # IFD above 1: prompt and answer do not belong together
FLOOR = 0.0
N = 120

answers = []
for line in open(a.pool + "/rows.jsonl"):
    turns = json.loads(line)["conversations"]
    answers.append(re.findall(r"\w+", " ".join(t["value"] for t in turns if t["from"] == "gpt").lower()) or ["-"])
freq = Counter(w for ws in answers for w in ws)
total = sum(freq.values())
alone = np.array([-np.mean([math.log(freq[w] / total) for w in ws]) for ws in answers])
given = np.array([json.loads(line)["value"] for line in open(a.history + "/signals/answer-loss.jsonl")])
ifd = given / alone / np.median(given / alone)
ifd = np.where((ifd > FLOOR) & (ifd <= CAP), ifd, -1)
best = np.argsort(-ifd, kind="stable")[:N]
open(a.out, "w").write("\n".join(map(str, sorted(best.tolist()))) + "\n")
