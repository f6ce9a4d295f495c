"""The agents that drive somebody's program with a model: how each is started and continued, what ends a turn, and
what is read of its logs. The programs themselves run under ``tests/agents``."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from curation_plugins.agents import session_log
from curation_plugins.agents.claude_code import ClaudeCodeAgent, ClaudeCodeOptions
from curation_plugins.agents.codex import CodexAgent, CodexOptions
from curation_plugins.agents.openhands import OpenHandsAgent, OpenHandsOptions
from curation_plugins.agents.programs import FOLDER
from curation_plugins.api import Agent, AgentLaunch, AgentOptions, AgentRequest, ModelChoice
from curation_plugins.config import load
from curation_plugins.errors import ConfigInvalid
from curation_probe.task import TASKS, ProbeTask
from curation_sandbox.gateway.wires import Wire

AGENTS: Sequence[Agent] = (ClaudeCodeAgent(), CodexAgent(), OpenHandsAgent())
SESSION = "0f8e1e57-6cf0-4a2f-8a0c-5c2f1c6e9a11"
PROMPT = "- Curate. \"quotes\" 'n' $HOME `date`\n--help\n"
MESSAGE = '- 2 iterations left; go on. "$HOME"'


def request(
    *, model: str | None = "big", wire: Wire = Wire.CHAT, prompt: str = PROMPT, options: AgentOptions | None = None
) -> AgentRequest:
    choice = None if model is None else ModelChoice(name=model, provider="some", wire=wire, small="little")
    return AgentRequest(
        task=ProbeTask(load(TASKS / "probe" / "task.yaml")),
        assets=Path("/nowhere"),
        seed=0,
        iterations=4,
        model=choice,
        gateway="http://127.0.0.1:18123",
        prompt=prompt,
        session=SESSION,
        options=options or AgentOptions(),
    )


def after(command: Sequence[str], flag: str) -> str:
    return command[command.index(flag) + 1]


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_without_a_model_the_hint_names_the_option(agent: Agent) -> None:
    with pytest.raises(ConfigInvalid) as error:
        agent.launch(request(model=None))
    assert "--model" in (error.value.hint or "")


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_options_of_another_agent_are_refused(agent: Agent) -> None:
    class Foreign(AgentOptions):
        pass

    with pytest.raises(ConfigInvalid, match="Foreign"):
        agent.launch(request(options=Foreign()))


@pytest.mark.parametrize("agent", [ClaudeCodeAgent(), CodexAgent()], ids=lambda agent: agent.name)
@pytest.mark.parametrize("prompt", ["x" * 100_001, "ü" * 50_001, "a\0b"])
def test_a_prompt_that_no_argument_can_hold_is_refused(agent: Agent, prompt: str) -> None:
    with pytest.raises(ConfigInvalid, match="in one argument"):
        agent.launch(request(prompt=prompt))
    with pytest.raises(ConfigInvalid, match="in one argument"):
        agent.proceed(request(), prompt)


def test_openhands_is_told_by_a_file_of_any_length() -> None:
    files = OpenHandsAgent().launch(request(prompt="x" * 300_000)).files
    assert len(json.loads(files[".curation/turn.json"])["prompt"]) == 300_000


@pytest.mark.parametrize("kind", [ClaudeCodeOptions, CodexOptions, OpenHandsOptions])
def test_every_option_says_what_it_does(kind: type[AgentOptions]) -> None:
    (node,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(node, ast.ClassDef)
    below = dict(zip(node.body, [*node.body[1:], None], strict=True))
    undocumented = [
        ast.unparse(field.target)
        for field, said in below.items()
        if isinstance(field, ast.AnnAssign)
        and not (isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant))
    ]
    assert undocumented == []


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (ClaudeCodeOptions, {"effort": "huge"}),
        (ClaudeCodeOptions, {"max_turns": "0"}),
        (CodexOptions, {"verbosity": "loud"}),
        (CodexOptions, {"sandbox": "off"}),
        (OpenHandsOptions, {"temperature": "3"}),
        (OpenHandsOptions, {"terminal_seconds": "0"}),
    ],
)
def test_options_that_make_no_sense_are_refused(kind: type[AgentOptions], wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        kind.model_validate(wrong)


# Claude Code


def test_claude_is_pointed_at_the_gateway_and_at_the_run_s_models_only() -> None:
    launch = ClaudeCodeAgent().launch(request())
    assert launch.image == "claude-code"
    assert launch.environment["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:18123"
    assert after(launch.command, "--model") == "big"
    asked = {name: value for name, value in launch.environment.items() if name.startswith("ANTHROPIC_DEFAULT_")}
    assert set(asked.values()) == {"big", "little"}
    assert asked["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "little"


def test_claude_s_prompt_comes_last_after_the_end_of_the_options() -> None:
    launch = ClaudeCodeAgent().launch(request())
    assert launch.command[-2:] == ("--", PROMPT)
    assert after(launch.command, "--session-id") == SESSION


def test_claude_has_no_tool_that_needs_a_network_or_another_day() -> None:
    denied = after(ClaudeCodeAgent().launch(request()).command, "--disallowedTools").split(",")
    assert {"WebSearch", "WebFetch", "ScheduleWakeup", "CronCreate"} <= set(denied)


def test_claude_s_options_become_flags_and_variables() -> None:
    options = ClaudeCodeOptions(
        effort="high",
        max_turns=7,
        max_output_tokens=5000,
        max_thinking_tokens=0,
        command_seconds=900,
        command_seconds_max=60,
    )
    launch = ClaudeCodeAgent().launch(request(options=options))
    assert (after(launch.command, "--effort"), after(launch.command, "--max-turns")) == ("high", "7")
    assert launch.environment["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "5000"
    assert launch.environment["MAX_THINKING_TOKENS"] == "0"
    assert launch.environment["BASH_DEFAULT_TIMEOUT_MS"] == "900000"
    assert launch.environment["BASH_MAX_TIMEOUT_MS"] == "900000"  # never below the default


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A folder for PATH whose ``claude`` and ``codex`` only write down their arguments."""
    for name in ("claude", "codex"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done\n')
        program.chmod(0o755)
    return tmp_path / "bin"


def run(launch: AgentLaunch | None, home: Path, programs: Path) -> list[str]:
    """What the stand-in was told when a launch's command ran with its variables."""
    assert launch is not None
    path = f"{programs}:{os.environ['PATH']}"
    environment = {**launch.environment, "HOME": str(home), "PATH": path}
    done = subprocess.run(launch.command, env=environment, capture_output=True, check=True, cwd=home, text=True)
    return done.stdout.split("\0")[:-1]


def claude_log(home: Path, content: str) -> Path:
    file = home / ".claude" / "projects" / "-workspace" / f"{SESSION}.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    return file


def test_claude_resumes_a_conversation_that_began(tmp_path: Path, stand_in: Path) -> None:
    claude_log(tmp_path, '{"type":"queue-operation"}\n{"parentUuid":null,"type":"user","message":{}}\n')
    told = run(ClaudeCodeAgent().proceed(request(), MESSAGE), tmp_path, stand_in)
    assert after(told, "--resume") == SESSION
    assert "--session-id" not in told
    assert told[-2:] == ["--", MESSAGE]
    assert after(told, "--model") == "big"


@pytest.mark.parametrize("content", [None, "", '{"type":"queue-operation","content":"x"}\n'])
def test_claude_begins_where_no_conversation_began(tmp_path: Path, stand_in: Path, content: str | None) -> None:
    """A container that was killed at once left no log, or one that can be neither resumed nor begun again."""
    left = None if content is None else claude_log(tmp_path, content)
    told = run(ClaudeCodeAgent().proceed(request(), MESSAGE), tmp_path, stand_in)
    assert after(told, "--session-id") == SESSION
    assert told[-2:] == ["--", f"{PROMPT}\n\n{MESSAGE}"]
    assert left is None or not left.exists()


def claude_row(**fields: Any) -> bytes:
    return json.dumps({"isSidechain": True, "agentId": "a55c", "type": "assistant", **fields}).encode()


def test_claude_s_sub_agents_are_found_in_their_logs(tmp_path: Path) -> None:
    session = tmp_path / ".claude" / "projects" / "-workspace" / SESSION
    (session / "subagents").mkdir(parents=True)
    calls = [{"type": "text", "text": "I look"}, {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}]
    rows = [
        claude_row(type="user", message={"role": "user", "content": "count"}),
        claude_row(attributionAgent="Explore", message={"id": "msg_1", "role": "assistant", "content": calls}),
        claude_row(agentId="b77d", message={"id": "msg_2", "role": "assistant", "content": []}),
        claude_row(isSidechain=False, message={"id": "msg_main", "role": "assistant"}),
        claude_row(message={"id": ["msg_3"], "role": "assistant", "content": [3, {"type": "tool_use"}]}),
        claude_row(message={"id": "bell\a", "role": "assistant"}),
        b"\xff\xfe",
    ]
    (session / "subagents" / "agent-a55c.jsonl").write_bytes(b"\n".join(rows))
    main = claude_row(message={"id": "msg_0", "role": "assistant"})
    session.with_suffix(".jsonl").write_bytes(main)
    assert ClaudeCodeAgent().threads(tmp_path) == {
        "msg_1": "Explore a55c",
        "toolu_1": "Explore a55c",
        "msg_2": "sub-agent b77d",
    }


# Codex


def codex_config(launch: AgentLaunch) -> dict[str, Any]:
    return tomllib.loads(launch.files[".codex/config.toml"])


@pytest.mark.parametrize("model", ["gpt-5", 'a"b\\c\n[features]\nplugins = true #', "ü\x7f\x1b"])
def test_codex_is_pointed_at_the_gateway_whatever_the_model_is_called(model: str) -> None:
    launch = CodexAgent().launch(request(model=model))
    config = codex_config(launch)
    assert config["model"] == model
    assert config["features"]["plugins"] is False
    provider = config["model_providers"][config["model_provider"]]
    assert provider["base_url"] == "http://127.0.0.1:18123/v1"
    assert provider["wire_api"] == "responses"
    assert provider["env_key"] in launch.environment
    assert config["web_search"] == "disabled"
    assert launch.command[-2:] == ("--", PROMPT)


def test_codex_s_options_stand_in_its_configuration() -> None:
    plain = codex_config(CodexAgent().launch(request()))
    assert not {"model_reasoning_effort", "model_verbosity", "model_context_window", "agents"} & set(plain)
    options = CodexOptions(reasoning_effort="high", verbosity="low", context_window=90_000, subagents=False)
    config = codex_config(CodexAgent().launch(request(options=options)))
    assert config["model_reasoning_effort"] == "high"
    assert config["model_verbosity"] == "low"
    assert config["model_context_window"] == 90_000
    assert config["agents"] == {"enabled": False}
    assert config["features"] == plain["features"]


def codex_log(home: Path, name: str, *rows: Any) -> Path:
    file = home / ".codex" / "sessions" / "2026" / "11" / "21" / f"rollout-{name}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def test_codex_resumes_its_last_conversation(tmp_path: Path, stand_in: Path) -> None:
    codex_log(tmp_path, "1", {"type": "session_meta"})
    told = run(CodexAgent().proceed(request(), MESSAGE), tmp_path, stand_in)
    assert told[:3] == ["exec", "resume", "--last"]
    assert told[-2:] == ["--", MESSAGE]


@pytest.mark.parametrize("empty_log", [False, True])
def test_codex_begins_where_no_conversation_began(tmp_path: Path, stand_in: Path, empty_log: bool) -> None:
    if empty_log:
        codex_log(tmp_path, "1")
    told = run(CodexAgent().proceed(request(), MESSAGE), tmp_path, stand_in)
    assert told[:2] == ["exec", "--json"]
    assert told[-2:] == ["--", f"{PROMPT}\n\n{MESSAGE}"]


def test_codex_s_sub_agents_are_found_in_their_logs(tmp_path: Path) -> None:
    codex_log(
        tmp_path,
        "main",
        {"type": "session_meta", "payload": {"id": "t0", "thread_source": "user"}},
        {"type": "token_usage_record", "payload": {"response_id": "resp_0"}},
        {"type": "session_meta", "payload": {"id": "t0", "thread_source": "subagent"}},
        {"type": "token_usage_record", "payload": {"response_id": "resp_1"}},
    )
    codex_log(
        tmp_path,
        "sub",
        {"type": "session_meta", "payload": {"id": "t1", "thread_source": "subagent", "agent_nickname": "Aristotle"}},
        {"type": "event_msg", "payload": {"id": "no"}},
        {"type": "response_item", "payload": {"type": "message", "role": "user", "id": "msg_u"}},
        {"type": "response_item", "payload": {"type": "function_call", "id": "fc_2", "call_id": "call_2"}},
        {"type": "response_item", "payload": {"type": "function_call_output", "id": "fco_2", "output": "x"}},
        {"type": "token_usage_record", "payload": {"response_id": "resp_2"}},
        {"type": "token_usage_record", "payload": ["resp_3"]},
    )
    assert CodexAgent().threads(tmp_path) == dict.fromkeys(("fc_2", "call_2", "resp_2"), "Aristotle")


# OpenHands


def turn(launch: AgentLaunch | None) -> dict[str, Any]:
    assert launch is not None
    loaded = json.loads(launch.files[".curation/turn.json"])
    assert isinstance(loaded, dict)
    return loaded


def test_openhands_speaks_chat_completions_with_any_model() -> None:
    told = turn(OpenHandsAgent().launch(request(model="moonshotai/Kimi-K2-Instruct")))
    assert told["model"] == "openai/moonshotai/Kimi-K2-Instruct"
    assert told["small"] == "openai/little"
    assert told["base_url"] == "http://127.0.0.1:18123/v1"


def test_openhands_speaks_messages_where_the_provider_does() -> None:
    told = turn(OpenHandsAgent().launch(request(model="claude-x", wire=Wire.MESSAGES)))
    assert (told["model"], told["base_url"]) == ("anthropic/claude-x", "http://127.0.0.1:18123")


def test_openhands_is_told_the_prompt_and_the_message_of_one_conversation() -> None:
    agent = OpenHandsAgent()
    first, second = turn(agent.launch(request())), turn(agent.proceed(request(), MESSAGE))
    assert (first["prompt"], first["message"]) == (PROMPT, None)
    assert {**second, "message": None} == first
    assert (second["message"], second["session"]) == (MESSAGE, SESSION)


def test_openhands_options_reach_the_runner_and_what_is_asked_for_is_sent() -> None:
    plain = turn(OpenHandsAgent().launch(request()))
    assert plain["settings"]["capability_overrides"] == {}
    options = OpenHandsOptions(max_iterations=9, terminal_seconds=30, temperature=0.5, reasoning_effort="low")
    told = turn(OpenHandsAgent().launch(request(options=options)))
    assert (told["max_iterations"], told["terminal_seconds"]) == (9, 30)
    assert told["settings"]["temperature"] == 0.5
    assert told["settings"]["capability_overrides"] == {
        "supports_sampling_params": True,
        "supports_reasoning_effort": True,
    }


def test_openhands_runner_is_where_its_command_says() -> None:
    launch = OpenHandsAgent().launch(request())
    (mount,) = launch.mounts
    script = next(word for word in launch.command if word.endswith(".py"))
    assert (mount.source / Path(script).relative_to(mount.target)).is_file()


def test_openhands_runner_ends_with_one_object_and_a_status_whatever_happens(tmp_path: Path) -> None:
    """Here without the SDK: what fails at once is told in the same way as what fails late."""
    (tmp_path / "turn.json").write_text('{"session": "none"}')
    for file in ("missing.json", "turn.json"):
        done = subprocess.run(
            [sys.executable, "-I", "-B", str(FOLDER / "openhands" / "run.py"), str(tmp_path / file)],
            capture_output=True,
            text=True,
            check=False,
            env={"HOME": str(tmp_path)},
        )
        assert done.returncode == 1
        (line,) = done.stdout.splitlines()
        assert json.loads(line)["status"] == "error"
        assert OpenHandsAgent().is_final(line.encode())
        assert "Traceback" in done.stderr


# What is read


@pytest.mark.parametrize(
    ("agent", "line"),
    [
        (ClaudeCodeAgent(), b'{"duration_api_ms":1,"type":"result","is_error":true,"subtype":"success"}\r\n'),
        (CodexAgent(), b'{"type":"turn.completed","usage":{}}'),
        (CodexAgent(), b'{"type":"turn.failed","error":{"message":"no"}}'),
        (OpenHandsAgent(), b'{"type": "end", "status": "stuck", "message": ""}'),
    ],
    ids=lambda value: value.name if isinstance(value, Agent) else None,
)
def test_the_last_event_of_a_turn_is_known(agent: Agent, line: bytes) -> None:
    assert agent.is_final(line)


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"user","x":"{\\"type\\":\\"result\\"} {\\"type\\":\\"turn.completed\\"} {\\"type\\":\\"end\\"}"}',
        b'{"type":"event","of":{"type":"result"},"in":{"type":"turn.completed"},"at":{"type":"end"}}',
        b'["result", "turn.completed", "end"]',
        b'"result" {"type":"result"} {"type":"turn.completed"} {"type":"end"}',
        b'{"type":["result","turn.completed","end"]}',
    ],
)
def test_final_words_inside_what_a_model_or_a_tool_says_end_nothing(agent: Agent, line: bytes) -> None:
    assert not agent.is_final(line)


def test_a_line_longer_than_any_event_is_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    line = b'{"type":"result","result":"' + b"x" * 1000 + b'"}'
    assert ClaudeCodeAgent().is_final(line)
    monkeypatch.setattr(session_log, "LINE_BYTES", 1000)
    assert not ClaudeCodeAgent().is_final(line)


def test_a_log_of_one_endless_line_is_read_in_bounded_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_log, "LINE_BYTES", 100)
    monkeypatch.setattr(session_log, "FILE_BYTES", 1000)
    (tmp_path / "a.jsonl").write_bytes(b'{"n":1}\n' + b"x" * 500 + b'\n{"n":2}\n' + b"x" * 5000 + b'\n{"n":3}\n')
    ((_, rows),) = session_log.entries(tmp_path, "*.jsonl")
    assert [row["n"] for row in rows] == [1, 2]


def test_a_log_that_is_a_link_or_a_pipe_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('{"n":1}\n')
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "b.jsonl")
    assert [list(rows) for _, rows in session_log.entries(tmp_path, "*.jsonl")] == [[], []]


def test_more_ids_than_any_conversation_has_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("claude_code", "codex"):
        monkeypatch.setattr(f"curation_plugins.agents.{module}.NAMES", 3)
    folder = tmp_path / ".claude" / "projects" / "p" / "s" / "subagents"
    folder.mkdir(parents=True)
    rows = [claude_row(message={"id": f"msg_{number}", "role": "assistant"}) for number in range(9)]
    (folder / "agent-a.jsonl").write_bytes(b"\n".join(rows))
    usage = [{"type": "token_usage_record", "payload": {"response_id": f"r{number}"}} for number in range(9)]
    codex_log(tmp_path, "s", {"type": "session_meta", "payload": {"thread_source": "subagent"}}, *usage)
    assert len(ClaudeCodeAgent().threads(tmp_path)) == 3
    assert len(CodexAgent().threads(tmp_path)) == 3
