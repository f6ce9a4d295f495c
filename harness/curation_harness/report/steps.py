"""A trajectory in the terminal: what ``harness show --steps`` prints.

Everything an agent or a model wrote goes through ``plain.one_line``, line by line, and is printed as ``Text``, which
knows no markup. ``terminal`` says the same of summaries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from curation_harness.report import wording
from curation_harness.report.plain import one_line
from curation_harness.report.terminal import ascii_text
from curation_harness.trajectory.atif import FinalMetrics, Result, Step, Trajectory

MESSAGE_LINES: Final = 12
PROMPT_LINES: Final = 4
"""Of what the agent's program says to the model, long and the same in every run."""
REASONING_LINES: Final = 4
RESULT_LINES: Final = 10
LINE: Final = 500
"""Columns of a line at most, also in a pipe."""

_EVENT_STYLES: Final = {
    "accepted": "bold cyan",
    "attempt-scored": "bold green",
    "refused": "bold yellow",
    "duplicate": "bold yellow",
    "attempt-failed": "bold red",
}
_STYLES: Final = {"system": "dim", "user": "magenta", "agent": "bold"}


class StepsView:
    """A rich renderable of a trajectory."""

    def __init__(self, trajectory: Trajectory) -> None:
        self.trajectory = trajectory

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(max(20, options.max_width), LINE)
        root = self.trajectory
        yield from _Lines(root, "", width, options.ascii_only).all()
        for subagent in root.subagent_trajectories or ():
            yield Text("")
            yield from _Lines(subagent, "    ", width, options.ascii_only).all()
        if root.notes:
            yield Text("")
            yield Text(one_line(root.notes, 1000, ascii_only=options.ascii_only), style="dim")


class _Lines:
    """The lines of one conversation."""

    def __init__(self, trajectory: Trajectory, indent: str, width: int, ascii_only: bool) -> None:
        self._trajectory = trajectory
        self._indent = indent
        self._width = width
        self._ascii = ascii_only
        self._begin = _seconds(trajectory.steps[0].timestamp) if trajectory.steps else 0.0

    def all(self) -> Iterator[Text]:
        yield self._line(f"{self._trajectory.agent.name} · {self._trajectory.trajectory_id}", "bold")
        for step in self._trajectory.steps:
            yield from self._step(step)
        yield self._line(sums(self._trajectory.final_metrics), "bold")

    def _step(self, step: Step) -> Iterator[Text]:
        passed = wording.duration(max(0.0, _seconds(step.timestamp) - self._begin))
        style = _EVENT_STYLES.get(event_of(step), _STYLES[step.source])
        parts = [f"{step.step_id:>4}", f"+{passed}", who(step), *facts(step)]
        yield self._line("  ".join(parts), style)
        if step.reasoning_content:
            yield from self._block(step.reasoning_content, REASONING_LINES, "      ~ ", "dim italic")
        style = style if event_of(step) else ""
        most = PROMPT_LINES if who(step) in ("system", "program") else MESSAGE_LINES
        yield from self._block(step.message, most, "      ", style)
        results = {result.source_call_id: result for result in step.observation.results} if step.observation else {}
        for call in step.tool_calls or ():
            arguments = json.dumps(call.arguments, ensure_ascii=False)
            yield self._line(f"      > {call.function_name} {arguments}", "cyan")
            result = results.pop(call.tool_call_id, None)
            if result is not None:
                yield from self._result(result)
        for result in results.values():
            yield from self._result(result)

    def _result(self, result: Result) -> Iterator[Text]:
        yield from self._block(result.content or "", RESULT_LINES, "        | ", "dim")
        for reference in result.subagent_trajectory_ref or ():
            yield self._line(f"        = {reference.trajectory_id}", "cyan")

    def _block(self, text: str, most: int, before: str, style: str) -> Iterator[Text]:
        """The first lines of a text."""
        lines = [line for line in text.split("\n", 4 * most)[: 4 * most] if line.strip()]
        for line in lines[:most]:
            yield self._line(before + line, style)
        left = text.count("\n") + 1 - most
        if len(lines) > most:
            yield self._line(f"{before}… {left} more lines", style)

    def _line(self, text: str, style: str) -> Text:
        """One line of anybody's text, cut to the width."""
        text = self._indent + (ascii_text(text) if self._ascii else text)
        # Text counts columns: a line of wide characters is cut where the terminal ends
        line = Text(
            one_line(text, self._width, ascii_only=self._ascii, keep_spaces=True), style=style, no_wrap=True, end="\n"
        )
        line.truncate(self._width, overflow="crop" if self._ascii else "ellipsis")
        return line


def event_of(step: Step) -> str:
    """The kind of the event that a step tells of; empty for what was said."""
    found = (step.extra or {}).get("event")
    return found if isinstance(found, str) else ""


def who(step: Step) -> str:
    extra: Mapping[str, object] = step.extra or {}
    if event_of(step):
        return "submission" if "submission" in extra else "run"
    if extra.get("by_program") is True:
        return "program"
    return step.source


def facts(step: Step) -> list[str]:
    """Tokens, money and what went wrong, in words."""
    found = []
    if step.metrics is not None:
        cached = f" ({step.metrics.cached_tokens:,} cached)" if step.metrics.cached_tokens else ""
        found.append(f"{step.metrics.prompt_tokens:,} in{cached}, {step.metrics.completion_tokens:,} out")
        if step.metrics.cost_usd is not None:
            found.append(f"${step.metrics.cost_usd:.4f}")
    outcome = (step.extra or {}).get("outcome")
    if step.llm_call_count == 1 and isinstance(outcome, str):
        found.append(f"[{outcome}]")
    if step.llm_call_count == 0:
        found.append("copied context" if step.is_copied_context else "not by the model")
    return found


def sums(metrics: FinalMetrics) -> str:
    """``7 steps: 28,000 tokens in (6,300 cached), 35 out, $0.07``."""
    text = f"{metrics.total_steps} steps: {metrics.total_prompt_tokens:,} tokens in"
    if metrics.total_cached_tokens:
        text += f" ({metrics.total_cached_tokens:,} cached)"
    text += f", {metrics.total_completion_tokens:,} out"
    return text if metrics.total_cost_usd is None else f"{text}, ${metrics.total_cost_usd:.4f}"


def _seconds(time: str) -> float:
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return 0.0
