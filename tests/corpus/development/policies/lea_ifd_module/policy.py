import argparse
import json
from pathlib import Path

import numpy as np

import ifd

SETTINGS = {"cap": 1.0, "floor": 0.0, "rows": 120}


def main(pool, history, out, **_):
    bags = list(ifd.answer_words(Path(pool) / "rows.jsonl"))
    with (Path(history) / "signals" / "answer-loss.jsonl").open() as stream:
        conditional = np.array([json.loads(line)["value"] for line in stream])
    values = ifd.admissible(ifd.score(conditional, bags), SETTINGS["floor"], SETTINGS["cap"])
    order = sorted(range(len(values)), key=lambda row: -values[row])
    with open(out, "w") as stream:
        for row in sorted(order[: SETTINGS["rows"]]):
            stream.write(f"{row}\n")


if __name__ == "__main__":
    cli = argparse.ArgumentParser()
    cli.add_argument("--pool")
    cli.add_argument("--history")
    cli.add_argument("--seed", type=int, default=0)
    cli.add_argument("--out")
    main(**vars(cli.parse_args()))
