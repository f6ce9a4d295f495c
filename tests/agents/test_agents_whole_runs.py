"""One eventful run of each real program on the fast test task, looked at from all sides, and replayed.

The scripted model tries a web search behind its program's back, its stream is cut once, and it stops early, so that
the harness has to tell it to go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_bench import AgentRun, Program, agent_run, submit
from scripted_model import KEY
from scripted_moves import Cut, Run, Say, Think

pytestmark = pytest.mark.containers

EARLY = "I think this is good enough."
SEARCH = """
import json, urllib.error, urllib.request
def ask(path, body):
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": "none"}
    request = urllib.request.Request("http://127.0.0.1:8123" + path, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            print("STATUS", reply.status, len(reply.read()))
    except urllib.error.HTTPError as error:
        print("STATUS", error.code, error.read().decode())
"""


def search(program: Program) -> Run:
    """From the shell, past the program: a request of the agent's own that offers the provider's web search."""
    model = program.model.partition("/")[2]
    talk = {"model": model, "messages": [{"role": "user", "content": "search the web"}], "max_tokens": 100}
    if program.path == "/v1/responses":
        talk = {"model": model, "input": "search the web"}
    body = json.dumps({**talk, "tools": ["TOOL"]}).replace('"TOOL"', program.web_search)
    return Run(f"python3 - <<'END'{SEARCH}ask({program.path!r}, {body})\nEND")


def moves(program: Program) -> list:
    return [
        Think("What is there?"),
        Run("ls /pool; env | sort; cat /proc/1/environ | tr '\\0' '\\n'", say="Looking."),
        search(program),
        Cut(after_events=4),
        submit(1, range(0, 40)),
        Say(EARLY),
        submit(2, range(0, 80, 2)),
        Say("Both iterations are spent."),
    ]


@pytest.fixture(scope="module")
def finished(program: Program, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[AgentRun]:
    with agent_run(program, moves(program), tmp_path_factory.mktemp(program.agent), cache) as run:
        run.launch("--iterations", "2")
        yield run


def test_it_is_scored(finished):
    summary = finished.harness.summary()
    assert (summary.status, len(summary.attempts)) == ("scored", 2)
    assert [attempt.note for attempt in summary.attempts] == ["attempt 1", "attempt 2"]
    exits = finished.harness.record().events.of("agent-exited")
    assert [event.data["code"] for event in exits] == [0, 0]


def test_what_a_command_prints_comes_back_to_the_model(finished):
    assert finished.asked("README.md")
    for n, score in enumerate(finished.scores(), start=1):
        assert finished.asked(f"attempt {n} is scored"), n
        assert finished.asked(f"{score:.4f}")


def test_the_key_is_the_hosts_alone(finished):
    assert all(
        KEY in (asked.headers.get("x-api-key"), asked.headers.get("authorization", "")[7:])
        for asked in finished.model.requests
    )
    assert not finished.asked(KEY)
    for path in finished.folder.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    for entry in finished.exchanges():
        assert KEY.encode() not in finished.body(entry.request)
        assert KEY.encode() not in finished.body(entry.response)


def test_a_web_search_past_the_program_is_stripped_and_in_the_record(finished):
    searched = [entry for entry in finished.exchanges() if b"search the web" in finished.body(entry.request)[:300]]
    assert searched
    assert all("web_search" in " ".join(entry.changes) or entry.outcome == "refused" for entry in searched)
    for asked in finished.model.requests:
        for tool in (asked.body or {}).get("tools") or ():
            assert not str(tool.get("type", "")).startswith(("web_search", "web_fetch", "code_execution"))


def test_a_cut_stream_is_the_providers_failure_and_the_program_goes_on(finished):
    outcomes = [entry.outcome for entry in finished.exchanges()]
    assert set(outcomes) <= {"ok", "cut", "refused"} | (
        {"provider-error"} if "openhands" in str(finished.folder) else set()
    )
    labels = [asked.place.label for asked in finished.model.turns]
    cut = next(asked for asked in finished.model.turns if asked.status == 0)
    assert labels.count(cut.place.label) >= 2
    cut_events = [
        event for event in finished.harness.record().events.of("model-call") if event.data["outcome"] != "ok"
    ]
    assert len(cut_events) <= 1


def test_one_that_stops_early_is_told_what_is_left_and_goes_on_in_its_conversation(finished):
    (continued,) = finished.harness.record().events.of("agent-continued")
    assert (continued.data["why"], continued.data["iterations_left"]) == ("stopped", 1)
    first = finished.asked("You have 1 of 2 iterations left")[0]
    assert first.place.index == 4
    assert finished.model.turns[0].raw[:20]
    assert EARLY in first.raw.decode()
    assert len(finished.harness.record().events.of("agent-started")) == 2


def test_tokens_and_money_are_the_providers_own_figures(finished):
    counted = {event.data["id"]: event for event in finished.harness.record().events.of("model-call")}
    whole = [entry for entry in finished.exchanges() if entry.outcome == "ok" and entry.kind == "generate"]
    assert [entry.id for entry in whole] == [n for n, event in counted.items() if event.data["outcome"] == "ok"]
    turns = [asked for asked in finished.model.turns if asked.status == 200]
    inputs = [entry.usage.input for entry in whole if entry.usage.input >= 1000]
    assert inputs == [1000 * (asked.place.index + 1) for asked in turns]
    assert all(entry.dollars > 0 for entry in whole)


def test_its_own_session_log_is_kept(finished):
    kept = [
        path
        for path in finished.folder.rglob("*.json*")
        if "command_execution" in path.read_text(errors="replace")
        or "tool_use" in path.read_text(errors="replace")
        or "terminal" in path.read_text(errors="replace")
    ]
    assert kept


def test_a_replay_without_key_and_model_is_equal(finished, tmp_path):
    environment = {k: v for k, v in finished.harness.environment.items() if k != finished.program.key}
    finished.harness.environment, before = environment, finished.harness.environment
    seen = len(finished.model.requests)
    try:
        rerun = finished.harness.run("rerun", "r", "--replay", "--json")
    finally:
        finished.harness.environment = before
    assert rerun.returncode == 0, rerun.stdout + rerun.stderr
    verdict = json.loads(rerun.stdout)
    assert verdict["verdict"] == "equal", verdict
    assert len(finished.model.requests) == seen
