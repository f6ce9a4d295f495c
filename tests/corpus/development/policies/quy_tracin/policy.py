"""TracIn-like influence on the weakest benchmark (Pruthi et al. 2020): inner product, not cosine, with the gradient of rows
of its kind; the weakest benchmark is read from the last attempt's scores."""

import json
import sys
from pathlib import Path

import numpy as np

FLAGS = dict(zip(sys.argv[1::2], sys.argv[2::2]))
BUDGET = 120
MARKS = {"digits": ("digit", "number"), "colours": ("colour",), "signs": ("sign",), "facts": ("opposite", "plus")}


def weakest(history: Path) -> str:
    last = json.loads((history / "history.json").read_text())["attempts"][-1]
    scores = {name: entry["mean"] for name, entry in last["feedback"]["by_benchmark"].items()}
    return min(sorted(scores), key=scores.get)


if __name__ == "__main__":
    history, pool = Path(FLAGS["--history"]), Path(FLAGS["--pool"])
    g = np.array([json.loads(line)["value"] for line in (history / "signals" / "gradient.jsonl").open()])
    asked = [json.loads(line)["conversations"][0]["value"].lower() for line in (pool / "rows.jsonl").open()]
    marks = MARKS[weakest(history)]
    like = [i for i, text in enumerate(asked) if any(m in text for m in marks)]
    influence = np.round(g @ g[like].mean(axis=0), 6)
    rows = np.argsort(-influence, kind="stable")[:BUDGET]
    Path(FLAGS["--out"]).write_text("".join(f"{r}\n" for r in sorted(rows.tolist())))
