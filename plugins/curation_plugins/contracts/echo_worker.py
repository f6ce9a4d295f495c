"""The worker with which engines are checked. Standard library only."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class EchoWorker:
    """Trains nothing; does what the recipe says."""

    def __init__(self) -> None:
        self.jobs = 0

    def train(self, job: dict[str, Any], progress: Any) -> dict[str, Any]:
        self.jobs += 1
        out = Path(job["out"])
        left = sorted(entry.name for entry in out.iterdir())
        (out / "model").write_text("nothing")
        progress("echoing", 0.5)
        if job["recipe"].get("raise"):
            raise RuntimeError("as the recipe says")
        if job["recipe"].get("wrong"):
            return {"steps": "many"}
        return {"model": "model", "steps": self.jobs, "samples": len(left), "loss": 0.0}
