"""From a submitted policy and its rows to a ``Reproduction``: run it again, read what it wrote, compare."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from curation_harness.reproduction.compare import differences
from curation_harness.reproduction.frame import Report
from curation_harness.reproduction.history import HistoryFolder, readable
from curation_harness.reproduction.runner import PolicyRunner, Ran
from curation_plugins.api import Task
from curation_plugins.errors import SubmissionRefused
from curation_plugins.gating import Reproduction
from curation_plugins.selection import Selection
from curation_sandbox.protocol import Problem

ENTRY: Final = "policy.py"
SAID: Final = 1500
"""How much of what a failed policy printed is told, characters."""


@dataclass(frozen=True)
class Reproducer:
    """Reproduces the policies of one run."""

    task: Task
    assets: Path
    history: HistoryFolder
    runner: PolicyRunner
    seed: int
    """What every policy is given as ``--seed``: ``TaskView.seed``."""
    scratch: Path
    """Folder for copies of policies."""

    def reproduce(self, policy: Mapping[str, Path], submitted: Selection) -> Reproduction:
        """Run a policy again and hold what it makes against what was submitted.

        Raises:
            ReproductionFailed: we could not run it; says nothing about the policy.
        """
        if ENTRY not in policy:
            message = f"the policy has no {ENTRY} at its root: it is run as `python {ENTRY} --pool … --out FILE`"
            return Reproduction(ok=False, problems=(Problem(code="reproduce-no-entry", message=message),))
        most = self.task.config.submission.max_bytes
        with self._copied(policy) as (folder, history, out):
            ran = self.runner.run(folder, history, ("--seed", str(self.seed)), self.limit, most, out)
            return self._judged(ran, out, submitted)

    @property
    def limit(self) -> float:
        """Seconds that a policy may take."""
        return self.task.config.budgets.reproduce_seconds

    @contextmanager
    def _copied(self, policy: Mapping[str, Path]) -> Iterator[tuple[Path, Path, Path]]:
        """The policy and the history, as folders that the container's user can read and that nothing changes; and a
        place beside them, which no container sees, for what the policy makes.

        The agent's container goes on meanwhile: a signal that it buys now must not reach a policy under way.
        """
        self.scratch.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="policy-", dir=self.scratch))
        try:
            for name, source in policy.items():
                place = folder / "policy" / name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, place)
            self.history.frozen(folder / "history")
            readable(folder)
            yield folder / "policy", folder / "history", folder / "made"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                self.scratch.rmdir()

    def _judged(self, ran: Ran, out: Path, submitted: Selection) -> Reproduction:
        report = ran.report
        if report is None:
            return Reproduction(ok=False, problems=(_died(ran),))
        problems = [*self._run_problems(ran, report), *_trace_problems(report)]
        digest = None
        if report.output == "whole" and not report.late:
            made, unread = self._parsed(out)
            problems += unread
            if made is not None:
                digest = made.digest()
                problems += differences(submitted, made)
        elif report.code == 0:
            problems.append(_no_output(report, self.task.config.submission.max_bytes))
        return Reproduction(
            ok=not problems,
            problems=tuple(problems),
            seconds=report.seconds,
            functions=frozenset(report.functions),
            digest=digest,
        )

    def _run_problems(self, ran: Ran, report: Report) -> Iterator[Problem]:
        if report.late:
            message = f"the policy was still running after {self.limit:g} seconds and was ended"
            yield Problem(code="reproduce-late", message=message)
        elif report.code != 0:
            how = f"ended with exit code {report.code}" if report.code > 0 else f"was ended by signal {-report.code}"
            if ran.killed_for_memory:
                how += ", killed for memory"
            said = report.said.strip()[-SAID:]
            yield Problem(code="reproduce-failed", message=f"the policy {how}{': ' if said else ''}{said}")

    def _parsed(self, out: Path) -> tuple[Selection | None, list[Problem]]:
        try:
            return self.task.parse_submission(out, self.assets), []
        except SubmissionRefused as refused:
            told = "; ".join(
                f"line {problem.row}: {problem.message}" if problem.row else problem.message
                for problem in refused.problems[:3]
            )
            message = f"what the policy made again is no acceptable submission: {told}"
            return None, [Problem(code="reproduce-output", message=message)]


def _died(ran: Ran) -> Problem:
    why = "its memory was spent" if ran.killed_for_memory else "it ended the process that watched it, or outlived it"
    return Problem(code="reproduce-died", message=f"the policy's container came to no proper end: {why}")


def _trace_problems(report: Report) -> Iterator[Problem]:
    if report.forged:
        message = f"the policy wrote {report.forged} lines into the pipe of the process that watches it"
        yield Problem(code="reproduce-trace", message=message)


def _no_output(report: Report, most: int) -> Problem:
    what = {
        "missing": "wrote nothing to the file that --out names",
        "no-file": "left something else than a plain file where --out says (a link, a folder, a pipe)",
        "too-large": f"wrote more than the {most} bytes that a submission may have",
    }[report.output]
    return Problem(code="reproduce-output", message=f"the policy {what}")
