"""Which flags of the ``anthropic-beta`` header pass: those that only change how the model works or how its reply
is written. A flag's date is not looked at: what a flag allows in a body still has to pass the body's filter.

What is dropped opens what is shut (``files-api``, ``mcp-client``, ``code-execution``, ``skills``, ``computer-use``,
``web-search``, ``advisor-tool``), keeps a conversation with the provider (``message-threads``, ``resumption``),
changes the model or its price (``server-side-fallback``, ``fast-mode``), belongs to a login (``oauth``), or is not
known here. Seen with Claude Code 2.1.329: the first group below.
"""

from __future__ import annotations

import re
from typing import Final

from curation_sandbox.gateway.filters.shape import shown

_ALLOWED: Final = {
    # Sent by Claude Code on every request.
    "claude-code": "names the client",
    "interleaved-thinking": "thinking between tool calls",
    "context-management": "old thinking and tool results may be left out; which edits, the body's filter says",
    "thinking-token-count": "thinking tokens in usage",
    "thinking-display-updates": "how thinking is shown",
    "advanced-tool-use": "defer_loading, examples of tools; the search and code tools do not pass the filter",
    "effort": "output_config.effort",
    "per-turn-control": "effort of a single turn",
    "mid-conversation-tool-changes": "client tools that come and go",
    # Sent for some models or settings.
    "mid-conversation-system": "system messages later in a conversation",
    "context-1m": "long context",
    "extended-cache-ttl": "cache for an hour",
    "fine-grained-tool-streaming": "arguments of tools in smaller pieces",
    "max-tokens-3-5-sonnet": "longer replies",
    "model-context-window-exceeded": "a stop reason",
    "output-128k": "longer replies",
    "pdfs": "inline PDF documents",
    "prompt-caching": "the cache",
    "redact-thinking": "how thinking is shown",
    "structured-outputs": "replies after a JSON schema",
    "task-budgets": "output_config.task_budget",
    "token-counting": "counting tokens",
    "token-efficient-tools": "shorter tool calls",
    "tool-search-tool": "defer_loading; the provider's search tools do not pass the body's filter",
}
"""Name of a flag without its date → what it does."""

_FLAG: Final = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*?)-(?:\d{4}-\d{2}-\d{2}|\d{8})", re.ASCII)
_MOST_FLAGS: Final = 64


def allowed_betas(value: str) -> tuple[str, tuple[str, ...]]:
    """The header's value with the allowed flags, in their order, each once (empty: leave the header out), and the
    dropped ones as printable text."""
    kept: list[str] = []
    dropped: list[str] = []
    for part in value.split(",", _MOST_FLAGS):
        flag = part.strip(" \t")
        known = _FLAG.fullmatch(flag) if len(flag) <= 80 else None
        if known is not None and known[1] in _ALLOWED:
            if flag not in kept:
                kept.append(flag)
        elif flag:
            dropped.append(shown(flag))
    return ",".join(kept), tuple(dropped)
