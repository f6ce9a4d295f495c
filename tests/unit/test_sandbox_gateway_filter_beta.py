"""The ``anthropic-beta`` header: what opens what is shut does not pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_sandbox.gateway.beta import allowed_betas

CLAUDE_CODE = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,per-turn-control-2026-07-01,"
    "mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,advanced-tool-use-2025-11-20,"
    "effort-2025-11-24,thinking-display-updates-2026-08-18"
)


def test_what_claude_code_sends_passes() -> None:
    assert allowed_betas(CLAUDE_CODE) == (CLAUDE_CODE, ())


@pytest.mark.parametrize(
    "flag",
    [
        "files-api-2025-04-14",
        "mcp-client-2025-11-20",
        "mcp-servers-2025-12-04",
        "code-execution-2025-08-25",
        "skills-2025-10-02",
        "computer-use-2025-01-24",
        "web-search-2025-03-05",
        "web-fetch-2025-09-10",
        "advisor-tool-2026-03-01",
        "message-threads-2026-08-12",
        "server-side-fallback-2026-07-01",
        "fast-mode-2026-02-01",
        "oauth-2025-04-20",
        "inline-tools-2026-09-15",
        "effort",
        "effort-2025-11-24-files-api-2025-04-14",
        "files-api-effort-2025-11-24",
        "Effort-2025-11-24",
        "effort-2025-11-24;files-api-2025-04-14",
        "effort-2025-11-24\r\nx-api-key: k",
        "effort-٢٠٢٥-11-24",
    ],
)
def test_beta_flag_that_opens_a_capability_is_dropped(flag: str) -> None:
    kept, dropped = allowed_betas(f"effort-2025-11-24, {flag}")
    assert kept == "effort-2025-11-24"
    assert len(dropped) == 1


def test_nothing_left_is_an_empty_value() -> None:
    assert allowed_betas("") == ("", ())
    assert allowed_betas(" , ,") == ("", ())


def test_a_flag_counts_once() -> None:
    assert allowed_betas("pdfs-2024-09-25, pdfs-2024-09-25") == ("pdfs-2024-09-25", ())


def test_a_flood_of_flags_is_bounded() -> None:
    kept, dropped = allowed_betas(",".join(f"effort-{n:08}" for n in range(100_000)))
    assert len(kept) < 2000
    assert len(dropped) == 1
    kept, dropped = allowed_betas(",".join(f"x{n}" for n in range(100_000)))
    assert kept == ""
    assert len(dropped) == 65


@given(st.text())
def test_any_value_gives_a_clean_header(value: str) -> None:
    kept, dropped = allowed_betas(value)
    assert not set(kept) - set("abcdefghijklmnopqrstuvwxyz0123456789-,")
    assert all(flag.isascii() and flag.isprintable() for flag in dropped)
