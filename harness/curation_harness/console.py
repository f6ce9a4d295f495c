"""What a run looks like while it runs: a live line on a terminal, plain lines in a pipe, silence with ``--json``."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from curation_harness.record.events import Event
from curation_harness.report.plain import one_line
from curation_harness.watcher import Watcher

QUIET_SECONDS = 15.0
"""In a pipe, the least time between two lines of progress of the same piece of work."""
PIPE_WIDTH = 1000
"""Columns of a table in a pipe: nothing is wrapped, so that a row is a line and ``grep`` finds it."""


def stdout() -> Console:
    """For tables on stdout: fitted to the terminal, unwrapped in a pipe."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


class ConsoleWatcher(Watcher):
    """Prints a run's progress to stderr. A context manager; called from several threads."""

    def __init__(self, console: Console, *, show_agent: bool = True) -> None:
        self._console = console
        self._show_agent = show_agent
        self._lock = threading.Lock()
        self._live = console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._task: TaskID | None = None
        self._last: tuple[str, float] = ("", 0.0)

    def __enter__(self) -> ConsoleWatcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, what: str) -> None:
        with self._lock:
            self._say(Text(what, style="bold"))

    def progress(self, what: str, done: float) -> None:
        what = one_line(what, 100)
        with self._lock:
            if self._live:
                if self._task is None:
                    self._bar.start()  # only now: an idle bar would redraw over a person's shell
                    self._task = self._bar.add_task(what, total=1.0)
                self._bar.update(self._task, description=what, completed=done, visible=done < 1.0)
                return
            said, when = self._last
            # the phrase often holds a counter: its first words tell whether it is the same work
            key = " ".join(what.split()[:3])
            if key != said or time.monotonic() - when > QUIET_SECONDS:
                self._last = (key, time.monotonic())
                self._say(Text(f"  {what} ({done:.0%})"))

    def event(self, event: Event) -> None:
        told = _TELL.get(event.kind)
        if told is None:
            return
        with self._lock:
            self._drop_bar()
            self._say(Text(told(event)))

    def agent_says(self, text: str) -> None:
        if not self._show_agent:
            return
        with self._lock:
            for line in text.splitlines()[:8] or [""]:
                self._say(Text(f"  agent │ {one_line(line, 200, keep_spaces=True)}", style="dim"))

    def _drop_bar(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._bar.stop()
            self._task = None

    def _say(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)


def _scored(event: Event) -> str:
    return f"attempt {event.data['n']} scored {event.data['mean']:.4f} on public items"


def _started(event: Event) -> str:
    turn = event.data.get("turn", 1)
    return "the agent's container runs" if turn == 1 else f"the agent's container runs (turn {turn})"


def _failed(event: Event) -> str:
    refund = "refunded" if event.data["refunded"] else "not refunded: the refund budget is spent"
    return f"attempt {event.data['n']}: the harness failed ({event.data['failure']}), {refund}"


_TELL: dict[str, Callable[[Event], str]] = {
    "created": lambda event: "run created",
    "agent-started": _started,
    "agent-idle": lambda event: f"nothing was heard of the agent for {event.data['seconds']:.0f} s; it is ended",
    "agent-lingers": lambda event: "the agent's program went on after its last word; it is ended",
    "agent-lost": lambda event: (
        f"the agent's {event.data['what']} went away, no fault of its own: {event.data['error']}"
    ),
    "agent-continued": lambda event: (
        f"the agent is continued; {event.data['iterations_left']} iteration(s) are left ({event.data['why']})"
    ),
    "gateway-error": lambda event: f"the gateway failed on a request: {event.data['error']}",
    "accepted": lambda event: f"attempt {event.data['n']} accepted: {event.data['rows']} rows",
    "refused": lambda event: f"submission refused: {', '.join(event.data['codes'])}",
    "duplicate": lambda event: f"submission is the same as attempt {event.data['attempt']}",
    "attempt-scored": _scored,
    "attempt-failed": _failed,
    "oom-kill": lambda event: f"{event.data['count']} process(es) of the agent killed for memory",
    "done": lambda event: "the agent says it is done",
    "budget-spent": lambda event: f"budget spent: {event.data['budget']}",
    "agent-exited": lambda event: f"the agent's container ended (exit code {event.data['code']})",
    "interrupted": lambda event: "interrupted",
    "headline-started": lambda event: (
        f"scoring the best attempt ({event.data['attempt']}) on sealed items, with fresh seeds"
    ),
    "ended": lambda event: f"the run is {event.data['status']}",
}
