"""Which headers pass, in both directions."""

from __future__ import annotations

import pytest

from curation_sandbox.gateway import headers
from curation_sandbox.gateway.wires import Wire


def test_only_named_headers_go_to_the_provider() -> None:
    given = {
        "authorization": "Bearer sk-ant-oat01-a",
        "x-api-key": "sk-mine",
        "cookie": "a=b",
        "x-forwarded-host": "evil.example",
        "session-id": "s",
        "openai-organization": "org",
        "anthropic-beta": "interleaved-thinking-2025-05-14",
        "anthropic-version": "2023-06-01",
        "user-agent": "claude-cli/2 (someone@somewhere)",
    }
    sent, changes = headers.for_provider(given, Wire.MESSAGES, stream=True)
    assert set(sent) == {"content-type", "accept", "user-agent", "anthropic-version", "anthropic-beta"}
    assert sent["user-agent"].startswith("curation-harness/")
    assert changes == []
    for wire in (Wire.RESPONSES, Wire.CHAT):
        assert set(headers.for_provider(given, wire, stream=False)[0]) == {"content-type", "accept", "user-agent"}


def test_beta_flags_pass_by_value() -> None:
    given = {"anthropic-beta": "interleaved-thinking-2025-05-14,files-api-2025-04-14"}
    sent, changes = headers.for_provider(given, Wire.MESSAGES, stream=False)
    assert sent["anthropic-beta"] == "interleaved-thinking-2025-05-14"
    assert changes == ["header anthropic-beta: files-api-2025-04-14 removed"]


@pytest.mark.parametrize("version", ["", "2023-06-01, evil", "2023-06-01\r\nx-api-key: a", "٢٠٢٣-٠٦-٠١", "latest"])
def test_a_strange_version_is_replaced(version: str) -> None:
    sent, _ = headers.for_provider({"anthropic-version": version}, Wire.MESSAGES, stream=False)
    assert sent["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize(("value", "passes"), [("true", True), ("false", False), ("true, x", False)])
def test_codexs_own_header_passes_by_value(value: str, passes: bool) -> None:
    name = "x-openai-internal-codex-responses-lite"
    assert (name in headers.for_provider({name: value}, Wire.RESPONSES, stream=True)[0]) is passes
    assert name not in headers.for_provider({name: value}, Wire.CHAT, stream=True)[0]


def test_only_named_headers_come_back() -> None:
    given = {
        "Content-Type": "text/event-stream",
        "request-id": "req_1",
        "set-cookie": "a=b",
        "anthropic-organization-id": "org",
        "x-ratelimit-limit-tokens": "1",
        "content-length": "3",
        "content-encoding": "gzip",
        "x-request-id": "a\r\nb: c",
    }
    assert headers.for_client(given) == {"Content-Type": "text/event-stream", "request-id": "req_1"}
