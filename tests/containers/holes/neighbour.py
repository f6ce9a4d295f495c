"""An honest agent whose run goes on beside the attacker's: it submits once it is told to, and minds its files."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from talking import hand_in, lines, wait


def told(**fields: object) -> None:
    sys.stdout.write("\nHOLE " + json.dumps(fields) + "\n")
    sys.stdout.flush()


def main() -> None:
    rows = [int(word) for word in sys.argv[1].split(",")]
    Path("kept.txt").write_text("kept")
    Path("/tmp/control.txt").write_text("this control is to be " + "found")
    told(attack="waiting", result=None)
    while not Path("go").exists():
        time.sleep(0.1)
    _, reply = hand_in(lines(rows), "neighbour-1", {"policy.py": b"print('mine')\n"})
    told(attack="neighbour", result={"kept": Path("kept.txt").read_text(), "view": wait(reply["attempt"])})


if __name__ == "__main__":
    main()
