"""Attacks by what is asked for: injected headers, other paths, other models, what the provider would do."""

from __future__ import annotations

import json
from typing import Any

from talk import MODEL, message, request, say

Given = dict[str, Any]
FAR = "evil.example"
"""Never to be seen by the provider."""


HEADERS = {
    "x-api-key": "injected-key",
    "api-key": "injected-key",
    "authorization": "Bearer injected-key",
    "proxy-authorization": "Basic injected",
    "cookie": "session=injected",
    "host": "injected.evil.example",
    "x-forwarded-for": "injected",
    "x-forwarded-host": "injected.evil.example",
    "forwarded": "host=injected.evil.example",
    "x-original-url": "/v1/files?injected",
    "x-rewrite-url": "/v1/files?injected",
    "x-http-method-override": "DELETE injected",
    "proxy": "http://injected.evil.example",
    "openai-organization": "org-injected",
    "openai-project": "proj-injected",
    "openai-beta": "assistants=v2 injected",
    "anthropic-organization-id": "injected",
    "anthropic-workspace-id": "injected",
    "x-goog-api-key": "injected",
    "via": "1.1 injected",
    "te": "trailers, injected",
    "trailer": "x-injected",
    "connection": "x-api-key, injected",
    "keep-alive": "injected",
    "accept-encoding": "injected",
    "range": "bytes=injected",
    "x-stainless-helper": "injected",
    "idempotency-key": "injected",
    "priority": "injected",
}


def headers(given: Given) -> dict[str, int]:
    """Headers of its own: each request may pass, the header may not."""
    found = {name: say(request(message("header"), headers={name: value})).status for name, value in HEADERS.items()}
    every = [(name, value) for name, value in HEADERS.items() if name not in ("host", "connection", "te", "trailer")]
    found["all together, twice"] = say(request(message("header"), headers=every * 2)).status
    beta = {"anthropic-beta": "files-api-2025-04-14,injected-2025-01-01,mcp-client-2025-04-04,oauth-2025-04-20"}
    found["beta flags"] = say(request(message("header"), headers=beta)).status
    return found


def header_lines(given: Given) -> dict[str, int]:
    """New header lines in a value, a name, the query or the model's name, however they are spelt."""
    breaks = ("\r\n", "\r", "\n", "\0", "\x85", "\u2028", "\\r\\n", "%0d%0a", "\u560d\u560a")
    found = {}
    for number, end in enumerate(breaks):
        line = f"{end}x-injected: injected"
        for name in ("anthropic-version", "anthropic-beta", "user-agent", "accept", "content-type"):
            value = {"anthropic-version": "2023-06-01", "content-type": "application/json"}.get(name, "a")
            raw = request(message("line"), headers={name: f"{value}{line}"})
            found[f"{number} in {name}"] = say(raw).status
        found[f"{number} in a name"] = say(request(message("line"), headers={f"accept{line}x": "injected"})).status
        found[f"{number} in the query"] = say(request(message("line"), target=f"/v1/messages?beta=true{line}")).status
        found[f"{number} in the model"] = say(request(message("line", model=f"{MODEL}{line}"))).status
    return found


PATHS = (
    "/",
    "/v1",
    "/v1/files",
    "/v1/files/file_1/content",
    "/v1/../admin",
    "/v1/messages/../files",
    "/v1/./messages",
    "//v1/messages",
    "/v1//messages",
    "/v1/messages/",
    "/v1/messages;x=/v1/files",
    "/v1/messages%2f..%2ffiles",
    "/v1/%6dessages",
    "/v1/messages%00",
    "/v1/messages\\..\\files",
    "/v1/%2e%2e/admin",
    "/V1/MESSAGES",
    "/v1/messages/batches",
    "/v1/messages/batches/x/results",
    "/v1/organizations/api_keys",
    "/v1/responses/resp_1",
    "/v1/responses/compact",
    "/v1/conversations",
    "/v1/containers",
    "/v1/skills",
    "/v1/vector_stores",
    "/v1/assistants",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/complete",
    "/v1/images/generations",
    "/v1/audio/speech",
    "/v1/realtime",
    "/v1/models/claude-opus-4-1",
    "/api/oauth/token",
    "/metrics",
    "/docs",
    "/openapi.json",
    "*",
    "v1/messages",
    "evil.example:443",
    "http://evil.example/v1/messages",
    "https://api.anthropic.com/v1/files",
    "http://169.254.169.254/latest/meta-data",
    "/@evil.example/v1/messages",
    "/v1/messages@evil.example",
)


def paths(given: Given) -> dict[str, int]:
    """Everything but the few pairs of method and path that are allowed."""
    body = message("path")
    found = {f"POST {path}": say(request(body, target=path)).status for path in PATHS}
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "PROPFIND", "POSTPOST"):
        found[f"{method} /v1/messages"] = say(request(body, method=method)).status
    for target in ("/v1/models", "/api/hello"):
        found[f"POST {target}"] = say(request(body, target=target)).status
    return found


# ---------------------------------------------------------------- what a body asks for


def models(given: Given) -> dict[str, int]:
    """Models that are not the run's."""
    others: list[Any] = [
        "claude-haiku-4-5",
        "claude-opus-4-1",
        "gpt-5",
        "",
        "CLAUDE-SONNET-4-5",
        f"{MODEL} ",
        f" {MODEL}",
        f"{MODEL}\0",
        f"{MODEL}/../claude-haiku-4-5",
        "cl\u0430ude-sonnet-4-5",
        "*",
        "a" * 100_000,
        None,
        7,
        [MODEL],
        {"id": MODEL},
    ]
    found = {f"{str(model)[:40]!r}": say(request(message("model", model=model))).status for model in others}
    plain = json.loads(message("model"))
    del plain["model"]
    found["none"] = say(request(json.dumps(plain).encode())).status
    twice = message("model")[:-1] + b', "model": "claude-haiku-4-5"}'
    found["twice"] = say(request(twice)).status
    first = b'{"model": "claude-haiku-4-5", ' + message("model")[1:]
    found["twice, the other first"] = say(request(first)).status
    return found


def tools(given: Given) -> dict[str, int]:
    """Tools that the provider runs, files and media it fetches, conversations it keeps: for each wire."""
    found = {}
    for name, fields in _messages_asks().items():
        found[f"messages: {name}"] = say(request(message("tool", **fields))).status
    for name, fields in _responses_asks().items():
        body = json.dumps({"model": MODEL, "input": "tool", **fields}).encode()
        found[f"responses: {name}"] = say(request(body, target="/v1/responses")).status
    for name, fields in _chat_asks().items():
        body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "tool"}], **fields}).encode()
        found[f"chat: {name}"] = say(request(body, target="/v1/chat/completions")).status
    return found


def _messages_asks() -> dict[str, dict[str, Any]]:
    image = {"type": "image", "source": {"type": "url", "url": f"https://{FAR}/a.png"}}
    document = {"type": "document", "source": {"type": "url", "url": f"https://{FAR}/a.pdf"}}
    upload = {"type": "image", "source": {"type": "file", "file_id": f"file_{FAR}"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image]}
    return {
        "web search": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        "web fetch": {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]},
        "code execution": {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]},
        "a later tool": {"tools": [{"type": "telepathy_20991231", "name": "telepathy"}]},
        "remote MCP": {"mcp_servers": [{"type": "url", "url": f"https://{FAR}/mcp", "name": "m"}]},
        "a container": {"container": f"container_{FAR}"},
        "an image by address": {"messages": [{"role": "user", "content": [image]}]},
        "a document by address": {"messages": [{"role": "user", "content": [document]}]},
        "an uploaded image": {"messages": [{"role": "user", "content": [upload]}]},
        "an image in a tool's result": {"messages": [{"role": "user", "content": [result]}]},
        "an unknown field": {"fetch_first": f"https://{FAR}/"},
    }


def _responses_asks() -> dict[str, dict[str, Any]]:
    image = {"type": "input_image", "image_url": f"https://{FAR}/a.png"}
    file = {"type": "input_file", "file_url": f"https://{FAR}/a.pdf"}
    upload = {"type": "input_file", "file_id": f"file-{FAR}"}
    more = {"type": "additional_tools", "role": "developer", "tools": [{"type": "web_search"}]}
    nested = {
        "type": "namespace",
        "name": "n",
        "tools": [{"type": "namespace", "name": "m", "tools": [{"type": "mcp"}]}],
    }
    asks: dict[str, dict[str, Any]] = {
        kind: {"tools": [{"type": kind, "server_url": f"https://{FAR}/", "container": {"type": "auto"}}]}
        for kind in (
            "web_search",
            "web_search_preview",
            "file_search",
            "code_interpreter",
            "image_generation",
            "computer_use_preview",
            "mcp",
        )
    }
    return asks | {
        "search among additional tools": {"input": [more]},
        "mcp in namespaces": {"tools": [nested]},
        "an earlier reply": {"previous_response_id": f"resp_{FAR}"},
        "a kept conversation": {"conversation": f"conv_{FAR}"},
        "a stored prompt": {"prompt": {"id": f"pmpt_{FAR}"}},
        "in the background": {"background": True},
        "an image by address": {"input": [{"role": "user", "content": [image]}]},
        "a file by address": {"input": [{"role": "user", "content": [file]}]},
        "an uploaded file": {"input": [{"role": "user", "content": [upload]}]},
        "an item by reference": {"input": [{"type": "item_reference", "id": f"item_{FAR}"}]},
    }


def _chat_asks() -> dict[str, dict[str, Any]]:
    image = {"type": "image_url", "image_url": {"url": f"https://{FAR}/a.png"}}
    host = {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}
    return {
        "web search": {"web_search_options": {"search_context_size": "high"}},
        "a search tool": {"tools": [{"type": "web_search", "web_search": {}}]},
        "an image by address": {"messages": [{"role": "user", "content": [image]}]},
        "an image of the server's disk": {"messages": [{"role": "user", "content": [host]}]},
        "a plugin": {"plugins": [{"id": "web", "url": f"https://{FAR}/"}]},
        "other models": {"models": ["gpt-5"], "route": "fallback"},
        "extra fields": {"extra_body": {"url": f"https://{FAR}/"}},
    }
