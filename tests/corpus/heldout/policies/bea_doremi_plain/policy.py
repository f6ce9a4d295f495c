"""mixture.py rewritten without the class: shorter, easier to check against the paper. No behaviour change intended."""

import argparse
import json
import os

import numpy as np

ETA = 0.3
T = 25
C = 0.05
B = 16
TOTAL = 120


def column(folder, signal, size):
    out = np.full(size, np.nan)
    for line in open(os.path.join(folder, "signals", signal + ".jsonl")):
        rec = json.loads(line)
        out[rec["row"]] = rec["value"]
    return out


def exponentiated_gradient(domains, loss, attainable, rng):
    """Average iterate of the domain weights."""
    k = len(domains)
    alpha, history = np.ones(k) / k, []
    filled = np.nan_to_num(loss)
    for _ in range(T):
        lam = np.empty(k)
        for i in range(k):
            sample = rng.choice(domains[i], size=min(B, domains[i].size), replace=False)
            gap = filled[sample] - attainable[i]
            gap[gap < 0] = 0
            lam[i] = np.mean(gap)
        alpha = alpha * np.exp(ETA * lam)
        alpha = alpha / np.sum(alpha)
        alpha = C / k + (1 - C) * alpha
        history.append(alpha)
    mean = np.sum(history, axis=0)
    return mean / np.sum(mean)


def largest_remainder(weights, total):
    exact = weights * total
    whole = np.floor(exact).astype(int)
    rest = total - int(whole.sum())
    for i in np.argsort(-(exact - whole))[:rest]:
        whole[i] += 1
    return whole


parser = argparse.ArgumentParser()
parser.add_argument("--pool")
parser.add_argument("--history")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out")
opts = parser.parse_args()

origin = []
with open(os.path.join(opts.pool, "rows.jsonl"), encoding="utf-8") as stream:
    for text in stream:
        origin.append(json.loads(text)["source"])
origin = np.array(origin)
generator = np.random.default_rng(opts.seed)
answer_loss = column(opts.history, "answer-loss-attempt1", origin.size)
domains = [np.where(origin == d)[0] for d in sorted(np.unique(origin).tolist())]
attainable = [np.nanquantile(answer_loss[d], 0.2) for d in domains]
alpha = exponentiated_gradient(domains, answer_loss, attainable, generator)
result = []
for d, m in zip(domains, largest_remainder(alpha, TOTAL)):
    result.extend(generator.choice(d, size=min(int(m), d.size), replace=False).tolist())
with open(opts.out, "w") as stream:
    stream.writelines(f"{r}\n" for r in sorted(result))
