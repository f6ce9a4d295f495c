"""Steps in the making: results of a tool call come later than the call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from curation_harness.record.exchanges import ExchangeEntry
from curation_harness.trajectory.atif import Metrics
from curation_harness.trajectory.dialogue import Call, Item, Reply

CALLS = 200
"""Tool calls kept of one reply."""


@dataclass(eq=False)
class Draft:
    at: float
    """Unix time."""
    source: Literal["system", "user", "agent"]
    message: str
    model: str | None = None
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    results: dict[str, str] = field(default_factory=dict)
    """By the id of the call."""
    lost_result: str | None = None
    """The result of a call that no step has."""
    metrics: Metrics | None = None
    llm_calls: int | None = None
    copied: bool = False
    extra: dict[str, JsonValue] = field(default_factory=dict)
    refusal: tuple[str, str] | None = None
    times: int = 1
    """Refusals in a row that this step stands for."""
    subagents: dict[str, str] = field(default_factory=dict)
    """Trajectory id of the sub-agent that a call began, by the call's id."""

    def repeat(self) -> None:
        """One more that is the same."""
        self.times += 1
        self.extra["times"] = self.times

    def longest_argument(self, call_id: str) -> str:
        arguments = next((call.arguments for call in self.calls if call.id == call_id), {})
        return max(_strings(arguments), key=len, default="")


def _strings(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def of_reply(entry: ExchangeEntry, reply: Reply) -> Draft:
    """The model's reply."""
    extra: dict[str, JsonValue] = {"exchange": entry.id, "turn": entry.turn}
    if entry.outcome != "ok":
        extra |= {"outcome": entry.outcome, "reason": entry.reason}
    if reply.stop:
        extra["stop_reason"] = reply.stop
    if reply.error:
        extra["error"] = reply.error
    if len(reply.calls) > CALLS:
        extra["tool_calls_left_out"] = len(reply.calls) - CALLS
    return Draft(
        at=entry.began + entry.seconds,
        source="agent",
        message="\n\n".join(reply.texts),
        model=entry.model,
        reasoning=reply.reasoning,
        calls=reply.calls[:CALLS],
        metrics=metrics_of(entry),
        llm_calls=1,
        extra=extra,
    )


def metrics_of(entry: ExchangeEntry) -> Metrics | None:
    if entry.usage is None:
        return None
    return Metrics(
        prompt_tokens=entry.usage.input,
        completion_tokens=entry.usage.output,
        cached_tokens=entry.usage.cache_read,
        cost_usd=entry.dollars,
        extra={"reasoning_tokens": entry.usage.reasoning, "cache_write_tokens": entry.usage.cache_write},
    )


_NO_REPLY = {
    "refused": "The gateway refused a request to the model",
    "budget": "A spent budget ended a request to the model",
    "provider-error": "The provider failed on a request to the model",
    "cut": "The provider's reply broke off before a word of it",
    "client-gone": "The agent's program hung up before a reply",
    "ours": "The gateway failed on a request to the model",
    "ok": "The provider answered a request to the model with an error",
}


def no_reply(entry: ExchangeEntry, reply: Reply, before: str) -> Draft:
    """A request that brought no reply."""
    why = ": ".join(part for part in (_NO_REPLY[entry.outcome], entry.reason, reply.error) if part)
    return Draft(
        at=entry.began + entry.seconds,
        source="system",
        message=f"{before}{why} (status {entry.status}).",
        extra={"exchange": entry.id, "turn": entry.turn, "outcome": entry.outcome},
    )


def more_refusals(entry: ExchangeEntry) -> Draft:
    """All requests without a reply from here on, each with another reason."""
    return Draft(
        at=entry.began + entry.seconds,
        source="system",
        message="More requests to the model were refused or given up; they are in the record only.",
        extra={"exchange": entry.id, "turn": entry.turn, "outcome": entry.outcome},
    )


def agent_draft(item: Item, entry: ExchangeEntry, copied: bool) -> Draft:
    """Words or a call of the model in a request that no recorded reply of this conversation holds."""
    return Draft(
        at=entry.began,
        source="agent",
        message=item.text,
        calls=(item.call,) if item.call is not None else (),
        llm_calls=0,
        copied=copied,
        extra={"exchange": entry.id, "turn": entry.turn},
    )


def result_draft(item: Item, entry: ExchangeEntry) -> Draft:
    return Draft(
        at=entry.began,
        source="system",
        message="The result of a tool call that no recorded reply holds.",
        lost_result=item.text,
        extra={"exchange": entry.id, "turn": entry.turn},
    )
