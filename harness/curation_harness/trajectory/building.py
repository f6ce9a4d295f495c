"""Makes a run's trajectory from its record alone: model traffic, events, the agent program's own log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from curation_harness.record import files
from curation_harness.record.exchanges import ExchangeEntry, ExchangeLog
from curation_harness.record.store import RunRecord, read
from curation_harness.trajectory import bounds
from curation_harness.trajectory.atif import (
    AgentInfo,
    FinalMetrics,
    Observation,
    Result,
    Step,
    SubagentRef,
    ToolCall,
    Trajectory,
)
from curation_harness.trajectory.conversations import Conversations, Thread
from curation_harness.trajectory.drafts import Draft
from curation_harness.trajectory.happenings import happenings
from curation_plugins.api import Agent

FILE: Final = "trajectory.json"
MAX_STEPS: Final = 20_000
"""Steps kept of one conversation."""
ROOM: Final = 64 * 2**20
"""Characters of a run's texts and arguments that are kept at full length; what comes after is cut short."""
SHORT: Final = 300
"""Characters kept of a text then."""


def build(record: RunRecord, agent: Agent | None) -> Trajectory:
    """The trajectory of a run, finished or not.

    ``agent`` reads the program's own log, by which sub-agents get their names; without it they are numbered.

    Raises:
        RecordInvalid: the list of events or of exchanges is damaged. Nothing that the agent or the model wrote
            raises anything.
    """
    log = ExchangeLog(record.folder)
    found = Conversations(log, _names(record, agent))
    for entry in log.entries():
        if entry.kind == "generate":
            found.take(entry)
    for number, thread in enumerate(found.subagents, start=1):
        if thread.parent is not None:
            draft, call_id = thread.parent
            draft.subagents[call_id] = _subagent_id(record, number)
    found.main.drafts += happenings(record)
    return _Writer(record).trajectory(found)


def write(record: RunRecord, agent: Agent | None) -> Path:
    """Write ``trajectory.json`` into the run's folder, whole or not at all.

    Raises:
        RecordInvalid: see ``build``. OSError: the folder cannot be written.
    """
    path = record.folder / FILE
    files.write(path, build(record, agent).model_dump_json(indent=1, exclude_none=True).encode() + b"\n")
    return path


def load(record: RunRecord) -> Trajectory | None:
    """The written trajectory; None if there is none.

    Raises:
        RecordInvalid: it was changed or damaged.
    """
    path = record.folder / FILE
    return read(path, Trajectory) if path.exists() else None


def _names(record: RunRecord, agent: Agent | None) -> dict[str, str]:
    """Sub-agent names by ids of replies and calls, from the logs of all turns."""
    names: dict[str, str] = {}
    if agent is None:
        return names
    for folder in sorted((record.folder / "native").glob("turn-*")):
        try:
            found = agent.threads(folder)
            names |= {bounds.name(key): bounds.name(name) for key, name in found.items() if key and name}
        except Exception:  # a plugin that stumbles over a hostile log costs names, not the trajectory
            continue
    return names


def _subagent_id(record: RunRecord, number: int) -> str:
    return f"{record.spec.run_id}/sub-agent-{number}"


class _Writer:
    """Turns drafts into steps and keeps what they hold within ``ROOM``."""

    def __init__(self, record: RunRecord) -> None:
        self._record = record
        self._room = ROOM

    def trajectory(self, found: Conversations) -> Trajectory:
        main, steps = found.main, self._steps(found.main)
        subagents = tuple(self._subagent(number, thread) for number, thread in enumerate(found.subagents, start=1))
        entries = [*main.entries, *found.side, *(entry for thread in found.subagents for entry in thread.entries)]
        return Trajectory(
            session_id=self._record.spec.run_id,
            trajectory_id=f"{self._record.spec.run_id}/main",
            agent=self._agent(self._record.spec.agent.name),
            steps=steps,
            notes=_notes(found),
            final_metrics=_sums(
                entries,
                len(steps),
                {
                    "requests": len(entries),
                    "requests_not_counted": {**found.not_counted},
                    "subagent_requests": sum(len(thread.entries) for thread in found.subagents),
                    "side_requests": len(found.side),
                    "side_tokens": sum(entry.tokens for entry in found.side),
                },
            ),
            extra={"task": self._record.spec.task.name, "scaffold": self._record.spec.scaffold.name},
            subagent_trajectories=subagents or None,
        )

    def _subagent(self, number: int, thread: Thread) -> Trajectory:
        steps = self._steps(thread)
        return Trajectory(
            session_id=self._record.spec.run_id,
            trajectory_id=_subagent_id(self._record, number),
            agent=self._agent(thread.name or f"sub-agent {number}"),
            steps=steps,
            final_metrics=_sums(thread.entries, len(steps), {"requests": len(thread.entries)}),
        )

    def _agent(self, name: str) -> AgentInfo:
        spec = self._record.spec
        model = spec.model
        return AgentInfo(
            name=name,
            version=spec.agent.version,
            model_name=f"{model.provider}/{model.name}" if model else None,
            extra={"distribution": spec.agent.distribution, "image": spec.image.digest},
        )

    def _steps(self, thread: Thread) -> tuple[Step, ...]:
        drafts = sorted(thread.drafts, key=lambda draft: draft.at)
        if not drafts:
            drafts = [Draft(at=0.0, source="system", message="Nothing happened yet.")]
        if len(drafts) > MAX_STEPS:
            left = len(drafts) - MAX_STEPS
            drafts = drafts[:MAX_STEPS]
            drafts.append(Draft(drafts[-1].at, "system", f"{left} more steps are in the record only."))
        return tuple(self._step(number, draft) for number, draft in enumerate(drafts, start=1))

    def _step(self, number: int, draft: Draft) -> Step:
        calls = self._calls(draft)
        return Step(
            step_id=number,
            timestamp=_moment(draft.at),
            source=draft.source,
            message=self._text(draft.message),
            model_name=draft.model,
            reasoning_content=self._text(draft.reasoning) or None,
            tool_calls=calls or None,
            observation=self._observation(draft, calls),
            metrics=draft.metrics,
            is_copied_context=draft.copied or None,
            llm_call_count=draft.llm_calls,
            extra=draft.extra or None,
        )

    def _calls(self, draft: Draft) -> tuple[ToolCall, ...]:
        calls: dict[str, ToolCall] = {}
        for call in draft.calls:
            call_id = call.id if call.id and call.id not in calls else f"{call.id}#{len(calls)}"  # unique in a step
            arguments = self._arguments(call.arguments)
            calls[call_id] = ToolCall(tool_call_id=call_id, function_name=call.name or "unnamed", arguments=arguments)
        return tuple(calls.values())

    def _observation(self, draft: Draft, calls: Sequence[ToolCall]) -> Observation | None:
        results = [
            Result(
                source_call_id=call.tool_call_id,
                content=self._text(draft.results[call.tool_call_id]) if call.tool_call_id in draft.results else None,
                subagent_trajectory_ref=_reference(draft, call.tool_call_id),
            )
            for call in calls
            if call.tool_call_id in draft.results or call.tool_call_id in draft.subagents
        ]
        if draft.lost_result is not None:
            results.append(Result(content=self._text(draft.lost_result)))
        return Observation(results=tuple(results)) if results else None

    def _text(self, text: str) -> str:
        kept = bounds.text(text, bounds.TEXT + 100 if self._room > 0 else SHORT)
        self._room -= len(kept)
        return kept

    def _arguments(self, arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
        self._room -= sum(len(each) if isinstance(each, str) else 8 for each in arguments.values())
        if self._room > 0:
            return arguments
        return {name: bounds.text(each, SHORT) for name, each in arguments.items() if isinstance(each, str)}


def _reference(draft: Draft, call_id: str) -> tuple[SubagentRef, ...] | None:
    found = draft.subagents.get(call_id)
    return (SubagentRef(trajectory_id=found),) if found is not None else None


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC).isoformat(timespec="milliseconds")


def _sums(entries: Sequence[ExchangeEntry], steps: int, extra: dict[str, JsonValue]) -> FinalMetrics:
    usages = [entry.usage for entry in entries if entry.usage is not None]
    dollars = [entry.dollars for entry in entries if entry.dollars is not None]
    extra["reasoning_tokens"] = sum(usage.reasoning for usage in usages)
    return FinalMetrics(
        total_prompt_tokens=sum(usage.input for usage in usages),
        total_completion_tokens=sum(usage.output for usage in usages),
        total_cached_tokens=sum(usage.cache_read for usage in usages),
        total_cost_usd=sum(dollars) if dollars else None,
        total_steps=steps,
        extra=extra,
    )


def _notes(found: Conversations) -> str:
    parts = ["Made by curation-harness from the model gateway's record and the run's events."]
    if found.subagents or found.side:
        parts.append(
            f"The sums of final_metrics hold {len(found.subagents)} sub-agent(s) and {len(found.side)} side"
            " request(s) (titles, summaries) besides these steps; total_steps counts this conversation's steps only."
        )
    parts.append("Submissions and what came of them are system steps; their extra.event names the kind.")
    return " ".join(parts)
