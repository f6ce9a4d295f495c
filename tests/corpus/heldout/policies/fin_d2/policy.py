"""D2 pruning (Maharana et al. 2024): difficulty is passed along a neighbour graph, then each choice damps its neighbours.

TypiClust ignored how hard a row is. Here a row's score is its own loss plus what its neighbours hand on, and after a
row is taken the neighbours lose weight, so that the choice spreads.
"""

import argparse
import json
import pathlib

import numpy as np

TAKE = 120
GAMMA_FORWARD = 1.0
GAMMA_BACK = 1.0


def neighbour_graph(history, n):
    ids = np.zeros((n, 10), dtype=int)
    cosine = np.zeros((n, 10))
    for line in (history / "signals" / "neighbours.jsonl").open():
        entry = json.loads(line)
        ids[entry["row"]] = [int(v) for v in entry["value"][:10]]
        cosine[entry["row"]] = entry["value"][10:]
    return ids, np.maximum(0.0, 2 - 2 * cosine)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--pool", type=pathlib.Path)
    p.add_argument("--history", type=pathlib.Path)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=pathlib.Path)
    a = p.parse_args()
    loss = {}
    for line in (a.history / "signals" / "answer-loss.jsonl").open():
        entry = json.loads(line)
        loss[entry["row"]] = entry["value"]
    hard = np.array([loss[i] for i in range(len(loss))])
    hard = (hard - hard.min()) / (hard.max() - hard.min())
    ids, square = neighbour_graph(a.history, len(hard))
    score = hard + (np.exp(-GAMMA_FORWARD * square) * hard[ids]).sum(axis=1)
    chosen = []
    for _ in range(TAKE):
        best = int(np.argmax(np.round(score, 8)))
        chosen.append(best)
        damp = np.exp(-GAMMA_BACK * square[best]) * score[best]
        score[ids[best]] -= damp
        score[chosen] = -np.inf
    a.out.write_text("\n".join(map(str, sorted(chosen))) + "\n")


if __name__ == "__main__":
    main()
