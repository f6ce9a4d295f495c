"""Runs policies without a container, through the very tracer that runs in one: for tests of what is made of a run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from curation_harness.errors import ReproductionFailed
from curation_harness.reproduction import frame
from curation_harness.reproduction.runner import TRACE, Ran


@dataclass
class LocalPolicies:
    """A ``PolicyRunner``. ``broken`` makes it fail as an engine does."""

    pool: Path
    broken: bool = False
    runs: int = 0

    def run(self, policy: Path, history: Path, arguments: Sequence[str], limit: float, most: int, out: Path) -> Ran:
        self.runs += 1
        if self.broken:
            raise ReproductionFailed("the engine is gone")
        with tempfile.TemporaryDirectory() as scratch:
            made = str(Path(scratch, "selection.txt"))
            told = ["--pool", str(self.pool), "--history", str(history), *arguments, "--out", made]
            watch = ["--policy", str(policy), "--out", made, "--limit", str(limit), "--most", str(most)]
            command = [sys.executable, "-I", str(TRACE), *watch, "--", *told]
            done = subprocess.run(command, capture_output=True, check=False)
            with frame.Tail(most, Path(scratch)) as tail:
                tail.add(done.stdout)
                return Ran(report=frame.read(tail, most, out) if done.returncode == 0 else None)
