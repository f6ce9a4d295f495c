"""Tools: only those that the client runs, in the container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from curation_sandbox.gateway.filters.shape import DROP, Rule, Spot, shown

PROVIDER_RUNS: Final = "removed: the provider would run it"
PAST_CALL: Final = "the record of a tool that the provider runs; such tools are shut"
DEMANDED: Final = "demands a tool that the provider would run; there is no such tool here"


def client_tool(kinds: Mapping[str, Rule]) -> Rule:
    """A tool of one of these types; any other is dropped, however its type is spelled."""

    def rule(value: Any, spot: Spot) -> Any:
        if not isinstance(value, dict):
            spot.refuse("must be an object")
        kind = value.get("type")
        known = kinds.get(kind) if isinstance(kind, str) else None
        return provider_tool(kind, spot) if known is None else known(value, spot)

    return rule


def provider_tool(kind: object, spot: Spot) -> Any:
    """Drop it."""
    spot.note(f"{shown(kind)} {PROVIDER_RUNS}")
    return DROP


def without_tools(kept: dict[str, Any], spot: Spot, tools: str = "tools", choice: str = "tool_choice") -> None:
    """Where the last tool went, the empty list and the choice go too: the APIs refuse both."""
    if not kept[tools]:
        del kept[tools]
        if kept.pop(choice, None) is not None:
            spot.at(choice).note("removed with the last tool")
