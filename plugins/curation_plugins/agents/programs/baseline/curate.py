"""The command ``curate`` as Python calls: every reply as the JSON object it prints."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Reply = dict[str, Any]

FINAL = ("scored", "failed")
"""States of an attempt that do not change any more."""

WAIT_SECONDS = 300
"""How long one ``curate wait`` may last; it is asked again until the attempt is through."""


class CurateFailed(Exception):
    """``curate`` reported an error; ``code`` is the protocol's name for it, "" if it has none."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code or 'curate'}: {message}")
        self.code = code

    @property
    def over(self) -> bool:
        """Whether nothing more can be submitted in this run."""
        return self.code in ("run-over", "budget-spent")


class Curate:
    """Talks to the host through the command line client."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)

    def task(self) -> Reply:
        return self._ask("task")

    def status(self) -> Reply:
        return self._ask("status")

    def submit(self, rows: Path, policy: Path, note: str) -> Reply:
        """Accepted, duplicate or refused: see ``outcome``. Waits while the host runs the policy again."""
        key = uuid.uuid4().hex
        while True:
            reply = self._ask("submit", str(rows), "--policy", str(policy), "--note", note, "--key", key)
            if reply["outcome"] != "checking":
                return reply

    def wait(self, attempt: int) -> Reply:
        """The attempt once it is scored or has failed."""
        while True:
            view = self._ask("wait", str(attempt), "--timeout", str(WAIT_SECONDS))
            if view["state"] in FINAL:
                return view

    def signal(self, name: str, rows: Path) -> dict[int, Any]:
        """Row to value, None where the signal is not defined; rows that the budget did not reach are missing."""
        while True:
            view = self._ask("signal", name, "--rows", str(rows))
            if view["state"] == "failed":
                raise CurateFailed("ours", str(view.get("failure")))
            if view["state"] == "ready":
                return dict(zip(view["rows"], view["values"], strict=True))

    def save_history(self, folder: Path) -> None:
        """Get what the host shows a policy as ``/history``."""
        self._ask("history", "--save", str(folder))

    def done(self) -> Reply:
        return self._ask("done")

    def _ask(self, *arguments: str) -> Reply:
        """Run the client once.

        Raises:
            CurateFailed: it printed an error, or nothing that can be read.
        """
        command = [*self._command, "--json", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            reply = json.loads(ended.stdout)
        except ValueError:
            said = (ended.stderr or ended.stdout).strip()
            raise CurateFailed("", said or f"exit code {ended.returncode}, no output") from None
        if not isinstance(reply, dict):
            raise CurateFailed("", f"not a JSON object: {ended.stdout[:200]}")
        if "error" in reply:
            raise CurateFailed(str(reply["error"]), str(reply.get("message", "")))
        return reply
