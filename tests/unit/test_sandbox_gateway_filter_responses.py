"""Ways out of the container through the Responses API, one test each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from curation_sandbox.gateway.filters import Filtered, Refused, filter_body
from curation_sandbox.gateway.wires import Wire
from filter_bodies import AWAY, PNG, codex

MINE = {"type": "function", "name": "exec_command", "parameters": {"type": "object"}}
SERVER_TOOLS = [
    {"type": "web_search"},
    {"type": "web_search_preview"},
    {"type": "web_search_2025_08_26", "filters": {}},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "image_generation"},
    {"type": "mcp", "server_label": "x", "server_url": AWAY},
    {"type": "computer_use_preview"},
    {"type": "computer"},
    {"type": "shell", "environment": {"type": "container_auto"}},
    {"type": "tool_search"},
    {"type": "tool_search", "execution": "server"},
    {"type": "tool_search", "execution": ["client"]},
    {"type": "a_tool_of_next_year"},
    {"type": "Function", "name": "x"},
    {"type": "function ", "name": "x"},
    {"type": ["function"], "name": "x"},
    {"type": None, "name": "x"},
    {"name": "x"},
]


def sent(body: dict[str, Any]) -> Filtered:
    return filter_body(Wire.RESPONSES, "generate", body)


def ask(*items: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "input": list(items), "store": False, **more}


def refusal(body: dict[str, Any]) -> str:
    with pytest.raises(Refused) as caught:
        sent(body)
    return str(caught.value)


def user(*content: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(content)}


def test_what_codex_sends_passes_untouched() -> None:
    assert sent(codex()) == Filtered(codex(), ())


@pytest.mark.parametrize("tool", SERVER_TOOLS)
def test_server_tool_is_stripped_responses(tool: dict[str, Any]) -> None:
    filtered = sent(ask(tools=[tool, MINE]))
    assert filtered.body["tools"] == [MINE]
    assert len(filtered.changes) == 1
    assert filtered.changes[0].startswith("tools[0]: ")


@pytest.mark.parametrize("tool", [*SERVER_TOOLS, {"type": "namespace", "name": "deeper", "tools": [MINE]}])
def test_server_tool_in_a_namespace_is_stripped(tool: dict[str, Any]) -> None:
    space = {"type": "namespace", "name": "functions", "tools": [MINE, tool]}
    filtered = sent(ask(tools=[space]))
    assert filtered.body["tools"] == [{**space, "tools": [MINE]}]
    assert filtered.changes[0].startswith("tools[0].tools[1]: ")


@pytest.mark.parametrize("tool", SERVER_TOOLS)
@pytest.mark.parametrize(
    "item", [{"type": "additional_tools"}, {"type": "tool_search_output", "call_id": "c", "execution": "client"}]
)
def test_server_tool_hidden_in_the_conversation_is_stripped(item: dict[str, Any], tool: dict[str, Any]) -> None:
    space = {"type": "namespace", "name": "functions", "tools": [tool]}
    filtered = sent(ask({**item, "tools": [tool, MINE, space]}))
    assert filtered.body["input"] == [{**item, "tools": [MINE, {**space, "tools": []}]}]


def test_the_last_tool_takes_the_choice_with_it() -> None:
    filtered = sent(ask(tools=[{"type": "web_search"}], tool_choice="required"))
    assert not {"tools", "tool_choice"} & set(filtered.body)


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "web_search_preview"},
        {"type": "file_search"},
        {"type": "mcp", "server_label": "x"},
        {"type": "image_generation"},
    ],
)
def test_a_demanded_server_tool_is_refused(choice: dict[str, Any]) -> None:
    assert refusal(ask(tools=[MINE], tool_choice=choice)).startswith("tool_choice: ")


def test_server_tools_among_the_allowed_tools_are_stripped() -> None:
    mine = {"type": "function", "name": "exec_command"}
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}, mine]}
    assert sent(ask(tools=[MINE], tool_choice=choice)).body["tool_choice"] == {**choice, "tools": [mine]}
    none_left = {**choice, "tools": [{"type": "web_search"}]}
    assert "tool_choice" not in sent(ask(tools=[MINE], tool_choice=none_left)).body


@pytest.mark.parametrize("store", [{}, {"store": True}, {"store": None}])
def test_responses_are_never_stored(store: dict[str, Any]) -> None:
    body = {"model": "m", "input": "hi", **store}
    assert sent(body) == Filtered({"model": "m", "input": "hi", "store": False}, ("store: set to false",))


@pytest.mark.parametrize(
    "field",
    [
        {"background": True},
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1"}},
        {"prompt": {"id": "pmpt_1", "variables": {}}},
    ],
)
def test_what_is_stored_at_the_provider_is_refused(field: dict[str, Any]) -> None:
    assert refusal(ask(**field)).startswith(f"{next(iter(field))}: ")
    unused = dict.fromkeys(field)
    assert sent(ask(**unused)).body == ask()


@pytest.mark.parametrize(
    "field",
    [
        {"client_metadata": {"x-codex-installation-id": "81e1"}},
        {"user": "81e1"},
        {"safety_identifier": "81e1"},
        {"metadata": {"who": "81e1"}},
        {"service_tier": "priority"},
        {"prompt_cache_retention": "24h"},
        {"context_management": [{"type": "compaction"}]},
        {"max_tool_calls": 5},
        {"a_field_of_next_year": {"url": AWAY}},
    ],
)
def test_names_prices_and_unknown_flags_are_stripped(field: dict[str, Any]) -> None:
    filtered = sent(ask(**field))
    assert filtered.body == ask()
    assert len(filtered.changes) == 1
    assert "81e1" not in filtered.changes[0]


def test_include_gives_nothing_but_reasoning_and_logprobs() -> None:
    wanted = ["reasoning.encrypted_content", "web_search_call.action.sources", "file_search_call.results"]
    assert sent(ask(include=wanted)).body["include"] == wanted[:1]


@pytest.mark.parametrize(
    "url", [AWAY, "http:x", "//away.example", "DATA:image/png;base64,AA", " data:image/png,A", ""]
)
def test_remote_image_url_is_refused_responses(url: str) -> None:
    assert "image_url" in refusal(ask(user({"type": "input_image", "image_url": url})))
    result = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": url}]}
    assert refusal(ask(result)).startswith("input[0].output[0].image_url: ")


@pytest.mark.parametrize(
    "url",
    [
        "data:image/svg+xml;base64,AA",
        "data:text/html,<img src=x>",
        "data:,x",
        "data:image/png",
        "data:image/png;charset=" + "x" * 500 + ",AA",
        "data:application/pdf;base64,AA",
        "data:video/mp4;base64,AA",
    ],
)
def test_inline_data_that_is_no_picture_is_refused(url: str) -> None:
    assert "image_url" in refusal(ask(user({"type": "input_image", "image_url": url})))


def test_file_id_is_refused_responses() -> None:
    assert "file" in refusal(ask(user({"type": "input_image", "file_id": "file_1"})))
    assert "file_id" in refusal(ask(user({"type": "input_image", "image_url": PNG, "file_id": "file_1"})))
    assert "file" in refusal(ask(user({"type": "input_file", "file_id": "file_1"})))


def test_file_url_is_refused() -> None:
    assert "file" in refusal(ask(user({"type": "input_file", "file_url": AWAY})))
    assert "file_url" in refusal(ask(user({"type": "input_file", "file_data": PNG, "file_url": AWAY})))
    assert "file_data" in refusal(ask(user({"type": "input_file", "file_data": AWAY})))


@pytest.mark.parametrize(
    "kind",
    [
        "item_reference",
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "computer_call",
        "computer_call_output",
        "mcp_list_tools",
        "mcp_call",
        "mcp_approval_response",
        "shell_call",
        "an_item_of_next_year",
        "Message",
    ],
)
def test_a_record_of_what_is_stored_or_run_there_is_refused(kind: str) -> None:
    assert refusal(ask({"type": kind, "id": "x"})).startswith(f"input[0]: {kind}: ")


@pytest.mark.parametrize("kind", ["tool_search_call", "tool_search_output"])
def test_a_search_for_tools_by_the_provider_is_refused(kind: str) -> None:
    assert "execution" in refusal(ask({"type": kind, "call_id": "c", "execution": "server"}))
    assert "execution" in refusal(ask({"type": kind, "call_id": "c"}))


@pytest.mark.parametrize("kind", ["input_audio", "input_video", "computer_screenshot"])
def test_other_media_are_refused_responses(kind: str) -> None:
    assert refusal(ask(user({"type": kind, "data": "AA"}))).startswith("input[0].content[0]: ")


def test_an_untyped_item_is_a_message_or_nothing() -> None:
    assert sent(ask({"role": "user", "content": "hi"})).changes == ()
    assert "type" in refusal(ask({"id": "msg_1"}))


def test_addresses_in_annotations_do_not_pass() -> None:
    cited = {"type": "output_text", "text": "t", "annotations": [{"type": "url_citation", "url": AWAY}]}
    item = {"type": "message", "role": "assistant", "content": [cited]}
    assert AWAY not in json.dumps(sent(ask(item)).body)


@pytest.mark.parametrize("kind", ["reasoning", "compaction", "context_compaction"])
def test_items_that_are_only_an_id_name_nothing_stored(kind: str) -> None:
    """An id alone would have the provider look the item up among what it keeps, as ``item_reference`` does."""
    item = {"type": kind, "id": "rs_0123", "summary": [], "encrypted_content": None}
    body = {"model": "m", "store": False, "input": [item, {"role": "user", "content": "hi"}]}
    filtered = sent(body)
    assert "rs_0123" not in json.dumps(filtered.body)
    assert any("stored with the provider" in change for change in filtered.changes)
    sealed = {**item, "encrypted_content": "gAAAA"}
    assert sent({**body, "input": [sealed]}).body["input"][0]["id"] == "rs_0123"
