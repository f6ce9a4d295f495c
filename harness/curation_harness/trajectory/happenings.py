"""What the harness saw of a run, as steps: submissions and their scores, turns, spent budgets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from curation_harness.record.events import Event
from curation_harness.record.models import AttemptResult
from curation_harness.record.store import RunRecord
from curation_harness.trajectory import bounds
from curation_harness.trajectory.drafts import Draft

SUBMISSIONS = frozenset({"accepted", "refused", "duplicate", "attempt-scored", "attempt-failed"})
"""Events of submissions and what came of them."""


def happenings(record: RunRecord) -> Iterator[Draft]:
    """Steps of the events that concern the agent, in order. Nothing of a sealed score is in them."""
    for event in record.events.all():
        told = _TOLD.get(event.kind)
        if told is None:
            continue
        draft = Draft(
            at=_seconds(event.time),
            source="system",
            message=told(event, record),
            extra={"event": event.kind, "seq": event.seq},
        )
        data = bounds.plain(event.data)
        if data:
            draft.extra["submission" if event.kind in SUBMISSIONS else "data"] = data
        yield draft


def _seconds(time: str) -> float:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _accepted(event: Event, record: RunRecord) -> str:
    return f"Submission accepted as attempt {event.data.get('n')}: {event.data.get('rows')} rows."


def _refused(event: Event, record: RunRecord) -> str:
    n, codes = event.data.get("n"), event.data.get("codes")
    problems = next((refusal.problems for refusal in record.refusals() if refusal.n == n), ())
    first = f" First: {bounds.text(problems[0].message, 500)}" if problems else ""
    return f"Submission refused ({', '.join(map(str, codes)) if isinstance(codes, list) else codes}).{first}"


def _duplicate(event: Event, record: RunRecord) -> str:
    return f"Submission is the same as attempt {event.data.get('attempt')}; its recorded result was given."


def _result(event: Event, record: RunRecord) -> AttemptResult | None:
    n = event.data.get("n")
    return record.result(n) if isinstance(n, int) else None


def _scored(event: Event, record: RunRecord) -> str:
    result = _result(event, record)
    mean, n = event.data.get("mean"), event.data.get("n")
    score = f"{mean:.4f}" if isinstance(mean, float) else str(mean)
    if result is not None and result.public is not None:
        score += f" ± {result.public.stderr:.4f} (n = {result.public.n})"
    return f"Attempt {n} scored {score} on public items."


def _failed(event: Event, record: RunRecord) -> str:
    back = "given back" if event.data.get("refunded") else "not given back"
    return f"The harness failed on attempt {event.data.get('n')}; the iteration was {back}."


def _plain(text: str) -> Callable[[Event, RunRecord], str]:
    return lambda event, record: text


_TOLD: dict[str, Callable[[Event, RunRecord], str]] = {
    "agent-started": lambda event, _: f"Turn {event.data.get('turn', 1)} of the agent begins.",
    "agent-continued": lambda event, _: (
        f"The agent stopped with {event.data.get('iterations_left')} iteration(s) left and is continued."
    ),
    "agent-lost": lambda event, _: f"The agent's {event.data.get('what')} went away, no fault of its own.",
    "agent-idle": lambda event, _: "Nothing was heard of the agent for a long time; it is ended.",
    "agent-lingers": _plain("The agent's program went on after its last word; it is ended."),
    "agent-exited": lambda event, _: f"The agent's container ended (exit code {event.data.get('code')}).",
    "agent-over": _plain("The agent's part of the run is over."),
    "accepted": _accepted,
    "refused": _refused,
    "duplicate": _duplicate,
    "attempt-scored": _scored,
    "attempt-failed": _failed,
    "signal": lambda event, _: f"Signal {event.data.get('name')} computed over {event.data.get('rows')} rows.",
    "oom-kill": lambda event, _: f"{event.data.get('count')} process(es) of the agent were killed for memory.",
    "done": _plain("The agent said that it is done (`curate done`)."),
    "budget-spent": lambda event, _: f"Budget spent: {event.data.get('budget')}.",
    "interrupted": _plain("The run was interrupted."),
    "resumed": _plain("The run was resumed."),
}
