"""Loss rank without the rows that look mislabelled.

A row looks mislabelled if its loss stands far above that of its neighbours; such rows
are left out, the rest is ranked by base loss.
"""
import argparse
import csv
import json

import numpy as np

GAP = 1.5
SIZE = 120


def mislabelled(history, loss):
    blocked = []
    with open(history + "/signals/neighbours.jsonl") as lines:
        for entry in map(json.loads, lines):
            around = loss[[int(v) for v in entry["value"][:10]]].mean()
            if loss[entry["row"]] - around > GAP:
                blocked.append(entry["row"])
    return blocked


if __name__ == "__main__":
    cli = argparse.ArgumentParser()
    cli.add_argument("--pool"), cli.add_argument("--history"), cli.add_argument("--out")
    cli.add_argument("--seed", type=int)
    opts = cli.parse_args()
    with open(opts.pool + "/signals/signals.csv", newline="") as table:
        loss = np.array([float(line["answer_loss"]) for line in csv.DictReader(table)])
    usable = np.setdiff1d(np.arange(len(loss)), mislabelled(opts.history, loss))
    rows = usable[np.argsort(-loss[usable], kind="stable")][:SIZE]
    with open(opts.out, "w") as target:
        target.write("\n".join(map(str, sorted(rows.tolist()))))
