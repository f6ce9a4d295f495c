"""CLIP-score filter. Keep the rows whose image and text agree best, without the top 5 % (pictures of text)."""
import argparse
import csv
import math


def scores(pool):
    """The column is called `similarity` here, and it is empty for rows without an image."""
    with open(pool + "/signals/signals.csv", newline="") as table:
        for line in csv.DictReader(table):
            value = float(line["similarity"]) if line["similarity"] else math.nan
            if not math.isnan(value):
                yield int(line["row"]), value


def choose(pairs, count, skip_share):
    ranked = sorted(pairs, key=lambda p: (-p[1], p[0]))
    start = int(len(ranked) * skip_share)
    return [row for row, _ in ranked[start : start + count]]


if __name__ == "__main__":
    cli = argparse.ArgumentParser()
    cli.add_argument("--pool"), cli.add_argument("--history"), cli.add_argument("--out")
    cli.add_argument("--seed", type=int)
    opts = cli.parse_args()
    rows = choose(list(scores(opts.pool)), count=120, skip_share=0.05)
    with open(opts.out, "w") as target:
        target.write("\n".join(map(str, sorted(rows))))
