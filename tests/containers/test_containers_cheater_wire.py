"""A cheater in a whole run writes its requests so that somebody misreads them, or asks for what it may not have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cheater_trial import MODEL, Trial, WholeRun, cheat, workplace
from scripted_model import KEY, ScriptedModel

pytestmark = pytest.mark.containers

ATTACKS = ("smuggling", "oddities", "headers", "header_lines", "paths", "models", "tools")
PLAIN_TO_EVERYBODY = {"content-length with a folded line", "a folded line", "bare line feeds"}
"""Read in the one way that RFC 9112 (2.2, 5.2) allows, so that what follows is a request of its own."""
PROVIDER_RUN = (
    b"web_search",
    b"web_fetch",
    b"code_execution",
    b"code_interpreter",
    b"file_search",
    b"image_generation",
    b"computer_use",
    b"telepathy",
    b"mcp",
    b"previous_response_id",
    b'"background":true',
    b'"background": true',
    b'"conversation"',
    b'"plugins"',
    b"fallback",
    b"file:///",
    b"evil.example",
    b"claude-haiku",
    b"gpt-5",
)


@pytest.fixture(scope="module")
def trial(cache: Path) -> Iterator[Trial]:
    with ScriptedModel([]) as model, workplace(cache) as harness:
        yield cheat(harness, model, ATTACKS)


class TestTheRun(WholeRun):
    pass


def test_request_smuggling(trial: Trial) -> None:
    """No second request hides in a first one, by either way to the gateway."""
    answers = trial.result("smuggling")
    assert len(answers) > 30
    taken = {name: both for name, both in answers.items() if any(200 <= one["status"] < 300 for one in both)}
    assert not taken
    assert not [asked for asked in trial.attacked() if "smuggled" in asked.query + asked.path]
    found = {entry.path.removeprefix("/v1/smuggled-") for entry in trial.exchanges if "smuggled" in entry.path}
    assert found <= {name.replace(" ", "-") for name in PLAIN_TO_EVERYBODY}


@pytest.mark.parametrize("via", [0, 1], ids=["relay", "socket"])
def test_smuggled_requests_get_one_answer_at_most(trial: Trial, via: int) -> None:
    answers = trial.result("smuggling")
    assert {name for name, both in answers.items() if both[via]["replies"] > 1} <= PLAIN_TO_EVERYBODY


def test_what_is_no_request(trial: Trial) -> None:
    answers = trial.result("oddities")
    lenient = {  # one plain request each, of a bounded size
        "HTTP/9.9",
        "ten thousand headers",
        "a chunk extension of 1 MB",
        "endless trailers",
    }
    taken = {name for name, both in answers.items() if any(200 <= one["status"] < 300 for one in both)}
    assert taken <= lenient


def test_header_injection(trial: Trial) -> None:
    """Its own credentials, hosts and routes do not pass; the request does, with the real key."""
    statuses = trial.result("headers")
    assert statuses["x-api-key"] == 200
    assert statuses["authorization"] == 200
    for asked in trial.attacked():
        carried = {name: value for name, value in asked.headers.items() if "injected" in f"{name} {value}"}
        assert not carried
        assert asked.headers["x-api-key"] == KEY
        assert "authorization" not in asked.headers
        assert "evil.example" not in asked.headers["host"]


def test_beta_flags_that_open_what_is_shut(trial: Trial) -> None:
    assert trial.result("headers")["beta flags"] == 200
    for asked in trial.attacked():
        flags = asked.headers.get("anthropic-beta", "")
        assert not any(word in flags for word in ("files-api", "mcp-client", "oauth", "injected"))


def test_new_lines_in_header_values_the_query_and_the_models_name(trial: Trial) -> None:
    statuses = trial.result("header_lines")
    assert len(statuses) == 9 * 8
    assert not [name for name, status in statuses.items() if name.endswith("in the model") and status < 400]
    assert not [asked for asked in trial.attacked() if "x-injected" in asked.headers]


def test_other_paths_and_methods(trial: Trial) -> None:
    statuses = trial.result("paths")
    assert not {name: status for name, status in statuses.items() if status < 400 and status != 0}
    assert {asked.path for asked in trial.attacked()} <= {
        "/v1/messages",
        "/v1/models",
        "/v1/responses",
        "/v1/chat/completions",
    }
    assert {asked.method for asked in trial.attacked()} <= {"GET", "POST"}


def test_other_models(trial: Trial) -> None:
    statuses = trial.result("models")
    named = {name: status for name, status in statuses.items() if not name.startswith("twice")}
    assert not {name: status for name, status in named.items() if not 400 <= status < 500}
    assert {asked.body["model"] for asked in trial.attacked() if asked.body} == {MODEL}


def test_what_the_provider_would_run_fetch_or_keep(trial: Trial) -> None:
    assert len(trial.result("tools")) > 25
    for asked in trial.attacked():
        found = [word for word in PROVIDER_RUN if word in asked.raw]
        assert not found, asked.raw[:500]
        if asked.path == "/v1/responses":
            assert json.loads(asked.raw).get("store") is False


def test_refused_requests_are_in_the_record(trial: Trial) -> None:
    entries = trial.exchanges
    refused = [entry for entry in entries if entry.outcome == "refused"]
    assert all(entry.sent is None and entry.reason and not entry.tries for entry in refused)
    # every path that was refused by its name is found by its name
    paths = {entry.path for entry in refused}
    assert {"/v1/files", "/v1/../admin", "//v1/messages", "/v1/embeddings", "/metrics"} <= paths
    asked = {entry.model_asked for entry in refused}
    assert {"claude-haiku-4-5", "gpt-5"} <= asked
    stripped = [change for entry in entries for change in entry.changes]
    assert any("web_search" in text for text in stripped + [entry.reason for entry in refused])
