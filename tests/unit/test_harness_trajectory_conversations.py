"""What becomes a step, and whose: compaction, sub-agents, side requests, failures, submissions."""

from __future__ import annotations

from pathlib import Path

import pytest

import made_records as made
from curation_harness.trajectory import conversations
from curation_harness.trajectory.atif import Trajectory
from curation_harness.trajectory.building import build
from curation_sandbox.gateway.exchange import Usage
from curation_sandbox.gateway.wires import Wire
from made_conversations import (
    PATHS,
    NamedThreads,
    Traffic,
    assistant,
    lines,
    result,
    said,
    spoken,
    streamed,
    user,
    valid,
    whole,
)

LS = ("Bash", {"command": "ls"})
BEGIN = user("Curate.")


def looked(traffic: Traffic) -> list[dict[str, object]]:
    """One call and its result; the history after it."""
    traffic.ask([BEGIN], said("a", "Look.", LS))
    history = [BEGIN, assistant("a", "Look.", LS), result("a", "row 1")]
    traffic.ask(history, said("b", "Done."))
    return [*history, assistant("b", "Done.")]


def test_what_a_request_repeats_is_told_once(tmp_path: Path):
    traffic = Traffic(tmp_path)
    history = looked(traffic)
    traffic.ask([*history, user("Go on.")], said("c", "Over."), turn=2)
    assert lines(traffic.build()) == [
        "system | You are an agent.",
        "user | Curate.",
        "agent | Look. | Bash | row 1",
        "agent | Done.",
        "user | Go on.",
        "agent | Over.",
    ]


def test_a_compacted_history_is_noted_and_nothing_is_told_twice(tmp_path: Path):
    traffic = Traffic(tmp_path)
    looked(traffic)
    traffic.ask([user("Summary: looked."), user("Go on.")], said("c", "More.", LS))
    traffic.ask(
        [user("Summary: looked."), user("Go on."), assistant("c", "More.", LS), result("c", "x")], said("d", "E")
    )
    found = traffic.build()
    assert found.subagent_trajectories is None
    assert lines(found)[4:] == [
        "system | The agent's program rewrote the conversation (comp",
        "user | Summary: looked.",
        "agent | More. | Bash | x",
        "agent | E",
    ]
    assert (found.steps[4].extra or {})["history_pieces_gone"] == 3


def test_a_system_prompt_that_changes_is_no_new_conversation(tmp_path: Path):
    traffic = Traffic(tmp_path)
    traffic.ask([BEGIN], said("a", "Look.", LS), system="Now it is 10:00.")
    history = [BEGIN, assistant("a", "Look.", LS), result("a", "row 1")]
    traffic.ask(history, said("b", "Done."), system="Now it is 10:01.")
    found = traffic.build()
    assert found.subagent_trajectories is None
    assert lines(found).count("user | Curate.") == 1


def test_a_conversation_under_another_system_prompt_is_a_subagents(tmp_path: Path):
    traffic = Traffic(tmp_path)
    task = ("Agent", {"prompt": "Count the rows of the pool."})
    traffic.ask([BEGIN], said("a", "", task))
    traffic.ask([user("Count the rows of the pool.")], said("s", "Three."), system="You are a sub-agent.")
    traffic.ask([BEGIN, assistant("a", "", task), result("a", "Three.")], said("b", "Done."))
    found = traffic.build()
    (subagent,) = found.subagent_trajectories or ()
    assert lines(subagent)[-1] == "agent | Three."
    assert found.steps[2].observation is not None
    (entry,) = found.steps[2].observation.results
    assert [each.trajectory_id for each in entry.subagent_trajectory_ref or ()] == [subagent.trajectory_id]
    assert subagent.final_metrics.total_prompt_tokens == 100
    assert found.final_metrics.total_prompt_tokens == 300


def test_equal_subagents_are_told_apart_by_the_native_log(tmp_path: Path):
    traffic = Traffic(tmp_path)
    looked(traffic)
    for name in ("one", "two"):
        traffic.ask([user("The same task.")], said(name, name.title()), system="You are a sub-agent.")
    found = traffic.build(NamedThreads({"msg_one": "first", "msg_two": "second"}))
    assert [each.agent.name for each in found.subagent_trajectories or ()] == ["first", "second"]


def test_a_native_log_that_breaks_its_reader_costs_names_only(tmp_path: Path):
    class Broken(NamedThreads):
        def threads(self, folder: Path) -> dict[str, str]:
            raise KeyError("hostile")

    traffic = Traffic(tmp_path)
    looked(traffic)
    assert len(traffic.build(Broken({})).steps) == 4


def test_a_title_is_no_step_but_its_tokens_count(tmp_path: Path):
    traffic = Traffic(tmp_path)
    looked(traffic)
    usage = Usage(input=7, output=3)
    traffic.ask([user("Give it a title.")], said("t", "A title"), system="Titles.", tools=(), usage=usage)
    found = traffic.build()
    assert len(found.steps) == 4
    assert found.final_metrics.total_prompt_tokens == 207
    assert (found.final_metrics.extra or {})["side_tokens"] == 10
    assert "1 side request" in (found.notes or "")


def test_counting_tokens_is_neither_step_nor_sum(tmp_path: Path):
    traffic = Traffic(tmp_path)
    looked(traffic)
    traffic.add("/v1/messages/count_tokens", {"messages": [BEGIN]}, b'{"input_tokens": 9}', usage=None)
    found = traffic.build()
    assert (len(found.steps), found.final_metrics.total_prompt_tokens) == (4, 200)


def test_refused_requests_in_a_row_are_one_step(tmp_path: Path):
    traffic = Traffic(tmp_path)
    looked(traffic)
    for _ in range(40):
        traffic.ask([BEGIN], outcome="refused", status=403, reason="no such model", usage=None)
    found = traffic.build()
    assert lines(found)[4:] == ["system | The gateway refused a request to the model: no suc"]
    assert (found.steps[4].extra or {})["times"] == 40


AGAIN = user("You stopped, and the run is not over. Go on.")


def went_on(traffic: Traffic, history: list[dict[str, object]], turn: int) -> list[dict[str, object]]:
    """A later turn with the same words of the user, of two requests; the history after it."""
    name = f"t{turn}"
    traffic.ask([*history, AGAIN], said(name, "More.", LS), turn=turn)
    history = [*history, AGAIN, assistant(name, "More.", LS), result(name, "row")]
    traffic.ask(history, said(f"{name}-end", f"Done {turn}."), turn=turn)
    return [*history, assistant(f"{name}-end", f"Done {turn}.")]


def users(found: Trajectory) -> list[tuple[str, object]]:
    return [
        (step.message, (step.extra or {})["turn"])
        for step in found.steps
        if step.source == "user" and not (step.extra or {}).get("by_program")
    ]


def test_each_turn_has_its_message_though_it_is_always_the_same(tmp_path: Path):
    traffic = Traffic(tmp_path)
    history = looked(traffic)
    for turn in (2, 3, 4):
        history = went_on(traffic, history, turn)
    text = "You stopped, and the run is not over. Go on."
    assert users(traffic.build()) == [("Curate.", 1), (text, 2), (text, 3), (text, 4)]


def test_a_turn_after_a_compaction_has_its_message_too(tmp_path: Path):
    traffic = Traffic(tmp_path)
    history = went_on(traffic, went_on(traffic, looked(traffic), 2), 3)
    assert len(users(traffic.build())) == 3
    summary = user("Summary: looked.")
    traffic.ask([summary], said("c", "I see."), turn=3)
    went_on(traffic, [summary, assistant("c", "I see.")], 4)
    assert [turn for _, turn in users(traffic.build())] == [1, 2, 3, 3, 4]
    assert history


def test_what_a_program_puts_between_is_told_once_however_often_it_stands_there(tmp_path: Path):
    traffic = Traffic(tmp_path)
    reminder = user("<system-reminder>Mind the gap.</system-reminder>")
    traffic.ask([BEGIN, reminder], said("a", "Look.", LS))
    history = [BEGIN, reminder, assistant("a", "Look.", LS), result("a", "row 1"), reminder]
    traffic.ask(history, said("b", "Done."))
    traffic.ask([*history, assistant("b", "Done."), user("Go on."), reminder], said("c", "Over."), turn=2)
    told = [line for line in lines(traffic.build()) if "reminder" in line]
    assert len(told) == 1


def test_requests_are_counted_as_the_ledger_does(tmp_path: Path):
    traffic = Traffic(tmp_path)
    looked(traffic)
    traffic.ask([BEGIN], outcome="refused", status=403, reason="no such model", usage=None, sent=None)
    traffic.ask([BEGIN], outcome="budget", status=400, reason="spent", usage=None, sent=None)
    traffic.ask([BEGIN], outcome="client-gone", status=0, reason="hung up", usage=None, sent=None)
    traffic.ask([BEGIN], outcome="client-gone", status=0, reason="hung up", usage=None)
    traffic.ask([BEGIN], outcome="provider-error", status=503, reason="HTTP 503", usage=None)
    sums = traffic.build().final_metrics.extra or {}
    assert sums["requests"] == sum(entry.counted for entry in traffic.log.entries()) == 4
    assert sums["requests_not_counted"] == {"refused": 1, "budget": 1, "client-gone": 1}


def test_what_was_given_up_before_its_turn_came_is_no_unreadable_request(tmp_path: Path):
    traffic = Traffic(tmp_path)
    looked(traffic)
    cut = b'{"messages": [{"role": "user", "con'
    traffic.add(PATHS[Wire.MESSAGES], cut, b"", outcome="client-gone", status=0, usage=None, sent=None)
    assert lines(traffic.build())[4:] == ["system | The agent's program hung up before a reply (status"]


def test_refusals_for_ever_other_reasons_are_one_step_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conversations, "_REFUSALS", 3)
    traffic = Traffic(tmp_path)
    looked(traffic)
    for n in range(10):
        traffic.ask([BEGIN], outcome="refused", status=403, reason=f"no model {n}", usage=None, sent=None)
    found = traffic.build()
    assert len(found.steps) == 4 + 3 + 1
    assert "More requests" in found.steps[-1].message
    assert (found.steps[-1].extra or {})["times"] == 7
    assert (found.final_metrics.extra or {})["requests_not_counted"] == {"refused": 10}


@pytest.mark.parametrize(("outcome", "status"), [("provider-error", 529), ("ours", 502), ("ok", 400)])
def test_a_request_without_a_reply_is_a_step_of_its_own(tmp_path: Path, outcome: str, status: int):
    traffic = Traffic(tmp_path)
    error = b'{"type": "error", "error": {"type": "x", "message": "too long"}}'
    traffic.ask([BEGIN], error, outcome=outcome, status=status, usage=None)
    traffic.ask([BEGIN], said("a", "Hello."))
    found = traffic.build()
    assert [step.source for step in found.steps] == ["system", "user", "system", "agent"]
    assert "too long" in found.steps[2].message
    assert f"status {status}" in found.steps[2].message


def test_a_cut_reply_keeps_what_came_and_says_so(tmp_path: Path):
    traffic = Traffic(tmp_path)
    half = said("a", "This is a long sentence, told in four pieces to be cut in the middle.")
    traffic.ask(
        [BEGIN], half[: half.index(b"content_block_stop") // 4 * 3], outcome="cut", usage=None, reason="reset"
    )
    traffic.ask([BEGIN], said("b", "Again."))
    found = traffic.build()
    assert found.steps[2].message.startswith("This is")
    assert (found.steps[2].extra or {})["outcome"] == "cut"
    assert found.steps[3].message == "Again."


def test_words_the_program_puts_into_the_models_mouth_are_marked(tmp_path: Path):
    traffic = Traffic(tmp_path)
    history = looked(traffic)
    traffic.ask([*history, assistant("", "No response requested."), user("Go on.")], said("c", "Over."))
    step = traffic.build().steps[4]
    assert (step.message, step.llm_call_count, step.metrics) == ("No response requested.", 0, None)


def test_submissions_stand_between_the_steps_by_time(tmp_path: Path):
    record = made.made_run(tmp_path)
    found = valid(record)
    kinds = [(step.extra or {}).get("event") for step in found.steps]
    assert kinds[:3] == ["agent-started", "accepted", "attempt-scored"]
    assert {"refused", "attempt-failed"} <= set(kinds)
    scored = found.steps[2]
    result = record.result(1)
    assert result is not None
    assert result.public is not None
    assert result.sealed is not None
    assert f"{result.public.mean:.4f}" in scored.message
    assert (scored.extra or {})["submission"] == {"n": 1, "mean": result.public.mean}
    assert not [step for step in found.steps if f"{result.sealed.mean:.4f}" in step.message]
    assert [step.timestamp for step in found.steps] == sorted(step.timestamp for step in found.steps)


def test_a_run_of_which_nothing_is_known_yet_has_a_trajectory(tmp_path: Path):
    assert len(build(Traffic(tmp_path).record, None).steps) == 1


@pytest.mark.parametrize("wire", list(Wire))
def test_streamed_and_whole_replies_read_the_same(tmp_path: Path, wire: Wire):
    reply = spoken("a", "Let me look at it.", LS, "I should look at the pool first.")
    bodies = {"messages": [{"role": "user", "content": "Hi"}], "input": "Hi", "tools": [{"name": "Bash"}]}
    steps = []
    for place, body in enumerate((streamed(wire, reply), whole(wire, reply))):
        (tmp_path / str(place)).mkdir()
        traffic = Traffic(tmp_path / str(place))
        traffic.add(PATHS[wire], bodies, body)
        steps.append(traffic.build().steps)
    assert steps[0] == steps[1]
    first, step = steps[0]
    assert first.message == "Hi"
    assert (step.message, step.reasoning_content) == ("Let me look at it.", "I should look at the pool first.")
    (call,) = step.tool_calls or ()
    assert (call.function_name, call.arguments) == LS
    assert step.metrics is not None
    assert step.metrics.extra == {"reasoning_tokens": 4, "cache_write_tokens": 0}
    assert (step.timestamp > first.timestamp) is True
