"""Ways out of the container through the Messages API, one test each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from curation_sandbox.gateway.filters import Filtered, Refused, filter_body
from curation_sandbox.gateway.wires import Wire
from filter_bodies import AWAY, PIXEL, claude_code


def sent(body: dict[str, Any]) -> Filtered:
    return filter_body(Wire.MESSAGES, "generate", body)


def ask(*content: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": list(content)}], **more}


def refusal(body: dict[str, Any]) -> str:
    with pytest.raises(Refused) as caught:
        sent(body)
    return str(caught.value)


def image(source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


def test_what_claude_code_sends_passes_untouched() -> None:
    assert sent(claude_code()) == Filtered(claude_code(), ())


def test_counting_tokens_takes_the_prompt_and_nothing_else() -> None:
    filtered = filter_body(Wire.MESSAGES, "count", claude_code())
    assert filtered.changes == tuple(
        f"{name}: unknown field, removed" for name in ("max_tokens", "temperature", "stream")
    )
    assert filtered.body["messages"] == claude_code()["messages"]


@pytest.mark.parametrize(
    "kind",
    [
        "web_search_20250305",
        "web_search_20260209",
        "web_fetch_20250910",
        "code_execution_20250825",
        "tool_search_tool_regex_20251119",
        "tool_search_tool_bm25_20251119",
        "mcp_toolset",
        "computer_20250124",
        "advisor_20260301",
        "a_tool_of_next_year_20270101",
    ],
)
def test_server_tool_is_stripped_messages(kind: str) -> None:
    mine = {"name": "Bash", "input_schema": {"type": "object"}}
    filtered = sent(ask("hi", tools=[mine, {"type": kind, "name": "x"}]) | {"messages": []})
    assert filtered.body["tools"] == [mine]
    assert filtered.changes == (f"tools[1]: {kind} removed: the provider would run it",)


@pytest.mark.parametrize(
    "kind",
    [
        "Web_Search_20250305",
        "web_search_20250305 ",
        "wеb_search_20250305",
        "bash_20250124\n",
        "bash_20250124 ",
        "bash_code_execution_20250825",
        "bash_٢٠٢٥٠١٢٤",
        "BASH_20250124",
        "Custom",
        "custom ",
        "",
        False,
        0,
        ["custom"],
        ["web_search_20250305"],
        {"type": "custom"},
    ],
)
def test_server_tool_under_a_strange_spelling_is_stripped(kind: Any) -> None:
    filtered = sent(ask(tools=[{"type": kind, "name": "web_search", "max_uses": 8}]))
    assert "tools" not in filtered.body
    assert len(filtered.changes) == 1


def test_a_forced_server_tool_is_refused_rather_than_answered_from_memory() -> None:
    body = ask(
        {"type": "text", "text": "Search the web for: llava"},
        tools=[{"type": "web_search_20250305", "name": "web_search"}],
        tool_choice={"type": "tool", "name": "web_search"},
    )
    assert refusal(body) == (
        "tool_choice: demands web_search, which the provider would run; there is no such tool here"
    )


def test_a_choice_without_any_tool_left_goes_with_the_tools() -> None:
    body = ask(tools=[{"type": "web_search_20250305", "name": "web_search"}], tool_choice={"type": "any"})
    assert not {"tools", "tool_choice"} & set(sent(body).body)


def test_a_forced_client_tool_stays_forced() -> None:
    tools = [{"name": "Bash", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search"}]
    body = ask(tools=tools, tool_choice={"type": "tool", "name": "Bash"})
    assert sent(body).body["tool_choice"] == {"type": "tool", "name": "Bash"}


def test_code_at_the_provider_may_not_call_client_tools() -> None:
    tool = {"name": "Bash", "input_schema": {}, "allowed_callers": ["direct", "code_execution_20250825"]}
    assert sent(ask(tools=[tool])).body["tools"] == [{"name": "Bash", "input_schema": {}}]
    direct = {**tool, "allowed_callers": ["direct"]}
    assert sent(ask(tools=[direct])).body["tools"] == [direct]


def test_remote_mcp_servers_are_stripped_messages() -> None:
    filtered = sent(ask(mcp_servers=[{"type": "url", "url": AWAY, "name": "x"}]))
    assert "mcp_servers" not in filtered.body
    assert filtered.changes == ("mcp_servers: removed: the provider would call them",)


@pytest.mark.parametrize("container", ["container_1", {"skills": [{"type": "anthropic", "skill_id": "pdf"}]}])
def test_a_container_at_the_provider_is_refused(container: Any) -> None:
    assert refusal(ask(container=container)).startswith("container: ")


def test_a_conversation_stored_at_the_provider_is_refused() -> None:
    assert refusal(ask(thread={"id": "thread_1"})).startswith("thread: ")


@pytest.mark.parametrize(
    "field",
    [
        {"fallbacks": [{"model": "claude-opus-5-5"}]},
        {"speed": "fast"},
        {"service_tier": "auto"},
        {"fallback_credit_token": "t"},
        {"inference_geo": "eu"},
        {"a_field_of_next_year": {"url": AWAY}},
    ],
)
def test_flags_that_change_model_price_or_are_unknown_are_stripped(field: dict[str, Any]) -> None:
    filtered = sent(ask(**field))
    assert filtered.body == ask()
    assert len(filtered.changes) == 1


def test_the_name_of_the_machine_does_not_leave() -> None:
    filtered = sent(ask(metadata={"user_id": '{"device_id": "1ba3"}'}))
    assert "1ba3" not in json.dumps(filtered.body)
    assert "1ba3" not in str(filtered.changes)


def test_compaction_by_the_provider_is_stripped() -> None:
    edits = [{"type": "compact_20260112", "instructions": "x"}, {"type": "clear_thinking_20251015", "keep": "all"}]
    assert sent(ask(context_management={"edits": edits})).body["context_management"] == {"edits": edits[1:]}


@pytest.mark.parametrize("source", [{"type": "url", "url": AWAY}, {"type": "URL", "url": AWAY}, {"url": AWAY}])
@pytest.mark.parametrize("kind", ["image", "document"])
def test_remote_media_is_refused_messages(kind: str, source: Any) -> None:
    assert refusal(ask({"type": kind, "source": source})).startswith("messages[0].content[0].source: ")


@pytest.mark.parametrize("kind", ["image", "document"])
def test_file_id_is_refused_messages(kind: str) -> None:
    said = refusal(ask({"type": kind, "source": {"type": "file", "file_id": "file_1"}}))
    assert said.startswith("messages[0].content[0].source: file: ")


def test_an_address_beside_inline_data_does_not_pass() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL, "url": AWAY}
    assert AWAY not in json.dumps(sent(ask(image(source))).body)


@pytest.mark.parametrize(
    "media_type", ["image/svg+xml", "IMAGE/PNG", "image/png ", "text/html", "", None, ["image/png"]]
)
def test_a_picture_that_could_load_others_is_refused_messages(media_type: Any) -> None:
    assert "media_type" in refusal(ask(image({"type": "base64", "media_type": media_type, "data": PIXEL})))


def test_remote_image_inside_a_tool_result_is_refused() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image({"type": "url", "url": AWAY})]}
    assert refusal(ask(result)).startswith("messages[0].content[0].content[0].source: ")


def test_remote_image_inside_a_document_is_refused() -> None:
    source = {"type": "content", "content": [image({"type": "url", "url": AWAY})]}
    assert "source.content[0].source" in refusal(ask({"type": "document", "source": source}))


@pytest.mark.parametrize(
    "kind",
    [
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "tool_search_tool_result",
        "mcp_tool_use",
        "mcp_tool_result",
        "advisor_tool_result",
        "container_upload",
        "a_block_of_next_year",
        "Text",
        "",
    ],
)
def test_a_record_of_a_server_tool_is_refused(kind: str) -> None:
    assert refusal(ask({"type": kind, "file_id": "file_1"})).startswith("messages[0].content[0]: ")
    nested = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": kind}]}
    assert refusal(ask(nested)).startswith("messages[0].content[0].content[0]: ")


def test_a_server_tool_added_in_mid_conversation_is_refused() -> None:
    definition = {"type": "web_search_20250305", "name": "web_search"}
    block = {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": definition}}
    assert refusal(ask(block)).startswith("messages[0].content[0].tool.definition: ")


def test_the_caller_of_a_past_tool_call_is_the_model() -> None:
    call = {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}
    by_code = {**call, "caller": {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}}
    direct = {**call, "caller": {"type": "direct"}}
    assert sent(ask(by_code, direct)).body["messages"][0]["content"] == [call, direct]


def test_arguments_of_past_tool_calls_are_data() -> None:
    call = {"type": "tool_use", "id": "t", "name": "Bash", "input": {"type": "url", "url": AWAY, "file_id": "x"}}
    assert sent(ask(call)).body["messages"][0]["content"] == [call]
