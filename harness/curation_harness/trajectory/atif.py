"""ATIF, the Agent Trajectory Interchange Format: version 1.7 of Harbor's RFC 0001, as far as it is written here.

Own small models and not those of ``harbor`` or ``nvidia-nat-atif``, which would be a dependency of every run for the
sake of one file; the tests validate what is written with the latter's.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import JsonValue

from curation_harness.record.entry import Entry

VERSION: Final = "ATIF-v1.7"
Extra = dict[str, JsonValue]


class ToolCall(Entry):
    tool_call_id: str
    function_name: str
    arguments: dict[str, JsonValue]
    """Arguments that are no JSON object stand under ``raw``."""


class SubagentRef(Entry):
    """Names one of the root's ``subagent_trajectories``."""

    trajectory_id: str


class Result(Entry):
    """What came of a tool call."""

    source_call_id: str | None = None
    """A tool call of the same step."""
    content: str | None = None
    subagent_trajectory_ref: tuple[SubagentRef, ...] | None = None


class Observation(Entry):
    results: tuple[Result, ...]


class Metrics(Entry):
    """Of one request to the model."""

    prompt_tokens: int
    """Cached ones included."""
    completion_tokens: int
    """Reasoning included."""
    cached_tokens: int
    """Of the prompt's, read from a cache."""
    cost_usd: float | None = None
    extra: Extra | None = None
    """``reasoning_tokens``, ``cache_write_tokens``."""


class Step(Entry):
    step_id: int
    """1, 2, 3 …"""
    timestamp: str
    """ISO 8601, UTC: when a request came in, a reply was through, an event happened."""
    source: Literal["system", "user", "agent"]
    message: str
    model_name: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    observation: Observation | None = None
    metrics: Metrics | None = None
    is_copied_context: bool | None = None
    llm_call_count: int | None = None
    """1 for a reply of the model; 0 for words that the agent's program put into its mouth."""
    extra: Extra | None = None
    """``exchange``, ``turn``, ``outcome`` of a reply; ``event`` and its data of what the harness saw."""


class AgentInfo(Entry):
    name: str
    version: str
    model_name: str | None = None
    extra: Extra | None = None


class FinalMetrics(Entry):
    """Sums; those of the root hold its sub-agents and side requests too, as its notes say."""

    total_prompt_tokens: int
    total_completion_tokens: int
    total_cached_tokens: int
    total_cost_usd: float | None = None
    total_steps: int
    extra: Extra | None = None


class Trajectory(Entry):
    """``trajectory.json``."""

    schema_version: Literal["ATIF-v1.7"] = VERSION
    session_id: str | None = None
    trajectory_id: str
    agent: AgentInfo
    steps: tuple[Step, ...]
    notes: str | None = None
    final_metrics: FinalMetrics
    extra: Extra | None = None
    subagent_trajectories: tuple[Trajectory, ...] | None = None
