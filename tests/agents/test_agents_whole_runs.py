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
    for asked in finished.model.requests:
        assert KEY in (asked.headers.get("x-api-key"), asked.headers.get("authorization", "").removeprefix("Bearer "))
        assert KEY not in asked.raw.decode()
    assert finished.places_of(KEY) == []


def test_a_web_search_past_the_program_is_stripped_and_in_the_record(finished):
    searches = [entry for entry in finished.exchanges() if b'"search the web"' in finished.body(entry.request)]
    assert "web_search" in str(searches[0].changes) or searches[0].outcome == "refused"
    for asked in finished.model.requests:
        tools = (asked.body or {}).get("tools") or []
        assert not any(str(tool.get("type")).startswith("web_") for tool in tools)


def test_a_cut_stream_is_the_providers_failure_and_the_program_goes_on(finished):
    (cut,) = [asked for asked in finished.model.turns if asked.status == 0]
    again = [asked.status for asked in finished.model.turns if asked.place.label == cut.place.label]
    assert again == [0, 200]
    failed = [entry.outcome for entry in finished.exchanges() if entry.outcome not in ("ok", "refused")]
    assert failed == ["cut"]


def test_one_that_stops_early_is_told_what_is_left_and_goes_on_in_its_conversation(finished):
    events = finished.harness.record().events
    (continued,) = events.of("agent-continued")
    assert (continued.data["why"], continued.data["iterations_left"]) == ("stopped", 1)
    assert len(events.of("agent-started")) == 2
    told = finished.asked("You have 1 of 2 iterations left")[0]
    assert EARLY in told.raw.decode()
    assert told.place.step.turn == submit(2, range(0, 80, 2))


def test_tokens_and_money_are_the_providers_own_figures(finished):
    counted = [event.data for event in finished.harness.record().events.of("model-call")]
    whole = [entry for entry in finished.exchanges() if entry.outcome == "ok" and entry.kind == "generate"]
    assert {entry.id for entry in whole} == {call["id"] for call in counted if call["outcome"] == "ok"}
    turns = [asked for asked in finished.model.turns if asked.status == 200]
    scripted = [entry for entry in whole if entry.usage.input >= 1000]
    assert [entry.usage.input for entry in scripted] == [1000 * (asked.place.index + 1) for asked in turns]
    assert [entry.usage.cache_read for entry in scripted] == [1000 * asked.place.index for asked in turns]
    assert all(entry.dollars > 0 for entry in whole)


def test_its_own_session_log_is_kept(finished):
    kept = finished.places_of("I think this is good enough.")
    assert any(path.parent != finished.folder for path in kept), kept


def test_a_replay_without_key_and_model_is_equal(finished):
    seen = len(finished.model.requests)
    del finished.harness.environment[finished.program.key]
    try:
        rerun = finished.harness.run("rerun", "r", "--replay", "--json")
    finally:
        finished.harness.environment[finished.program.key] = KEY
    assert rerun.returncode == 0, rerun.stdout + rerun.stderr
    verdict = json.loads(rerun.stdout)
    assert verdict["verdict"] == "equal", verdict
    assert len(finished.model.requests) == seen
