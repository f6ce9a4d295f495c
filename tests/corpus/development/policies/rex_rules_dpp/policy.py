"""Rows that pass the rules of attempt 1, spread by the DPP of attempt 2; rules alone repeated themselves."""
import argparse
import json
from pathlib import Path

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--pool", type=Path)
parser.add_argument("--history", type=Path)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--out", type=Path)

KEEP = ("digit", "number", "colour", "sign", "opposite", "plus")
DROP = {"yes", "no"}
LONGEST = 60
TAKE, RIDGE = 120, 0.05


def passes(record):
    question = record["conversations"][0]["value"].lower()
    answer = " ".join(t["value"] for t in record["conversations"] if t["from"] == "gpt").lower()
    return any(word in question for word in KEEP) and not DROP & set(answer.split()) and 1 <= len(answer) <= LONGEST


def main():
    args = parser.parse_args()
    records = [json.loads(line) for line in (args.pool / "rows.jsonl").open(encoding="utf-8")]
    ok = np.flatnonzero([passes(r) for r in records])
    x = np.load(args.pool / "signals" / "embeddings.npy").astype(np.float64)[ok]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    kernel = x @ x.T + RIDGE * np.eye(len(x))
    gain, basis, chosen = kernel.diagonal().copy(), np.zeros((0, len(x))), []
    while len(chosen) < min(TAKE, len(ok)):
        best = int(np.argmax(np.round(gain, 8)))
        new = (kernel[best] - basis.T @ basis[:, best]) / np.sqrt(gain[best])
        basis = np.vstack([basis, new])
        gain = gain - new**2
        chosen.append(best)
        gain[chosen] = -np.inf
    args.out.write_text("".join(f"{r}\n" for r in sorted(ok[chosen].tolist())))


if __name__ == "__main__":
    main()
