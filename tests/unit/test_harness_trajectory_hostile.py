"""Nothing that an agent or a model writes breaks, bloats or falsifies the trajectory."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation_harness.trajectory import bounds, building, chat, messages, responses
from curation_harness.trajectory.events import documents
from curation_sandbox.gateway.wires import Wire
from made_conversations import PATHS, Traffic, assistant, result, said, user

NAMES = """
type role text content id name input arguments tool_use tool_result function_call function_call_output call_id message
messages system tools choices delta index output_index item response output error usage content_block
content_block_start content_block_delta response.output_item.done response.output_text.delta tool_calls function
assistant user tool thinking reasoning summary image source url data partial_json
"""
WORDS = st.sampled_from(NAMES.split())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)
READERS = [messages, responses, chat]


@given(JSON.filter(lambda value: isinstance(value, dict)))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_requests_and_replies_of_any_shape_are_read(value: dict[str, Any]):
    for reader in READERS:
        reader.asked(value)
        reader.replied([value, {**value, "type": "content_block_start", "index": 0}])
        for place in ("messages", "input", "system"):
            reader.asked({place: [value]})
        for place in ("message", "response", "content_block", "item", "delta"):
            reader.replied([{"type": "content_block_delta", "index": 0, "output_index": 0, place: value}])
        reader.replied([{"choices": [{"delta": value, "message": value}]}])


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: b"data: " + text.encode("utf-8", "replace")))
@settings(max_examples=200, deadline=None)
def test_bytes_of_any_kind_are_read(body: bytes):
    for reader in READERS:
        reader.replied(documents(body))


@given(st.lists(st.tuples(JSON, st.binary(max_size=60) | JSON), max_size=5), st.sampled_from(list(Wire)))
@settings(max_examples=40, deadline=None)
def test_whole_conversations_of_any_shape_give_a_valid_trajectory(pairs: list[tuple[Any, Any]], wire: Wire):
    with tempfile.TemporaryDirectory() as folder:
        traffic = Traffic(Path(folder))
        for asked, replied in pairs:
            body = {"messages": [asked, {"role": "user", "content": [asked]}], "input": [asked], "tools": [asked]}
            reply = replied if isinstance(replied, bytes) else json.dumps(replied).encode()
            traffic.add(PATHS[wire], body, b"data: " + reply)
        traffic.build()


def test_a_lone_surrogate_is_replaced(tmp_path: Path):
    traffic = Traffic(tmp_path)
    call = ("Bash", {"comm\ud800and": "echo \udfff"})
    traffic.ask([user("a\ud800b")], said("\udc80", "x\ud8ff", call))
    (step,) = traffic.build().steps[-1:]
    assert step.message == "x?"
    assert step.tool_calls is not None
    assert step.tool_calls[0].arguments == {"comm?and": "echo ?"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("not json", {"raw": "not json"}),
        ("[1, 2]", {"raw": "[1, 2]"}),
        ("", {}),
        (None, {}),
        ("7", {"raw": "7"}),
        (["a"], {"raw": ["a"]}),
        ('{"a": NaN}', {"a": "NaN"}),
        ('{"a": 1e999}', {"a": "inf"}),
        ('{"a": ' + "9" * 5000 + "}", {"a": "9" * 5000}),
    ],
)
def test_arguments_that_are_no_object_are_kept_raw(given: object, kept: dict[str, object]):
    assert bounds.arguments(given) == kept


def test_json_nested_past_any_stack_is_unreadable_not_fatal(tmp_path: Path):
    traffic = Traffic(tmp_path)
    deep = b"[" * 200_000
    traffic.add(PATHS[Wire.MESSAGES], b'{"messages": ' + deep, b'{"content": ' + deep)
    (step,) = traffic.build().steps
    assert "could not be read" in step.message


def test_huge_texts_and_arguments_are_cut_with_a_note(tmp_path: Path):
    traffic = Traffic(tmp_path)
    big = "x" * 1_000_000
    call = ("Bash", {"command": big, **{str(n): big[:40_000] for n in range(9)}})
    traffic.ask([user(big)], said("a", big, call))
    traffic.ask([user(big), assistant("a", big, call), result("a", big)], said("b", "done"))
    found = traffic.build()
    assert "950000 more characters are in the record" in found.steps[1].message
    size = (traffic.record.folder / building.FILE).stat().st_size
    assert size < 10 * bounds.TEXT
    assert len(found.steps) == 4, "a cut text is still known again"


def test_a_run_of_many_huge_texts_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(building, "ROOM", 100_000)
    traffic = Traffic(tmp_path)
    for n in range(20):
        traffic.ask([user(f"{n} " + "y" * 40_000)], said(str(n), "z" * 40_000, ("Bash", {"a": ["w" * 40_000] * 3})))
    traffic.build()
    assert (traffic.record.folder / building.FILE).stat().st_size < 400_000


def test_a_flood_of_steps_is_cut_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(building, "MAX_STEPS", 5)
    traffic = Traffic(tmp_path)
    traffic.ask([message for n in range(50) for message in (user(str(n)), assistant("", f"a{n}"))], said("a", "x"))
    found = traffic.build()
    assert len(found.steps) == 6
    assert "more steps are in the record only" in found.steps[-1].message


def test_an_image_becomes_a_note_with_its_hash(tmp_path: Path):
    traffic = Traffic(tmp_path)
    data = "iVBORw0KGgo" * 1000
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    history = [user("Look."), assistant("a", "", ("Read", {})), result("a", "")]
    history[2]["content"][0]["content"] = [image]
    traffic.ask(history[:1], said("a", "", ("Read", {})))
    traffic.ask(history, said("b", "Nice."))
    found = traffic.build()
    assert data not in found.model_dump_json()
    assert found.steps[2].observation is not None
    assert (found.steps[2].observation.results[0].content or "").startswith("[image: 11000 characters")


def test_tool_calls_with_equal_or_missing_ids_are_all_kept(tmp_path: Path):
    traffic = Traffic(tmp_path)
    block = {"type": "tool_use", "id": "same", "name": "Bash", "input": {}}
    blocks = [block, block, {**block, "id": None}, {**block, "id": "", "name": 7}]
    traffic.ask([user("Hi")], json.dumps({"type": "message", "content": blocks}).encode())
    traffic.ask([user("Hi"), {"role": "assistant", "content": blocks}, result("x", "lost")], said("b", "done"))
    found = traffic.build()
    assert len(found.steps[2].tool_calls or ()) == 4
    assert any(step.observation is not None for step in found.steps if step.source == "system")


def test_a_lost_body_does_not_cost_the_other_steps(tmp_path: Path):
    traffic = Traffic(tmp_path)
    traffic.ask([user("one")], said("a", "first"))
    traffic.ask([user("one"), assistant("a", "first"), user("two")], said("b", "second"))
    lost = traffic.log.entries()[0].request
    next(traffic.record.folder.rglob(f"{lost}.zst")).unlink()
    texts = [step.message for step in traffic.build().steps]
    assert {"two", "second"} <= set(texts)
