"""What a scripted model does, move by move, and which move a conversation has come to.

The place in the script is read from the conversation itself: a tool call's id names the move it came from, and a
text is found again among the script's texts. So a program that is killed and resumed, or that sends a request
twice, goes on where its own history stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True)
class Say:
    """A text and no tool call, which ends the agent's turn."""

    text: str


@dataclass(frozen=True)
class Run:
    """One call of the program's own shell tool. If the tool answers that the command is still running, it is waited
    for, as a model would; the script goes on when it is over."""

    command: str
    seconds: float | None = None
    """The time limit to ask the tool for; None: whatever the tool does by itself."""
    say: str = ""
    """Text before the call."""
    until: str | None = None
    """The same call again and again until its output holds this text."""


@dataclass(frozen=True)
class Call:
    """One call of a tool by its name."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    say: str = ""


@dataclass(frozen=True)
class Think:
    """Reasoning in front of the next move's text or call."""

    text: str


@dataclass(frozen=True)
class Fail:
    """The next move is an error first."""

    status: int
    """0: the connection is reset without an answer."""
    retry_after: float | None = None
    times: int | None = 1
    """So many times; None: always."""


@dataclass(frozen=True)
class Cut:
    """The next move's reply breaks off."""

    after_events: int = 2
    """So many events of the stream; a reply that is not streamed is cut in the middle."""
    times: int | None = 1


@dataclass(frozen=True)
class Slow:
    """The next move's reply takes its time."""

    seconds: float
    """Before the first byte."""
    each: float = 0.0
    """Before each event."""


Turn = Say | Run | Call
Move = Turn | Think | Fail | Cut | Slow
MOVES: Final = {kind.__name__: kind for kind in (Say, Run, Call, Think, Fail, Cut, Slow)}
END: Final = Say("done")
"""What comes after the last move, however often it is asked."""


@dataclass(frozen=True)
class Step:
    """One turn of the script with what was said of it."""

    turn: Turn
    think: str = ""
    fails: tuple[Fail, ...] = ()
    cuts: tuple[Cut, ...] = ()
    slow: Slow | None = None


@dataclass(frozen=True)
class Script:
    """The moves of the main conversation, and of others that a sub-agent leads."""

    moves: Sequence[Move]
    threads: Mapping[str, Sequence[Move]] = field(default_factory=dict)
    """Text that is in a conversation's opening → its moves. The main conversation is what holds none of them."""

    def thread(self, opening: str) -> int:
        """0: the main conversation; others by their place in ``threads``."""
        return next((n for n, text in enumerate(self.threads, start=1) if text in opening), 0)

    def steps(self, thread: int) -> list[Step]:
        return steps([self.moves, *self.threads.values()][thread])


def steps(moves: Iterable[Move]) -> list[Step]:
    """Each turn with the moves that stand before it."""
    found: list[Step] = []
    before: list[Move] = []
    for move in moves:
        if not isinstance(move, Say | Run | Call):
            before.append(move)
            continue
        found.append(
            Step(
                turn=move,
                think="".join(each.text for each in before if isinstance(each, Think)),
                fails=tuple(each for each in before if isinstance(each, Fail)),
                cuts=tuple(each for each in before if isinstance(each, Cut)),
                slow=next((each for each in before if isinstance(each, Slow)), None),
            )
        )
        before = []
    assert not before, f"{before} stand before no turn"
    return found


def read_script(text: str) -> Script:
    """A script as JSON: ``[{"move": "Run", "command": "ls"}, {"move": "Say", "text": "done"}]``."""
    return Script([MOVES[entry.pop("move")](**entry) for entry in json.loads(text)])


# ---------------------------------------------------------------- the conversation so far


@dataclass(frozen=True)
class Past:
    """One assistant turn of a request's history."""

    calls: tuple[str, ...]
    """Ids of its tool calls."""
    text: str
    results: str
    """What its tools answered, put together."""


@dataclass(frozen=True)
class Conversation:
    """A request, whatever wire it came in."""

    model: str
    stream: bool
    opening: str
    """What the user said before the first assistant turn."""
    past: tuple[Past, ...]
    tools: frozenset[str]
    """Names of the client's own tools. None at all: a side request (a title, a summary)."""


@dataclass(frozen=True)
class Place:
    """Where a conversation stands in the script."""

    thread: int
    index: int
    """Number of the step, from 0."""
    again: int
    """How often this step was taken before."""
    step: Step
    wait: str | None = None
    """The shell's name for a command that is still running and is waited for now."""

    @property
    def label(self) -> str:
        """Part of every id of the reply."""
        return f"S{self.thread:02d}x{self.index:04d}x{self.again:03d}"


LABEL: Final = re.compile(r"S(\d{2})x(\d{4})x(\d{3})")
RUNNING: Final = (
    re.compile(r"Process running with session ID (\d+)"),  # Codex 0.169
    re.compile(r"\[(The command has no new output|The command timed out) after"),  # OpenHands 1.58
)


def find_place(script: Script, conversation: Conversation) -> Place:
    """The step that comes next."""
    thread = script.thread(conversation.opening)
    known = script.steps(thread)
    index, again, wait = 0, 0, None
    for past in conversation.past:
        taken = _index_of(past, known, index)
        if taken is None:
            continue
        again = again + 1 if taken == index else 1
        turn = known[taken].turn if taken < len(known) else END
        index, wait = taken, _still_running(past.results) if isinstance(turn, Run) else None
        unmet = isinstance(turn, Run) and turn.until is not None and turn.until not in past.results
        if wait is None and not unmet:
            index, again = taken + 1, 0
    step = known[index] if index < len(known) else Step(END)
    return Place(thread, index, again, step, wait)


def _index_of(past: Past, known: Sequence[Step], start: int) -> int | None:
    """The step an assistant turn came from; None: the program made it up itself."""
    for call in past.calls:
        if found := LABEL.search(call):
            return int(found[2])
    for index in range(start, len(known)):
        turn = known[index].turn
        if isinstance(turn, Say) and turn.text.strip() == past.text.strip():
            return index
    return None


def _still_running(results: str) -> str | None:
    found = next((match for pattern in RUNNING for match in pattern.finditer(results)), None)
    return None if found is None else found[1]


# ---------------------------------------------------------------- the reply


@dataclass(frozen=True)
class ToolCall:
    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Spoken:
    """A reply before it is written in a wire's words. Its figures depend on the place alone, so that two runs of one
    script give equal bytes."""

    id: str
    model: str
    think: str
    text: str
    call: ToolCall | None
    input: int
    """Tokens, those from the cache included."""
    cached: int

    @property
    def reasoning(self) -> int:
        return tokens(self.think)

    @property
    def output(self) -> int:
        written = self.think + self.text + (json.dumps(self.call.arguments) if self.call else "")
        return tokens(written) + 1


def tokens(text: str) -> int:
    return (len(text) + 3) // 4


def side_reply(model: str) -> Spoken:
    """For a request that is no part of the script."""
    return Spoken("side", model, "", "A data curation run", None, input=100, cached=0)


def spoken(place: Place, conversation: Conversation) -> Spoken:
    """Raises:
    ValueError: the request offers no tool that the script wants to call.
    """
    turn = place.step.turn
    call = None
    if place.wait is not None:
        call = ToolCall(place.label, *_waiting(place.wait, conversation.tools))
    elif isinstance(turn, Run):
        call = ToolCall(place.label, *_shell(turn, conversation.tools))
    elif isinstance(turn, Call):
        call = ToolCall(place.label, turn.tool, dict(turn.arguments))
    return Spoken(
        id=place.label,
        model=conversation.model,
        think=place.step.think,
        text=turn.text if isinstance(turn, Say) else turn.say,
        call=call,
        input=1000 * (place.index + 1),
        cached=1000 * place.index,
    )


def _shell(run: Run, offered: frozenset[str]) -> tuple[str, dict[str, Any]]:
    """The program's own shell tool, by the names that its request offers, and its arguments."""
    limit = run.seconds
    if "Bash" in offered:  # Claude Code 2.1
        return "Bash", {"command": run.command, **({} if limit is None else {"timeout": int(1000 * limit)})}
    if "exec_command" in offered:  # Codex 0.169
        return "exec_command", {
            "cmd": run.command,
            **({} if limit is None else {"yield_time_ms": int(1000 * limit)}),
        }
    if "terminal" in offered:  # OpenHands 1.58
        return "terminal", {"command": run.command, **({} if limit is None else {"timeout": limit})}
    raise ValueError(f"no shell among the tools {sorted(offered)}")


def _waiting(running: str, offered: frozenset[str]) -> tuple[str, dict[str, Any]]:
    """How the tool is asked whether a command is over."""
    if "write_stdin" in offered:
        return "write_stdin", {"session_id": int(running), "chars": "", "yield_time_ms": 30_000}
    return "terminal", {"command": ""}
