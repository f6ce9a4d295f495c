"""Ways out of the container through the Chat Completions API, one test each."""

from __future__ import annotations

from typing import Any

import pytest

from curation_sandbox.gateway.filters import Filtered, Refused, filter_body
from curation_sandbox.gateway.wires import Wire
from filter_bodies import AWAY, PDF, PNG, openhands

MINE = {"type": "function", "function": {"name": "terminal", "parameters": {"type": "object"}}}


def sent(body: dict[str, Any]) -> Filtered:
    return filter_body(Wire.CHAT, "generate", body)


def ask(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": list(parts)}], **more}


def refusal(body: dict[str, Any]) -> str:
    with pytest.raises(Refused) as caught:
        sent(body)
    return str(caught.value)


def picture(url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def test_what_openhands_sends_passes_untouched() -> None:
    assert sent(openhands()) == Filtered(openhands(), ())


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search"},
        {"type": "web_search_preview"},
        {"type": "code_interpreter"},
        {"type": "mcp", "server_url": AWAY},
        {"type": "builtin_function", "function": {"name": "$web_search"}},
        {"type": "function", "function": {"name": "$web_search"}},
        {"type": "function", "function": {"name": ""}},
        {"type": "function", "function": {"name": "terminal $web_search"}},
        {"type": "openrouter:web_search"},
        {"type": "Function", "function": {"name": "x"}},
        {"type": ["function"], "function": {"name": "x"}},
        {"function": {"name": "x"}},
        {"google_search": {}},
        {"type": "a_tool_of_next_year"},
    ],
)
def test_server_tool_is_stripped_chat(tool: dict[str, Any]) -> None:
    filtered = sent(ask(tools=[tool, MINE]))
    assert filtered.body["tools"] == [MINE]
    assert len(filtered.changes) == 1
    assert filtered.changes[0].startswith("tools[0]: ")
    alone = sent(ask(tools=[tool], tool_choice="required"))
    assert not {"tools", "tool_choice"} & set(alone.body)


def test_a_demanded_server_tool_is_refused_chat() -> None:
    search = {"type": "function", "function": {"name": "$web_search"}}
    assert refusal(ask(tools=[search, MINE], tool_choice=search)).startswith("tool_choice: ")
    assert refusal(ask(tools=[MINE], tool_choice={"type": "web_search"})).startswith("tool_choice: ")
    assert refusal(ask(functions=[{"name": "$x"}], function_call={"name": "$x"})).startswith("function_call: ")


def test_a_server_tool_among_legacy_functions_is_stripped() -> None:
    filtered = sent(ask(functions=[{"name": "$web_search"}, {"name": "terminal"}], function_call="auto"))
    assert filtered.body["functions"] == [{"name": "terminal"}]


@pytest.mark.parametrize(
    "field",
    [
        {"web_search_options": {}},
        {"enable_search": True},
        {"search_parameters": {"mode": "on"}},
        {"plugins": [{"id": "web"}]},
        {"extra_body": {"google": {}}},
        {"models": ["other"]},
        {"provider": {"order": ["x"]}},
        {"documents": [{"url": AWAY}]},
        {"chat_template": "{{ x }}"},
        {"modalities": ["text", "audio"]},
        {"audio": {"voice": "x", "format": "wav"}},
        {"store": True},
        {"metadata": {"who": "x"}},
        {"user": "x"},
        {"safety_identifier": "x"},
        {"service_tier": "priority"},
        {"a_field_of_next_year": {"url": AWAY}},
    ],
)
def test_search_storage_sound_and_unknown_flags_are_stripped(field: dict[str, Any]) -> None:
    filtered = sent(ask(**field))
    assert filtered.body == ask()
    assert len(filtered.changes) == 1
    assert filtered.changes[0].startswith(f"{next(iter(field))}: ")


def test_the_servers_template_cannot_be_replaced_through_its_arguments() -> None:
    filtered = sent(ask(chat_template_kwargs={"enable_thinking": False, "chat_template": "{{ x }}", "tokenize": 1}))
    assert filtered.body["chat_template_kwargs"] == {"enable_thinking": False}


@pytest.mark.parametrize(
    "url",
    [AWAY, "file:///etc/passwd", "DATA:image/png;base64,AA", "data:image/svg+xml,x", "data:;,x", "", None, [PNG]],
)
def test_remote_image_url_is_refused_chat(url: Any) -> None:
    assert "image_url" in refusal(ask(picture(url)))
    assert "image_url" in refusal(ask({"type": "image_url", "image_url": url}))
    body = {"model": "m", "messages": [{"role": "tool", "tool_call_id": "c", "content": [picture(url)]}]}
    assert refusal(body).startswith("messages[0].content[0].image_url")


def test_inline_picture_passes_in_both_spellings() -> None:
    assert sent(ask(picture(PNG), {"type": "image_url", "image_url": PNG})).changes == ()


@pytest.mark.parametrize(
    "part",
    [
        {"type": "video_url", "video_url": {"url": AWAY}},
        {"type": "audio_url", "audio_url": {"url": AWAY}},
        {"type": "input_audio", "input_audio": {"data": AWAY, "format": "wav"}},
        {"type": "image_embeds", "image_embeds": "x"},
        {"type": "a_part_of_next_year"},
        {"type": "Image_URL", "image_url": {"url": PNG}},
        {"type": ["text"], "text": "x"},
        {"text": "x"},
    ],
)
def test_other_media_are_refused_chat(part: dict[str, Any]) -> None:
    assert refusal(ask(part)).startswith("messages[0].content[0]: ")


def test_file_id_is_refused_chat() -> None:
    assert "file" in refusal(ask({"type": "file", "file": {"file_id": "file_1"}}))
    assert "file_id" in refusal(ask({"type": "file", "file": {"file_data": PDF, "file_id": "file_1"}}))
    assert "file_data" in refusal(ask({"type": "file", "file": {"file_data": AWAY}}))


def test_sound_stored_at_the_provider_is_refused() -> None:
    body = {"model": "m", "messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}
    assert refusal(body).startswith("messages[0].audio: ")


def test_one_request_gives_one_answer() -> None:
    assert sent(ask(n=100)) == Filtered(ask(n=1), ("n: set to 1",))
    assert sent(ask(n=1)).changes == ()
    assert refusal(ask(n=[100])).startswith("n: ")


@pytest.mark.parametrize(
    "options", [{}, {"stream_options": None}, {"stream_options": {}}, {"stream_options": {"include_usage": False}}]
)
def test_a_stream_cannot_hide_its_usage(options: dict[str, Any]) -> None:
    filtered = sent(ask(stream=True, **options))
    assert filtered.body["stream_options"] == {"include_usage": True}
    assert filtered.changes == ("stream_options.include_usage: set to true",)
    assert sent(filtered.body).changes == ()
    assert "stream_options" not in sent(ask(stream=False)).body
