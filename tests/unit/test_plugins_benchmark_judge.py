"""The judge's client: pinned, cached, patient, and never a reason to score something as wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curation_plugins.errors import ConfigInvalid, WorkFailed
from curation_plugins.tasks.llava.benchmarks.judge import Judge, JudgeConfig, JudgeUnavailable, Question
from curation_plugins.tasks.llava.benchmarks.mmvet import MMVet
from fake_judge import FakeJudge, serving
from made_benchmarks import item

ASKED = Question(system="grade", user="this")


def _judge(fake: FakeJudge, cache: Path, **settings: Any) -> Judge:
    config = JudgeConfig(model="judge-1", base_url=fake.base_url, **{"calls": 2, "patience": 60, **settings})
    return Judge(config, cache, sleep=lambda seconds: None)


def test_each_question_is_asked_k_times_at_temperature_0_with_its_own_seed(tmp_path: Path) -> None:
    with serving(lambda body: f"{body['messages'][1]['content']} {body['seed']}") as fake:
        judge = _judge(fake, tmp_path, calls=3, seed=10, extra={"top_k": 1, "temperature": 1})
        assert judge.ask([ASKED, Question("grade", "that")]) == [
            ["this 10", "this 11", "this 12"],
            ["that 10", "that 11", "that 12"],
        ]
    assert {request["temperature"] for request in fake.requests} == {0}
    assert {request["model"] for request in fake.requests} == {"judge-1"}
    assert {request["top_k"] for request in fake.requests} == {1}
    assert {request["path"] for request in fake.requests} == {"/v1/chat/completions"}


def test_replies_are_cached_by_content_across_judges(tmp_path: Path) -> None:
    with serving(lambda body: "first") as fake:
        assert _judge(fake, tmp_path).ask([ASKED]) == [["first", "first"]]
        fake.answer = lambda body: "second"
        assert _judge(fake, tmp_path).ask([ASKED]) == [["first", "first"]]
        assert len(fake.requests) == 2
        assert _judge(fake, tmp_path, calls=3).ask([ASKED]) == [["first", "first", "second"]]
        assert _judge(fake, tmp_path, max_tokens=7).ask([ASKED]) == [["second", "second"]]
        assert _judge(fake, tmp_path).ask([Question("grade", "other")]) == [["second", "second"]]


def test_a_cache_without_a_server_is_enough(tmp_path: Path) -> None:
    with serving(lambda body: "kept") as fake:
        judge = _judge(fake, tmp_path)
        judge.ask([ASKED])
    assert _judge(fake, tmp_path, patience=0).ask([ASKED]) == [["kept", "kept"]]


@pytest.mark.parametrize("damage", ["", "{", '{"reply": 1}', '{"request": {}, "reply": "1.0"}'])
def test_a_damaged_cache_is_asked_anew(tmp_path: Path, damage: str) -> None:
    with serving(lambda body: "good") as fake:
        _judge(fake, tmp_path, calls=1).ask([ASKED])
        [kept] = tmp_path.rglob("*.json")
        kept.write_text(damage)
        assert _judge(fake, tmp_path, calls=1).ask([ASKED]) == [["good"]]
        assert json.loads(kept.read_text())["reply"] == "good"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_fault_is_waited_out(tmp_path: Path, status: int) -> None:
    with serving(lambda body: status if len(fake.requests) < 3 else "at last") as fake:
        assert _judge(fake, tmp_path, calls=1, concurrency=1).ask([ASKED]) == [["at last"]]
    assert len(fake.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_lasting_fault_is_not_repeated(tmp_path: Path, status: int) -> None:
    with serving(lambda body: status) as fake:
        with pytest.raises(JudgeUnavailable, match=f"status {status}"):
            _judge(fake, tmp_path, calls=1).ask([ASKED])
        assert len(fake.requests) == 1


def test_a_judge_that_is_down_is_our_failure_and_scores_nothing(tmp_path: Path) -> None:
    with serving(lambda body: 503) as fake:
        pass
    scorer = MMVet(_judge(fake, tmp_path, patience=0))
    with pytest.raises(JudgeUnavailable, match="does not answer") as caught:
        scorer.score_all([item("MMVet", facts={"category": "ocr"})], ["an answer"])
    assert isinstance(caught.value, WorkFailed)
    assert caught.value.hint is not None
    assert "resume" in caught.value.hint
    assert list(tmp_path.rglob("*.json")) == []


def test_what_was_graded_before_a_judge_went_down_is_kept(tmp_path: Path) -> None:
    questions = [Question("grade", str(number)) for number in range(6)]
    with serving(lambda body: "ok" if len(fake.requests) <= 3 else 401) as fake:
        with pytest.raises(JudgeUnavailable):
            _judge(fake, tmp_path, calls=1, concurrency=1).ask(questions)
        asked = len(fake.requests)
        fake.answer = lambda body: "ok"
        assert _judge(fake, tmp_path, calls=1, concurrency=1).ask(questions) == [["ok"]] * 6
    assert asked == 4
    assert len(fake.requests) == asked + 3


def test_another_model_than_the_pinned_one_is_an_error(tmp_path: Path) -> None:
    with serving(lambda body: "fine", model="judge-2") as fake:
        with pytest.raises(JudgeUnavailable, match="answers as 'judge-2' where 'judge-1' is pinned"):
            _judge(fake, tmp_path).ask([ASKED])
        assert _judge(fake, tmp_path, answers_as="judge-2").ask([ASKED]) == [["fine", "fine"]]


@pytest.mark.parametrize("body", [{}, {"model": "judge-1", "choices": []}, {"model": "judge-1", "choices": [{}]}])
def test_a_reply_of_another_protocol_is_an_error(tmp_path: Path, body: dict[str, Any]) -> None:
    with serving(lambda request: body) as fake, pytest.raises(JudgeUnavailable, match="OpenAI chat protocol"):
        _judge(fake, tmp_path).ask([ASKED])


def test_an_empty_reply_is_a_reply(tmp_path: Path) -> None:
    body = {"model": "judge-1", "choices": [{"message": {"content": None}}]}
    with serving(lambda request: body) as fake:
        assert _judge(fake, tmp_path).ask([ASKED]) == [["", ""]]


def test_the_key_is_sent_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-judge-secret")
    with serving(lambda body: 401) as fake:
        judge = _judge(fake, tmp_path, key_variable="JUDGE_KEY")
        with pytest.raises(JudgeUnavailable) as caught:
            judge.ask([ASKED])
    assert fake.headers[0]["authorization"] == "Bearer sk-judge-secret"
    shown = f"{caught.value}{caught.value!r}{judge.config!r}{vars(judge)}{judge.config.identity()}"
    assert "sk-judge-secret" not in shown


def test_a_user_and_password_in_the_address_are_not_shown(tmp_path: Path) -> None:
    config = JudgeConfig(model="m", base_url="http://me:sk-hidden@127.0.0.1:9/v1", patience=0, calls=1)
    with pytest.raises(JudgeUnavailable) as caught:
        Judge(config, tmp_path, sleep=lambda seconds: None).ask([ASKED])
    assert "sk-hidden" not in str(caught.value)


def test_a_key_that_is_not_set_is_said_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with pytest.raises(ConfigInvalid, match="JUDGE_KEY is not set"):
        Judge(JudgeConfig(model="m", base_url="http://127.0.0.1:9/v1", key_variable="JUDGE_KEY"), tmp_path)


@pytest.mark.parametrize("address", ["", "127.0.0.1:8001/v1", "ftp://host/v1", "http:///v1"])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        JudgeConfig(model="m", base_url=address)


def test_where_the_judge_is_reached_is_no_part_of_its_identity() -> None:
    one = JudgeConfig(model="m", base_url="http://a/v1")
    other = JudgeConfig(model="m", base_url="http://b/v1", concurrency=1, timeout=1)
    assert one.identity() == other.identity()
    assert one.identity() != JudgeConfig(model="m", base_url="http://a/v1", calls=1).identity()
