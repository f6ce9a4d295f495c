"""What may differ between two runs of the same trace without meaning anything: the written rules.

A request holds what the agent's commands printed, and that holds times, ids and listings. Texts are compared after
each of ``RULES`` has replaced what it names; ``docs/replay.md`` shows them. The texts come from the container: each
rule takes time in proportion to a text's length, whatever is in it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Rule:
    """One kind of text that says nothing about what the agent did."""

    name: str
    meaning: str
    pattern: re.Pattern[str]
    put: str | Callable[[re.Match[str]], str]

    def apply(self, text: str) -> str:
        return self.pattern.sub(self.put, text)


def _in_order(found: re.Match[str]) -> str:
    block = found[0]
    end = "\n" if block.endswith("\n") else ""
    return "\n".join(sorted(block.removesuffix("\n").split("\n"))) + end


_MONTH: Final = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_DAY: Final = r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? )?"
_UNIT: Final = r"(?:ns|µs|us|ms|s|secs?|seconds?|mins?|minutes?|h|hours?)"
_AMOUNT: Final = r"(?:[\d.]+|no limit)"
_BUDGETS: Final = r"(?:(?:agent|signal) time|model (?:requests|tokens|money))"

RULES: Final = (
    Rule(
        "uuid",
        "names of sessions, messages and tool calls that a program draws",
        re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE),
        "<uuid>",
    ),
    Rule(
        "id",
        "the same with a prefix: `toolu_…`, `call_…`, `msg_…`, `resp_…`, `rs_…`, `fc_…`, `chatcmpl-…`",
        re.compile(r"\b(toolu|call|msg|resp|rs|fc|ctc|req|chatcmpl)([_-])[A-Za-z0-9_-]{6,}"),
        r"\1\2<id>",
    ),
    Rule(
        "socket",
        "what Claude Code draws for its own use: the values of `CLAUDE_CODE_MESSAGING_SOCKET` and"
        " `CLAUDE_CODE_MESSAGING_TOKEN`",
        re.compile(r"""(CLAUDE_CODE_MESSAGING_(?:SOCKET|TOKEN)[\\"']*(?:=|: ?)[\\"']*)[^\s\\"',}]+"""),
        r"\1<drawn>",
    ),
    Rule(
        "agent",
        "names that Claude Code gives to sub-agents: `agentId: a3b5c7d`",
        re.compile(r"\b(agentId: )[0-9a-z]{6,}\b"),
        r"\1<id>",
    ),
    Rule(
        "listing",
        "lines of `ls -l`: the number of links, owner, size and date before a name",
        re.compile(
            r"^([bcdlps-][rwxsStT-]{9})[.+@]? +\d+ +\S+ +\S+ +[\d,.]+[KMGT]? +(?=\S).{11,20}? (\S.*)$", re.MULTILINE
        ),
        r"\1 \2",
    ),
    Rule(
        "date",
        "dates and times of day, as ISO 8601, as `date` prints them, and in words",
        re.compile(
            r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z| ?[+-]\d\d:?\d\d| UTC)?)?\b"
            rf"|\b{_DAY}(?:\d{{1,2}} )?{_MONTH} \d{{1,2}}(?:,? \d\d:\d\d(?::\d\d)?)?"
            r"(?: [A-Z]{3,4})?(?:,? \d{4})?\b"
            rf"|\b\d{{1,2}} {_MONTH} \d{{4}}\b"
            r"|\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"
        ),
        "<date>",
    ),
    Rule(
        "wall time",
        "times that tools print beside a word for them: `Wall time: 0.05`, `duration_ms: 812`, `real 0m0.1s`",
        re.compile(
            r"(?i)\b((?:wall[ _]time|elapsed|duration|took)(?:_?(?:ms|secs?|seconds))?[:= \t]+(?=\d)"
            r"|(?:real|user|sys)[ \t]+(?=\d+m[\d.]+s|\d+\.\d\d))"
            rf"(?:\d+m(?=\d))?[\d.]+(?: ?{_UNIT}\b)?"
        ),
        r"\1<duration>",
    ),
    Rule(
        "duration",
        "a number with a unit of time: `0.12s`, `3 min`, `1200 ms`, `2 seconds`",
        re.compile(rf"\b\d+(?:[.,]\d+)? ?{_UNIT}\b"),
        "<duration>",
    ),
    Rule(
        "budget",
        "budgets of time and of the model in `curate status`: a request under way may or may not be counted yet",
        re.compile(
            rf"(?m)^([ \t]*{_BUDGETS})[ \t]+{_AMOUNT}[ \t]+{_AMOUNT}[ \t]+"  # the columns shift with their widths
            rf'|({_BUDGETS}"[^{{}}]{{0,200}}?"spent": ?)[\d.]+'
        ),
        r"\1\2 <spent> ",
    ),
    Rule(
        "piece",
        "numbers that Codex gives to pieces of output: `Chunk ID: d0825a`",
        re.compile(r"\b(Chunk ID: )[0-9a-f]{6}\b"),
        r"\1<id>",
    ),
    Rule(
        "process",
        "process numbers: `/proc/123`, `pid 123`, `PID: 123`",
        re.compile(r"(?i)(/proc/|\bpid[:= ]+)\d+"),
        r"\1<pid>",
    ),
    Rule(
        "temporary name",
        "names below `/tmp` that a program drew",
        re.compile(r"/tmp/[\w.-]*[A-Za-z0-9_]{6,}[\w./-]*"),
        "/tmp/<name>",
    ),
    Rule(
        "address",
        "addresses in memory, as Python prints objects",
        re.compile(r"\b0x[0-9a-f]{6,16}\b"),
        "<address>",
    ),
    Rule(
        "order",
        "the order of lines that are paths, or lines of `ls -l`, one below the other: a folder has none of its own",
        re.compile(r"(?m)(?:^(?:\.{0,2}/\S*|[bcdlps-][rwxsStT-]{9} .*)(?:\n|\Z)){2,}"),
        _in_order,
    ),
)

IGNORED: Final = frozenset(
    (
        "cache_control",
        "prompt_cache_key",
        "metadata",
        "client_metadata",
        "user",
        "safety_identifier",
        "encrypted_content",
        "signature",
    )
)
"""Keys of a request whose values are not compared: marks for the provider's cache, which move as a conversation gets
longer, names of caches, users and sessions, and what only the provider can read."""
_IDS: Final = frozenset(("id", "call_id", "tool_use_id", "tool_call_id", "item_id"))
"""Keys whose values are names that link parts of one conversation."""


def text(given: str) -> str:
    """A text with all rules applied, without blanks at the ends of lines and empty lines at its end."""
    given = "\n".join(given.splitlines())
    for rule in RULES:
        given = rule.apply(given)
    return "\n".join(line.rstrip() for line in given.split("\n")).rstrip("\n")


def tree(given: Any) -> Any:
    """A request's body with all rules applied to its texts, and names of its parts left out."""
    if isinstance(given, dict):
        return {key: "<id>" if key in _IDS else tree(value) for key, value in given.items() if key not in IGNORED}
    if isinstance(given, list):
        return [tree(value) for value in given]
    return text(given) if isinstance(given, str) else given


def parsed(body: bytes) -> Any:
    """A request's body, read and normalised.

    Raises:
        ValueError: it is no JSON, or nested too deeply to look at.
    """
    try:
        return tree(json.loads(body))
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None


def digest(body: bytes) -> str:
    """SHA-256 of a body after the rules; of the body itself where it is no JSON."""
    try:
        written = json.dumps(parsed(body), sort_keys=True).encode()
    except ValueError:
        written = body
    return hashlib.sha256(written).hexdigest()
