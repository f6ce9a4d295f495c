"""Longest rows first."""
import json, sys
from pathlib import Path

KEEP = 0.3


def lengths(pool):
    with (Path(pool) / "rows.jsonl").open(encoding="utf-8") as file:
        return [len(json.loads(line)["text"]) for line in file]


def main(pool, out, rows):
    order = sorted(enumerate(lengths(pool)), key=lambda pair: (-pair[1], pair[0]))
    Path(out).write_text("".join(f"{row}\n" for row, _ in order[: int(rows * KEEP)]))


if __name__ == "__main__":
    main(*sys.argv[1:3], 100)
