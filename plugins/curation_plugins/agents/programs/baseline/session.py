"""One run from the agent's side: choose what can be tried, submit, wait, read the score, go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from . import plan, policy
from .curate import Curate, CurateFailed, Reply
from .journal import Entry, Journal, begun, ended
from .selection import tables
from .selection.method import Method
from .selection.pool import NAMES, Need, Pool

IN_VAIN = 3
"""Steps in a row without an attempt after which the program gives up."""


class PoolUnreadable(Exception):
    """The pool's rows could not be told from its files."""


class Session:
    """Everything the program knows while it runs.

    Args:
        curate: the way to the host.
        pool: folder of the pool.
        workspace: folder for policies and selections.
        journal: what was tried so far, by an earlier process too.

    Raises:
        PoolUnreadable: the pool's files are of no kind that is known here.
    """

    def __init__(self, curate: Curate, pool: Path, workspace: Path, journal: Journal) -> None:
        self._curate = curate
        self._pool_folder = pool
        self._workspace = workspace
        self._task = curate.task()
        self._pool = Pool(pool)
        if self._pool.size != self._task["pool_rows"]:
            found = f"{self._pool.size} rows were found in {pool}"
            raise PoolUnreadable(f"{found}, and the task says {self._task['pool_rows']}")
        self._signals: dict[str, tables.Column] = {}
        self._journal = journal

    def run(self, only: str | None) -> None:
        """Work through the plan until it is at its end or no iteration is left."""
        methods = [method for method in plan.METHODS if only in (None, method.name)]
        steps = self._plan(self._usable(methods), repeat=only is not None)
        in_vain = 0
        for step in steps:
            try:
                if self._journal.get(step) is None and not self._open():
                    say("nothing more can be submitted in this run")
                    return
                in_vain = in_vain + 1 if self._take(step).in_vain else 0
            except CurateFailed as failure:
                say(str(failure))
                if failure.over:
                    return
                in_vain += 1
            if in_vain >= IN_VAIN:
                say(f"giving up after {IN_VAIN} steps in a row that made no attempt")
                return
        say("the plan is at its end")
        self._curate.done()

    def _plan(self, methods: Sequence[Method], repeat: bool) -> Iterator[plan.Step]:
        seed = int(self._task["seed"])
        if repeat:
            return (step for method in methods for step in plan.repeats(method, seed))
        return plan.steps(methods, int(self._task["iterations"]), seed)

    def _usable(self, methods: Sequence[Method]) -> list[Method]:
        """The methods whose needs the pool meets, after asking the host for what it lacks."""
        for need in sorted({need for method in methods for need in method.needs}):
            if not self._pool.has(need):
                self._ask_signal(need)
        usable = []
        for method in methods:
            missing = [need for need in method.needs if not self._pool.has(need)]
            if missing:
                say(f"leaving out {method.name}: the pool has no {' and no '.join(missing)}")
            else:
                usable.append(method)
        return usable

    def _ask_signal(self, need: Need) -> None:
        """Get what the pool lacks as a signal of the host over all rows, if the task offers one."""
        offered = [str(signal["name"]) for signal in self._task["signals"]]
        known = [name for name in offered if name.lower().replace("-", "_") in NAMES.get(need, ())]
        if not known:
            return
        rows = self._workspace / "all-rows.txt"
        rows.write_text("".join(f"{row}\n" for row in range(self._pool.size)))
        say(f"asking the host for the signal {known[0]} over {self._pool.size} rows")
        try:
            values = self._curate.signal(known[0], rows)
        except CurateFailed as failure:
            say(f"no signal {known[0]}: {failure}")
            return
        self._signals[known[0]] = tables.from_values(values)
        folder = self._workspace / policy.SIGNALS
        folder.mkdir(exist_ok=True)
        tables.write_archive(folder / "signals.npz", self._signals)
        self._pool = Pool(self._pool_folder, folder)

    def _open(self) -> bool:
        status = self._curate.status()
        return status["state"] != "over" and iterations_left(status) > 0

    def _take(self, step: plan.Step) -> Entry:
        """Carry out one step, or take up where an earlier process left it."""
        entry = self._journal.get(step) or self._submit(step)
        if entry.attempt is not None and entry.outcome == "submitted":
            view = self._curate.wait(entry.attempt)
            entry = ended(entry, view)
            self._journal.add(entry)
            say(_told(entry, view))
        return entry

    def _submit(self, step: plan.Step) -> Entry:
        name = f"{step.number:02d}-{step.method.name}"
        folder = self._workspace / "policies" / name
        rows = self._workspace / f"{name}.txt"
        policy.write(folder, step, int(self._task["rows_max"]), self._signals)
        say(f"{name}: {step.method.summary} [{step.method.citation}]")
        try:
            chosen = policy.run(folder, self._pool_folder, rows)
        except policy.PolicyFailed as failure:
            entry = begun(step, "skipped", 0, None, str(failure))
        else:
            say(f"{name}: {chosen} of {self._pool.size} rows; submitting")
            note = f"{step.method.summary}. {step.method.citation}. {dict(step.parameters)}"
            entry = _answered(step, chosen, self._curate.submit(rows, folder, note))
        self._journal.add(entry)
        if entry.in_vain:
            say(f"{name}: {entry.outcome}: {entry.remark}")
        return entry


def say(text: str) -> None:
    print(text, flush=True)


def iterations_left(status: Reply) -> float:
    """What the ledger has left of iterations; without such a line there is no limit."""
    for budget in status["budgets"]:
        if budget["name"] == "iterations" and budget["limit"] is not None:
            left = budget["limit"] - budget["spent"] + budget.get("refunded", 0.0)
            return float(left)
    return float("inf")


def _answered(step: plan.Step, chosen: int, reply: Reply) -> Entry:
    if reply["outcome"] == "refused":
        reasons = "; ".join(problem["message"] for problem in reply["problems"])
        return begun(step, "refused", chosen, None, reasons)
    outcome = "repeated" if reply["outcome"] == "duplicate" else "submitted"
    return begun(step, outcome, chosen, int(reply["attempt"]))


def _told(entry: Entry, view: Reply) -> str:
    if entry.mean is None:
        return f"attempt {entry.attempt} failed on the host's side: {entry.remark}; going on"
    return f"attempt {entry.attempt}: {entry.mean:.4f} ± {entry.stderr:.4f}. " + str(view["feedback"]["message"])
