"""What was tried and what came of it, kept in the workspace, which outlives the container."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .plan import Step


@dataclass(frozen=True)
class Entry:
    """One step of the plan."""

    number: int
    method: str
    parameters: dict[str, float]
    outcome: str
    """``submitted``, ``scored``, ``failed`` (by the harness), ``refused``, ``skipped`` (the method
    could not be carried out) or ``repeated`` (the same rows as in an earlier attempt)."""
    rows: int = 0
    attempt: int | None = None
    mean: float | None = None
    stderr: float | None = None
    remark: str = ""

    @property
    def in_vain(self) -> bool:
        """Whether the step made no attempt."""
        return self.outcome in ("refused", "skipped", "repeated")


class Journal:
    """One JSON object a line, appended; of several lines about one step the last one holds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[int, Entry] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                entry = Entry(**json.loads(line))
                self._entries[entry.number] = entry

    def __iter__(self) -> Iterator[Entry]:
        return iter([self._entries[number] for number in sorted(self._entries)])

    def get(self, step: Step) -> Entry | None:
        """What is known of a step, if it was tried before this process began."""
        return self._entries.get(step.number)

    def add(self, entry: Entry) -> None:
        self._entries[entry.number] = entry
        with self._path.open("a") as lines:
            lines.write(json.dumps(asdict(entry)) + "\n")

    def best(self) -> Entry | None:
        """The scored entry with the highest mean, the first of equals."""
        scored = [entry for entry in self._entries.values() if entry.mean is not None]
        return max(scored, key=lambda entry: (entry.mean or 0.0, -entry.number), default=None)

    def table(self) -> str:
        """A table for a reader, the best marked with ``*``."""
        best = self.best()
        lines = [f"{'':1} {'attempt':>7}  {'method':<16} {'rows':>6}  {'score':<17} parameters"]
        for entry in self:
            attempt = "-" if entry.attempt is None else str(entry.attempt)
            score = entry.outcome if entry.mean is None else f"{entry.mean:.4f} ± {entry.stderr:.4f}"
            parameters = " ".join(f"{key}={value:g}" for key, value in entry.parameters.items())
            mark = "*" if entry is best else " "
            remark = f"{parameters}  {entry.remark}".strip()
            what = f"{attempt:>7}  {entry.method:<16} {entry.rows:>6}  {score:<17}"
            lines.append(f"{mark} {what} {remark}".rstrip())
        return "\n".join(lines)


def begun(step: Step, outcome: str, rows: int, attempt: int | None, remark: str = "") -> Entry:
    """The entry of a step that was handed in, or could not be."""
    parameters = dict(step.parameters)
    return Entry(step.number, step.method.name, parameters, outcome, rows, attempt, remark=remark)


def ended(entry: Entry, view: dict[str, Any]) -> Entry:
    """The entry once its attempt is through; ``view`` is the reply of ``curate wait``."""
    feedback = view.get("feedback")
    if view["state"] == "failed" or feedback is None:
        return replace(entry, outcome="failed", remark=str(view.get("failure") or ""))
    return replace(entry, outcome="scored", mean=float(feedback["mean"]), stderr=float(feedback["stderr"]))
