"""CLIP-score filter. Keep the rows whose image and text agree best, without the top 5 % (pictures of text)."""
import argparse
import csv


def scores(pool):
    with open(pool + "/signals/signals.csv", newline="") as table:
        for line in csv.DictReader(table):
            yield int(line["row"]), float(line["clip_score"])


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
