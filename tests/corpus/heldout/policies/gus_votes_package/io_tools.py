"""Reading the pool and the history."""

import json
from pathlib import Path

import numpy as np


def jsonl(path: Path):
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def unit_gradients(history: Path) -> np.ndarray:
    """Gradient sketches by row, length 1."""
    by_row = {entry["row"]: entry["value"] for entry in jsonl(history / "signals" / "gradient.jsonl")}
    stacked = np.array([by_row[row] for row in sorted(by_row)])
    length = np.linalg.norm(stacked, axis=1, keepdims=True)
    length[length < 1e-9] = 1e-9
    return stacked / length
