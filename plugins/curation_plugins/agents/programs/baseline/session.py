"""One run from the agent's side: choose what can be tried, submit, wait, read the score, go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from . import plan, policy
from .curate import Curate, CurateFailed, Reply
from .journal import Entry, Journal, begun, ended
from .selection.method import Method, draw
from .selection.pair_files import PoolUnreadable
from .selection.pool import NAMES, Need, Pool

IN_VAIN = 3
"""Steps in a row without an attempt after which the program gives up."""


ASKED = 20_000
"""Rows up to which a host signal is asked for over the whole pool."""


class Session:
    """Everything the program knows while it runs.

    Args:
        curate: the way to the host.
        pool: folder of the pool.
        workspace: folder for policies and selections.
        journal: what was tried so far, by an earlier process too.
        extra: folder with further tables of the user's, if any.

    Raises:
        PoolUnreadable: the pool's files are of no kind that is known here.
    """

    def __init__(
        self, curate: Curate, pool: Path, workspace: Path, journal: Journal, extra: Path | None = None
    ) -> None:
        self._curate = curate
        self._pool_folder = pool
        self._workspace = workspace
        self._task = curate.task()
        self._tables = () if extra is None else (extra,)
        self._pool = Pool(pool, *self._tables)
        self._own = Pool(pool).names if extra is not None else self._pool.names
        if self._pool.size != self._task["pool_rows"]:
            found = f"{self._pool.size} rows were found in {pool}"
            raise PoolUnreadable(f"{found}, and the task says {self._task['pool_rows']}")
        self._history = workspace / "history"
        self._journal = journal

    def run(self, only: str | None) -> None:
        """Work through the plan until it is at its end or no iteration is left."""
        every = plan.methods_for(self._pool.is_pairs) if only is None else plan.EVERY
        methods = [method for method in every if only in (None, method.name) and self._takes(method)]
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
        order = plan.FIRST_OF_PAIRS if self._pool.is_pairs else plan.FIRST_CHOICE
        return plan.steps(methods, int(self._task["iterations"]), seed, order)

    def _takes(self, method: Method) -> bool:
        """Whether the task takes what the method hands in."""
        kind = str(self._task["kind"])
        if method.rewrite is None or kind == "records":
            return True
        say(f"leaving out {method.name}: it hands in records, and the task takes {kind}")
        return False

    def _usable(self, methods: Sequence[Method]) -> list[Method]:
        """The methods whose needs the pool meets, or the host can."""
        usable = []
        for method in methods:
            if self._pool.size > plan.LARGE and not method.large:  # first: to look for its needs may take long, too
                say(f"leaving out {method.name}: it would take too long on {self._pool.size} rows")
                continue
            missing = [need for need in method.needs if not self._pool.has(need) and self._offered(need) is None]
            if missing:
                say(f"leaving out {method.name}: the pool has no {' and no '.join(missing)}")
            else:
                usable.append(method)
        return usable

    def _offered(self, need: Need) -> str | None:
        """The host's signal that meets a need."""
        names = [str(signal["name"]) for signal in self._task["signals"]]
        return next((name for name in names if name.lower().replace("-", "_") in NAMES.get(need, ())), None)

    def _ask_signals(self, method: Method) -> None:
        """Get what the pool lacks for a method as signals of the host.

        Over all rows; of a large pool over a random part, as many as the host can measure in reasonable time.

        Raises:
            CurateFailed: the host gave none.
        """
        for need in method.needs:
            name = None if self._pool.has(need) else self._offered(need)
            if name is None:
                continue
            rng = np.random.default_rng(int(self._task["seed"]))
            asked = np.sort(draw(self._pool.ids, max(ASKED, 4 * int(self._task["rows_max"])), rng))
            rows = self._workspace / "asked-rows.txt"
            rows.write_text("".join(f"{row}\n" for row in asked))
            say(f"asking the host for the signal {name} over {len(asked)} rows")
            self._curate.signal(name, rows)
            self._curate.save_history(self._history)
            self._pool = Pool(self._pool_folder, *self._tables, history=self._history)

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
        out = self._workspace / f"{name}{'.npy' if self._pool.is_pairs else '.txt'}"
        try:
            self._ask_signals(step.method)
        except CurateFailed as failure:
            if failure.code == "run-over":
                raise
            entry = begun(step, "skipped", 0, None, f"no signal: {failure}")
            self._journal.add(entry)
            say(f"{name}: {entry.outcome}: {entry.remark}")
            return entry
        count = plan.budget(step.method, self._pool.is_pairs, self._pool.size, int(self._task["rows_max"]))
        beside = policy.beside(step.method, self._pool, self._own)
        policy.write(folder, step, count, int(self._task["seed"]), *beside)
        say(f"{name}: {step.method.summary} [{step.method.citation}]")
        try:
            history = self._history if self._history.is_dir() else None
            chosen = policy.run(folder, self._pool_folder, out, history)
        except policy.PolicyFailed as failure:
            entry = begun(step, "skipped", 0, None, str(failure))
        else:
            say(f"{name}: {chosen} of {self._pool.size} rows; submitting")
            note = f"{step.method.summary}. {step.method.citation}. {dict(step.parameters)}"
            entry = _answered(step, chosen, self._curate.submit(out, folder, note))
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
