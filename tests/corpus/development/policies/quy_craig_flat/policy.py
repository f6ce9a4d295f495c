"""CRAIG-style coreset (Mirzasoleiman et al. 2020): facility location in gradient space, so that the chosen rows' gradients
stand in for those of the whole pool."""

import sys
from json import loads
from pathlib import Path

import numpy as np

FLAGS = dict(zip(sys.argv[1::2], sys.argv[2::2]))
SIZE = 90


def gradient_table(history: Path) -> np.ndarray:
    return np.array([loads(line)["value"] for line in (history / "signals" / "gradient.jsonl").open()])


def closeness(g: np.ndarray) -> np.ndarray:
    square = (g**2).sum(1)
    distance = np.sqrt(np.maximum(0, square[:, None] + square[None] - 2 * g @ g.T))
    return distance.max() - distance


def coreset(close: np.ndarray, budget: int) -> list[int]:
    served, picks = np.zeros(len(close)), []
    for _ in range(budget):
        gain = np.round(np.maximum(close - served[:, None], 0).sum(axis=0), 6)
        gain[picks] = -1
        best = int(gain.argmax())
        picks.append(best)
        served = np.maximum(served, close[:, best])
    return sorted(picks)


if __name__ == "__main__":
    rows = coreset(closeness(gradient_table(Path(FLAGS["--history"]))), SIZE)
    Path(FLAGS["--out"]).write_text("".join(f"{r}\n" for r in rows))
