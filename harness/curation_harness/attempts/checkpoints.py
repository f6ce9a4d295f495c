"""The trained models that a run keeps: which of them, and where they lie."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from curation_harness.record.state import best
from curation_harness.record.store import RunRecord
from curation_plugins.config import Checkpoints

NAME = "model"
"""Of the folder beside an attempt's result; in it lies what ``TrainResult.model`` named, under its own name."""


@dataclass(frozen=True)
class KeptModels:
    """A run's models, by the policy ``checkpoints.keep`` of its task."""

    record: RunRecord

    @property
    def policy(self) -> Checkpoints:
        return self.record.spec.task.checkpoints

    def place(self, n: int) -> Path | None:
        """The folder into which the model of attempt ``n`` goes once it is scored; none: it is not wanted.

        What a killed process left there is removed.
        """
        if self.policy.keep == "none":
            return None
        path = self.record.attempt_folder(n) / NAME
        _remove(path)
        return path

    def find(self, n: int) -> Path | None:
        """The model of attempt ``n``; none: it is not kept (any more), or there never was one."""
        folder = self.record.attempt_folder(n) / NAME
        if not folder.is_dir() or self.record.result(n) is None:
            return None
        return next(folder.iterdir(), None)

    def kept(self) -> tuple[int, ...]:
        """Attempts whose models are there."""
        return tuple(result.n for result in self.record.results() if self.find(result.n) is not None)

    def settle(self) -> None:
        """Remove what the policy does not keep, and tell the record what stays. May be called at any time between
        attempts, and again.

        A removal is told first: half a model that a kill left would have another size.
        """
        wanted, events = self._wanted(), self.record.events
        kept = {event.data["n"] for event in events.of("checkpoint-kept")}
        removed = {event.data["n"] for event in events.of("checkpoint-removed")}
        for path in sorted(self.record.folder.glob(f"attempts/*/{NAME}")):
            n, size = int(path.parent.name), _size(path)
            if n in wanted:
                if n not in kept:
                    events.append("checkpoint-kept", n=n, bytes=size)
                continue
            if n not in removed and self.record.result(n) is not None:
                events.append("checkpoint-removed", n=n, bytes=size)
            _remove(path)

    def _wanted(self) -> frozenset[int]:
        results = self.record.results()
        if self.policy.keep == "all":
            return frozenset(result.n for result in results)
        winner = best(results) if self.policy.keep == "best" else None
        return frozenset([winner.n] if winner is not None else [])


def at_once(policy: Checkpoints, iterations: int) -> int:
    """How many models of a run may be on disk at a time, the one in the making included."""
    return {"none": 1, "best": 2, "all": iterations + 1}[policy.keep]


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
