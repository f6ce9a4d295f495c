"""Submits each selection given as an argument (row ids with commas between), and waits for its score."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STILL_RUNNING = 3
"""Exit code of ``curate wait``."""


def main(selections: list[str]) -> int:
    policy = Path("policy")
    policy.mkdir(exist_ok=True)
    (policy / "policy.py").write_text("# somebody told me which rows are good\n")
    for n, rows in enumerate(selections, start=1):
        chosen = Path(f"rows-{n}.txt")
        chosen.write_text(rows.replace(",", "\n") + "\n")
        submit = ["curate", "submit", str(chosen), "--policy", str(policy), "--note", "planted truth"]
        code = subprocess.run(submit, check=False).returncode
        if code:
            return code
        while subprocess.run(["curate", "wait", str(n)], check=False).returncode == STILL_RUNNING:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
