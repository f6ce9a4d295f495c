"""Which conversation each exchange belongs to, and what it brought that was not there before.

A request repeats its whole conversation. Which one it is, is told by, in this order: the native log's name for its
reply; the program's own name of the conversation; the tool calls in it, whose ids the model gave; an equal opening
(all before the model's first word); for the main conversation, an equal system prompt. What remains is a new
sub-agent, or, without tools where other requests have some, a side request: a title, a summary.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from pydantic import JsonValue

from curation_harness.record.exchanges import ExchangeEntry, ExchangeLog
from curation_harness.trajectory.dialogue import Asked, Item, Reply, said
from curation_harness.trajectory.drafts import Draft, agent_draft, more_refusals, no_reply, of_reply, result_draft
from curation_harness.trajectory.exchanges import read_asked, read_reply

_SYSTEM_CHANGES = 20
"""Different system prompts of one conversation that become steps; some programs put a counter into it."""

_REFUSALS = 500
"""Steps of requests that were refused or given up before they were sent; all more of them are one step."""
_SUBAGENTS = 500
"""Conversations beside the main one; what a flood of them adds counts as side requests."""
_LATE_CALLS = 50
"""Tool calls of each conversation, the latest, that may have begun a sub-agent."""
_LEAST_TASK = 8
"""Characters; a shorter argument of a tool call is in many texts by chance."""
_INJECTED = re.compile(r"\s*<([A-Za-z_][\w-]*)[ >].*</\1>\s*", re.DOTALL)
"""A text wholly within one tag, as programs put their own words among a user's."""


@dataclass(eq=False)
class Thread:
    """One conversation."""

    name: str = ""
    """The sub-agent's by the native log, if it has one."""
    key: str = ""
    opening: tuple[str, ...] = ()
    system: str = ""
    seen: set[str] = field(default_factory=set)
    history: frozenset[str] = frozenset()
    """The model's words, calls and results in the last request."""
    systems: int = 0
    turn: int = 0
    """The agent's turn of the last request."""
    calls: dict[str, Draft] = field(default_factory=dict)
    """The step of each tool call, by its id."""
    drafts: list[Draft] = field(default_factory=list)
    entries: list[ExchangeEntry] = field(default_factory=list)
    parent: tuple[Draft, str] | None = None
    """The step and the tool call that began this sub-agent, where known."""

    def owns(self, asked: Asked) -> bool:
        return any(item.call is not None and item.call.id in self.calls for item in asked.items)


class Conversations:
    """All conversations of a run. Feed ``take`` with every request to the model, in order."""

    def __init__(self, log: ExchangeLog, names: Mapping[str, str]) -> None:
        self.main = Thread()
        self.subagents: list[Thread] = []
        self.side: list[ExchangeEntry] = []
        self.not_counted: Counter[str] = Counter()
        """By outcome: requests that the run's ledger does not count, because no model ever saw them."""
        self._log = log
        self._names = names
        self._tools = False
        """Whether any request offered tools."""
        self._refusals = 0
        self._more: Draft | None = None
        """The step of all refusals past ``_REFUSALS``."""

    def take(self, entry: ExchangeEntry) -> None:
        if not entry.counted:  # and kept in part only
            self.not_counted[entry.outcome] += 1
            self._refused(entry)
            return
        asked, reply = read_asked(self._log, entry), read_reply(self._log, entry)
        if asked is None:
            self.main.entries.append(entry)
            self.main.drafts.append(no_reply(entry, reply, "The request could not be read. "))
            return
        self._tools = self._tools or bool(asked.tools)
        thread = self._thread(asked, reply)
        if thread is None:
            self.side.append(entry)
            return
        thread.entries.append(entry)
        self._new_items(thread, asked, entry)
        self._reply(thread, reply, entry)

    def _refused(self, entry: ExchangeEntry) -> None:
        last = self.main.drafts[-1] if self.main.drafts else None
        if last is not None and last.refusal == (entry.outcome, entry.reason):
            last.repeat()
        elif self._more is not None:
            self._more.repeat()
        elif self._refusals < _REFUSALS:
            self._refusals += 1
            draft = no_reply(entry, Reply(), "")
            draft.refusal = (entry.outcome, entry.reason)
            self.main.drafts.append(draft)
        else:
            self._more = more_refusals(entry)
            self.main.drafts.append(self._more)

    # -- whose it is -------------------------------------------------------------------------------

    def _thread(self, asked: Asked, reply: Reply) -> Thread | None:
        """The conversation it belongs to; None for a side request."""
        ids = (reply.id, *(call.id for call in reply.calls))
        name = next((self._names[each] for each in ids if each in self._names), "")
        known = self._known(asked, name)
        if known is not None:
            known.name = known.name or (name if known is not self.main else "")
            return known
        if self._tools and not asked.tools:
            return None
        if not self.main.seen and not name:
            return self._begin(self.main, asked)
        if len(self.subagents) >= _SUBAGENTS:
            return None
        thread = self._begin(Thread(name=name), asked)
        thread.parent = self._caller(asked)
        self.subagents.append(thread)
        return thread

    def _known(self, asked: Asked, name: str) -> Thread | None:
        if name:
            found = [thread for thread in self.subagents if thread.name == name]
            if found:
                return found[0]
        begun = [*self.subagents, self.main] if self.main.seen else self.subagents
        if name:
            begun = [thread for thread in self.subagents if not thread.name]
        if asked.key:
            return next((thread for thread in begun if thread.key == asked.key), None)
        owners = [thread for thread in begun if thread.owns(asked)]
        if owners:
            return owners[0]
        opening = _opening(asked)
        same = next((thread for thread in reversed(begun) if thread.opening == opening), None)
        if same is None and self.main in begun and asked.tools and _system(asked) == self.main.system:
            return self.main  # begun anew, or so much compacted that no call is left
        return same

    def _begin(self, thread: Thread, asked: Asked) -> Thread:
        thread.key, thread.opening, thread.system = asked.key, _opening(asked), _system(asked)
        return thread

    def _caller(self, asked: Asked) -> tuple[Draft, str] | None:
        """The tool call whose longest argument is in the opening: the task that a sub-agent was given."""
        texts = [item.text for item in asked.items if item.role == "user"]
        taken = [thread.parent for thread in self.subagents]
        best, length = None, _LEAST_TASK
        for thread in (self.main, *self.subagents):
            for call_id, draft in islice(reversed(thread.calls.items()), _LATE_CALLS):
                task = draft.longest_argument(call_id)
                if len(task) > length and (draft, call_id) not in taken and any(task in text for text in texts):
                    best, length = (draft, call_id), len(task)
        return best

    # -- what is new -------------------------------------------------------------------------------

    def _new_items(self, thread: Thread, asked: Asked, entry: ExchangeEntry) -> None:
        history = frozenset(item.mark for item in asked.items if item.role in ("agent", "call", "result"))
        gone = len(thread.history - history)
        if gone:
            thread.drafts.append(
                Draft(
                    at=entry.began,
                    source="system",
                    message="The agent's program rewrote the conversation (compaction, or an edit of its history):"
                    f" {gone} of {len(thread.history)} earlier pieces are no longer in it.",
                    extra={"history_pieces_gone": gone, "exchange": entry.id, "turn": entry.turn},
                )
            )
        thread.history = history
        thread.opening = _opening(asked)
        begins = thread is self.main and thread.turn not in (0, entry.turn)
        thread.turn = entry.turn
        new = _last_words(asked) if begins else None
        times: Counter[str] = Counter()
        for item in asked.items:
            mark = item.mark
            if _by_user(item):
                # what a user says again is said again: the same words begin one turn after the other
                times[mark] += 1
                mark = f"{mark} {times[mark]}"
            if mark in thread.seen and item is not new:
                continue
            thread.seen.add(mark)
            self._new_item(thread, item, entry)

    def _new_item(self, thread: Thread, item: Item, entry: ExchangeEntry) -> None:
        if item.role == "result":
            draft = thread.calls.get(item.call_id)
            if draft is None:
                thread.drafts.append(result_draft(item, entry))
            else:
                draft.results.setdefault(item.call_id, item.text)
            return
        if item.role in ("agent", "call"):
            copied = any(item.mark in other.seen for other in (self.main, *self.subagents) if other is not thread)
            draft = agent_draft(item, entry, copied)
            if item.call is not None:
                thread.calls[item.call.id] = draft
            if item.call is not None or item.text.strip():
                thread.drafts.append(draft)
            return
        if item.role == "system":
            thread.systems += 1
            if thread.systems > _SYSTEM_CHANGES:
                return
        if not item.text.strip():
            return
        extra: dict[str, JsonValue] = {"exchange": entry.id, "turn": entry.turn}
        if item.role == "user" and _INJECTED.fullmatch(item.text):
            extra["by_program"] = True
        last = thread.drafts[-1] if thread.drafts else None
        if last is not None and last.source == item.role and last.extra == extra:
            last.message += "\n\n" + item.text
        else:
            source: Literal["system", "user"] = "system" if item.role == "system" else "user"
            thread.drafts.append(Draft(at=entry.began, source=source, message=item.text, extra=extra))

    def _reply(self, thread: Thread, reply: Reply, entry: ExchangeEntry) -> None:
        if not (reply.texts or reply.calls or reply.reasoning) and (entry.outcome != "ok" or entry.status >= 400):
            thread.drafts.append(no_reply(entry, reply, ""))
            return
        draft = of_reply(entry, reply)
        thread.drafts.append(draft)
        thread.seen |= {said("agent", text).mark for text in reply.texts}
        for call in reply.calls:
            thread.calls[call.id] = draft
            thread.seen.add(f"call {call.id}")


def _opening(asked: Asked) -> tuple[str, ...]:
    """All that stands before the model's first word."""
    found = []
    for item in asked.items:
        if item.role not in ("system", "user"):
            break
        found.append(item.mark)
    return tuple(found)


def _last_words(asked: Asked) -> Item | None:
    """What the user said after all that the model said: with it a turn begins, however much of the history before
    it was compacted."""
    for item in reversed(asked.items):
        if item.role in ("agent", "call", "result"):
            break
        if _by_user(item):
            return item
    return None


def _by_user(item: Item) -> bool:
    return item.role == "user" and not _INJECTED.fullmatch(item.text)


def _system(asked: Asked) -> str:
    return next((item.mark for item in asked.items if item.role == "system"), "")
