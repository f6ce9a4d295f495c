"""Coverage sampler, version 2: cleaned up into a small package (geometry, cover, command line)."""

import argparse
import logging
import pathlib

import numpy as np

from cover import farthest_first
from geometry import Space

log = logging.getLogger("sampler")
N_SELECT = 120
N_COMPONENTS = 32


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--history", default=None)
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--out", required=True)
    return parser.parse_args()


if __name__ == "__main__":
    options = parse()
    logging.basicConfig(level=logging.INFO)
    space = Space(pathlib.Path(options.pool, "signals", "embeddings.npy"), N_COMPONENTS)
    log.info("space of %d rows", len(space))
    generator = np.random.default_rng(options.seed)
    picked = sorted(farthest_first(space, N_SELECT, int(generator.integers(len(space)))))
    with open(options.out, "w") as stream:
        for row in picked:
            print(row, file=stream)
    log.info("wrote %d rows", len(picked))
