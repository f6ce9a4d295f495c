"""Consensus election over gradient support."""

import argparse
from pathlib import Path

import numpy as np

from elect import Constituency, count
from io_tools import jsonl, unit_gradients

TASKS = [
    Constituency("digits", ("digit", "number")),
    Constituency("colours", ("colour",)),
    Constituency("signs", ("sign",)),
    Constituency("facts", ("opposite", "plus")),
]


def winners(votes, strength, seats):
    ballot_order = np.lexsort((np.round(-strength, 7), -votes))
    return sorted(ballot_order[:seats].tolist())


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--pool", type=Path)
    parser.add_argument("--history", type=Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(argv)
    rows = list(jsonl(given.pool / "rows.jsonl"))
    votes, strength = count(TASKS, unit_gradients(given.history), rows, share=0.3)
    given.out.write_text("\n".join(map(str, winners(votes, strength, seats=120))) + "\n")


if __name__ == "__main__":
    main()
