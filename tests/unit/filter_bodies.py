"""Small request bodies in the shape that the stock programs send (Claude Code 2.1.329, Codex 0.169.0, OpenHands
SDK 1.58.0), made by hand after what was seen on the wire. Each call returns a fresh one."""

from __future__ import annotations

import copy
import json
from typing import Any, Final

PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PNG: Final = f"data:image/png;base64,{PIXEL}"
PDF: Final = "data:application/pdf;base64,JVBERi0xLjQK"
AWAY: Final = "https://away.example/leak?x=1"
_CACHED: Final = {"type": "ephemeral"}
_SCHEMA: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"command": {"type": "string", "description": "what to run"}, "id": {"$ref": "#/$defs/id"}},
    "required": ["command"],
    "additionalProperties": False,
    "$defs": {"id": {"type": "integer"}},
}

_CLAUDE_CODE: Final[dict[str, Any]] = {
    "model": "claude-opus-5-5",
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "look around", "cache_control": _CACHED}]},
        {"role": "system", "content": "the environment", "output_config": {"effort": "medium"}},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "b3BhcXVl"},
                {"type": "text", "text": "looking", "citations": None},
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls", "url": AWAY}},
                {"type": "tool_use", "id": "toolu_2", "name": "Read", "input": {"file_path": "/pool/a.png"}},
                {
                    "type": "tool_use",
                    "id": "toolu_3",
                    "name": "ToolSearch",
                    "input": {"query": "select:NotebookEdit"},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a.png", "is_error": False},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                        {"type": "text", "text": "a pixel"},
                    ],
                    "cache_control": _CACHED,
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_3",
                    "content": [{"type": "tool_reference", "tool_name": "NotebookEdit"}],
                },
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"},
                    "title": "a paper",
                },
            ],
        },
        {
            "role": "system",
            "content": [
                {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "NotebookEdit"}},
                {
                    "type": "tool_addition",
                    "tool": {"type": "tool_definition", "definition": {"name": "Late", "input_schema": _SCHEMA}},
                },
            ],
        },
    ],
    "system": [{"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "tools": [
        {"name": "Bash", "description": "runs a command", "input_schema": _SCHEMA},
        {"name": "NotebookEdit", "description": "edits", "input_schema": _SCHEMA, "defer_loading": True},
        {"type": "custom", "name": "Read", "input_schema": {"type": "object"}, "strict": False},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 1000},
    ],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": False},
    "max_tokens": 32000,
    "thinking": {"type": "enabled", "budget_tokens": 31999, "display": "updates"},
    "context_management": {
        "edits": [
            {"type": "clear_thinking_20251015", "keep": "all"},
            {"type": "clear_tool_uses_20250919", "trigger": {"type": "input_tokens", "value": 9}},
        ]
    },
    "output_config": {"effort": "high"},
    "temperature": 1,
    "stream": True,
}
_FUNCTION: Final = {
    "type": "function",
    "name": "wait",
    "description": "waits",
    "strict": False,
    "parameters": _SCHEMA,
}
_FREEFORM: Final = {
    "type": "custom",
    "name": "apply_patch",
    "description": "edits files",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /./"},
}
_NAMESPACE: Final = {"type": "namespace", "name": "functions", "description": "", "tools": [_FUNCTION, _FREEFORM]}

_CODEX: Final[dict[str, Any]] = {
    "model": "gpt-6-sol",
    "instructions": "You are an agent.",
    "stream": True,
    "input": [
        {"type": "additional_tools", "id": "at_1", "role": "developer", "tools": [_NAMESPACE]},
        {"type": "message", "id": "msg_1", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
        {"role": "user", "content": "look around"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "b3BhcXVl"},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "view_image", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": [{"type": "input_image", "image_url": PNG, "detail": "high"}],
        },
        {"type": "function_call_output", "call_id": "c9", "output": "a.png"},
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c2", "name": "exec", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "a.png"}]},
        {"type": "tool_search_call", "call_id": "c3", "execution": "client", "arguments": {"query": "spawn"}},
        {
            "type": "tool_search_output",
            "call_id": "c3",
            "status": "completed",
            "execution": "client",
            "tools": [_NAMESPACE],
        },
        {
            "type": "agent_message",
            "id": "amsg_1",
            "author": "/root",
            "recipient": "/root/t1",
            "content": [
                {"type": "input_text", "text": "a task"},
                {"type": "encrypted_content", "encrypted_content": "b3BhcXVl"},
            ],
        },
        {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "done", "annotations": []}],
        },
        {"type": "compaction", "encrypted_content": "b3BhcXVl"},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_file", "filename": "a.pdf", "file_data": PDF}],
        },
    ],
    "tools": [
        _FUNCTION,
        _FREEFORM,
        _NAMESPACE,
        {"type": "local_shell"},
        {"type": "tool_search", "execution": "client", "description": "finds tools", "parameters": _SCHEMA},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto", "context": "all_turns"},
    "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "answer", "schema": _SCHEMA}},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "01a1fce3",
}

_OPENHANDS: Final[dict[str, Any]] = {
    "model": "moonshotai/Kimi-K2-Thinking",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "You are an agent.", "cache_control": _CACHED}]},
        {"role": "user", "content": "look around"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "terminal", "arguments": '{"command": "ls"}'}}
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "c1",
            "name": "terminal",
            "content": [{"type": "text", "text": "a.png"}, {"type": "image_url", "image_url": {"url": PNG}}],
        },
        {"role": "user", "content": [{"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}]},
    ],
    "tools": [
        {"type": "function", "function": {"name": "terminal", "description": "runs", "parameters": _SCHEMA}},
        {"type": "custom", "custom": {"name": "patch", "format": {"type": "text"}}},
    ],
    "tool_choice": "auto",
    "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": _SCHEMA}},
    "max_completion_tokens": 16384,
    "temperature": 0.5,
    "stop": ["END"],
    "reasoning_effort": "high",
    "chat_template_kwargs": {"enable_thinking": True},
    "prompt_cache_key": "61974b5a",
}


def claude_code() -> dict[str, Any]:
    return copy.deepcopy(_CLAUDE_CODE)


def codex() -> dict[str, Any]:
    return copy.deepcopy(_CODEX)


def openhands() -> dict[str, Any]:
    return copy.deepcopy(_OPENHANDS)


def sse(*events: dict[str, Any] | str, newline: str = "\n") -> bytes:
    """A stream of these events, each with its name as the real providers write it."""
    lines: list[str] = []
    for event in events:
        if isinstance(event, dict) and "type" in event:
            lines.append(f"event: {event['type']}")
        lines += [f"data: {event if isinstance(event, str) else json.dumps(event)}", ""]
    return newline.join((*lines, "")).encode()
