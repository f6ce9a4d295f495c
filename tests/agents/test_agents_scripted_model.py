"""The scripted model itself: it must be as strict and as exact as the providers it stands for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
import zstandard
from scripted_model import KEY, ScriptedModel
from scripted_moves import Call, Cut, Fail, Run, Say, Script, Think

BASH = {"name": "Bash", "input_schema": {"type": "object"}}
EXEC = {"type": "function", "name": "exec_command", "parameters": {}}
POLL = {"type": "function", "name": "write_stdin", "parameters": {}}
TERMINAL = {"type": "function", "function": {"name": "terminal", "parameters": {}}}
MOVES = [Think("hm"), Run("ls", say="looking"), Say("over"), Call("other", {"a": 1})]


class Client:
    """Speaks to a model in each wire, without a program of its own."""

    def __init__(self, model: ScriptedModel) -> None:
        headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
        self.http = httpx.Client(base_url=model.base_url, headers=headers, timeout=10)

    def messages(self, history: Sequence[dict] = (), **more: object) -> httpx.Response:
        messages = [{"role": "user", "content": "go"}, *history]
        body = {"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": messages, "tools": [BASH], **more}
        return self.http.post("/v1/messages?beta=true", json=body)

    def responses(self, history: Sequence[dict] = (), **more: object) -> httpx.Response:
        items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]}, *history]
        body = {"model": "gpt-5", "input": items, "tools": [EXEC, POLL], **more}
        return self.http.post("/v1/responses", json=body)

    def chat(self, history: Sequence[dict] = (), **more: object) -> httpx.Response:
        messages = [{"role": "user", "content": "go"}, *history]
        body = {"model": "scripted", "messages": messages, "tools": [TERMINAL], **more}
        return self.http.post("/v1/chat/completions", json=body)


@pytest.fixture
def open_client():
    """``client = open_client(moves)``"""
    opened = []

    def start(moves) -> Client:
        model = ScriptedModel(moves)
        opened.append(model)
        client = Client(model.__enter__())
        client.model = model
        return client

    yield start
    for model in opened:
        model.__exit__(None, None, None)


def sse(response: httpx.Response) -> list[dict]:
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def test_messages_streamed_and_whole_say_the_same(open_client):
    client = open_client(MOVES)
    whole = client.messages().json()
    assert [block["type"] for block in whole["content"]] == ["thinking", "text", "tool_use"]
    assert whole["stop_reason"] == "tool_use"
    events = sse(client.messages(stream=True))
    order = [event["type"] for event in events]
    assert order[:3] == ["message_start", "content_block_start", "ping"]
    assert order[-2:] == ["message_delta", "message_stop"]
    assert events[0]["message"]["id"] == whole["id"]
    assert events[-2]["usage"] == whole["usage"]
    parts = [event["delta"].get("partial_json", "") for event in events if event["type"] == "content_block_delta"]
    assert json.loads("".join(parts)) == whole["content"][-1]["input"] == {"command": "ls"}


def test_responses_streamed_and_whole_say_the_same(open_client):
    client = open_client(MOVES)
    whole = client.responses().json()
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message", "function_call"]
    events = sse(client.responses(stream=True))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [events[0]["type"], events[-1]["type"]] == ["response.created", "response.completed"]
    assert events[-1]["response"] == whole
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == whole["output"]
    assert json.loads(whole["output"][-1]["arguments"]) == {"cmd": "ls"}


def test_chat_streamed_and_whole_say_the_same(open_client):
    client = open_client(MOVES)
    whole = client.chat().json()
    call = whole["choices"][0]["message"]["tool_calls"][0]
    chunks = sse(client.chat(stream=True, stream_options={"include_usage": True}))
    assert chunks[-1]["usage"] == whole["usage"]
    assert chunks[-1]["choices"] == []
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    arguments = "".join(
        part["function"]["arguments"]
        for delta in deltas
        for part in delta.get("tool_calls", ())
        if "function" in part
    )
    assert arguments == call["function"]["arguments"] == '{"command": "ls"}'
    assert client.chat(stream=True).text.endswith("data: [DONE]\n\n")
    assert all("usage" not in chunk for chunk in sse(client.chat(stream=True)))


def test_the_place_in_the_script_is_read_from_the_conversation(open_client):
    client = open_client(MOVES)
    first = client.messages().json()
    ran = [
        {"role": "assistant", "content": first["content"]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": first["content"][-1]["id"], "content": "a"}],
        },
    ]
    second = client.messages(ran).json()
    assert second["content"] == [{"type": "text", "text": "over"}]
    # what the program says in the model's name does not count
    made_up = [{"role": "assistant", "content": "No response requested."}, {"role": "user", "content": "go on"}]
    assert client.messages([*ran, *made_up]).json() == second
    said = [{"role": "assistant", "content": "over"}, {"role": "user", "content": "go on"}]
    third = client.messages([*ran, *said]).json()
    assert third["content"][0]["name"] == "other"
    after = [
        {"role": "assistant", "content": third["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": third["content"][0]["id"]}]},
    ]
    assert client.messages([*ran, *said, *after]).json()["content"][0]["text"] == "done"
    assert [asked.place.index for asked in client.model.turns] == [0, 1, 1, 2, 3]


def test_a_command_that_is_still_running_is_waited_for(open_client):
    client = open_client([Run("long"), Say("over")])
    call = client.responses().json()["output"][0]
    answer = {"type": "function_call_output", "call_id": call["call_id"]}
    running = {**answer, "output": "Process running with session ID 77\nOutput:\n"}
    poll = client.responses([call, running]).json()["output"][0]
    assert (poll["name"], json.loads(poll["arguments"])["session_id"]) == ("write_stdin", 77)
    exited = {"type": "function_call_output", "call_id": poll["call_id"], "output": "Process exited with code 0"}
    over = client.responses([call, running, poll, exited]).json()["output"][0]
    assert over["content"][0]["text"] == "over"


def test_a_call_is_repeated_until_its_output_holds_a_text(open_client):
    client = open_client([Run("look", until="scored"), Say("over")])
    history: list[dict] = []
    for output in ("running", "running", "scored"):
        message = client.chat(history).json()["choices"][0]["message"]
        call = message["tool_calls"][0]
        history += [message, {"role": "tool", "tool_call_id": call["id"], "content": output}]
    assert len({message["tool_calls"][0]["id"] for message in history[::2]}) == 3
    assert client.chat(history).json()["choices"][0]["message"]["content"] == "over"


def test_a_sub_agents_conversation_has_moves_of_its_own(open_client):
    client = open_client(Script([Say("main")], threads={"SUB TASK": [Say("from the sub-agent")]}))
    own = client.messages(messages=[{"role": "user", "content": "SUB TASK: look"}]).json()
    assert own["content"][0]["text"] == "from the sub-agent"
    assert client.messages().json()["content"][0]["text"] == "main"


def test_requests_without_tools_are_no_part_of_the_script(open_client):
    client = open_client(MOVES)
    assert client.messages(tools=[]).json()["content"][0]["type"] == "text"
    assert client.messages(tools=[{"type": "web_search_20250305", "name": "web_search"}]).status_code == 200
    assert client.model.turns == []
    assert len(client.model.requests) == 2


def test_failures_come_as_often_as_they_were_asked_for(open_client):
    client = open_client([Fail(429, retry_after=3, times=2), Fail(529), Cut(3), Say("over")])
    first = client.messages(stream=True)
    assert (first.status_code, first.headers["retry-after"]) == (429, "3")
    assert first.json()["error"]["type"] == "rate_limit_error"
    assert [client.messages().status_code for _ in range(2)] == [429, 529]
    with pytest.raises(httpx.TransportError):
        client.messages(stream=True)
    assert client.messages().status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_reset_connection_has_no_answer(open_client, stream):
    client = open_client([Fail(0, times=None), Say("over")])
    with pytest.raises(httpx.TransportError):
        client.chat(stream=stream)


def test_bad_requests_are_refused_as_providers_do(open_client):
    client = open_client(MOVES)
    call = client.messages().json()["content"]
    unanswered = [{"role": "assistant", "content": call}, {"role": "user", "content": "and?"}]
    assert client.messages(unanswered).status_code == 400
    assert client.messages(model="another").status_code == 404
    assert client.messages(max_tokens=None).status_code == 200
    client.http.headers.pop("anthropic-version")
    assert client.messages().status_code == 400
    assert client.chat(tools=[EXEC | {"function": {"name": "strange"}}]).status_code == 400
    client.http.headers["x-api-key"] = "sk-another"
    assert client.messages().status_code == 401
    assert client.http.get("/v1/models").status_code == 401


def test_compressed_requests_are_read(open_client):
    client = open_client(MOVES)
    body = json.dumps({"model": "gpt-5", "input": "go", "tools": [EXEC]}).encode()
    packed = zstandard.ZstdCompressor().compress(body)
    reply = client.http.post("/v1/responses", content=packed, headers={"content-encoding": "zstd"})
    assert reply.status_code == 200
    assert client.model.requests[-1].raw == body


def test_two_runs_of_a_script_give_equal_bytes(open_client):
    one, two = open_client(MOVES), open_client(MOVES)
    for ask in (Client.messages, Client.responses, Client.chat):
        assert ask(one, stream=True).content == ask(two, stream=True).content
        assert ask(one).content == ask(two).content


def test_it_runs_as_a_program(tmp_path):
    script = tmp_path / "script.json"
    script.write_text('[{"move": "Say", "text": "from a file"}]')
    program = Path(__file__).with_name("scripted_model.py")
    arguments = [sys.executable, str(program), "--script", str(script), "--key", KEY]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        base_url = process.stdout.readline().strip()
        listed = httpx.get(f"{base_url}/v1/models", headers={"authorization": f"Bearer {KEY}"})
        process.kill()
    assert "scripted" in [model["id"] for model in listed.json()["data"]]
