"""What a run left of an agent's bytes, read again by reports, replays and diagnoses: nothing breaks over it."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from curation_harness.cli.doctor import doctor
from curation_harness.diagnostics import knobs
from curation_harness.replay import denials, lanes, normalise
from curation_harness.reproduction import frame
from curation_harness.trajectory import bounds, chat, messages, responses
from curation_harness.trajectory.events import documents
from curation_plugins.policies.code import PolicyCode
from curation_sandbox import conformance
from curation_sandbox.judging import Property
from mutations import corpus, examples, mutated, mutated_json, watched

MOST = 1000
"""Bytes that a policy of these tests may write."""


@examples(200)
@given(mutated(corpus("report")) | st.binary(max_size=60))
def test_a_changed_report_of_a_policys_run_is_read_or_none(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "reports"
    folder.mkdir(exist_ok=True)
    out = folder / "out"
    out.unlink(missing_ok=True)
    with frame.Tail(MOST, folder) as tail:
        for at in range(0, len(data), 7):
            tail.add(data[at : at + 7])
        with watched(folder):
            report = frame.read(tail, MOST, out)
    assert (report is None) == (not out.exists())
    if report is not None:
        assert out.stat().st_size == report.size <= MOST
        assert len(report.said) <= 8000


@examples(150)
@given(mutated_json(corpus("model-request")) | mutated(corpus("model-request")))
def test_a_changed_request_in_a_record_has_one_digest_and_one_lane(data: bytes) -> None:
    with watched():
        assert normalise.digest(data) == normalise.digest(data)
        assert lanes.lane_of("/v1/messages", data) == lanes.lane_of("/v1/messages", data)
        assert len(denials._begun(data)) == 3


@examples(150)
@given(
    mutated(corpus("model-reply")) | mutated_json([data for data in corpus("model-reply") if data.startswith(b"{")])
)
def test_a_changed_reply_in_a_record_is_told_within_bounds(data: bytes) -> None:
    with watched():
        for reader in (messages, responses, chat):
            reader.replied(documents(data))
        found = bounds.arguments(data.decode("utf-8", "surrogateescape"))
    written = json.dumps(found, ensure_ascii=False, allow_nan=False).encode("utf-8")
    assert len(written) < 8 * (bounds.ARGUMENTS + bounds.TEXT)


@examples(150)
@given(
    st.sampled_from(("a.json", "a.yaml", "a.yml", "a.md", "policy.py")),
    mutated([*corpus("data-file"), *corpus("policy")]),
)
def test_a_changed_file_of_a_policy_has_knobs_or_none(name: str, data: bytes) -> None:
    code = PolicyCode.model_validate(NO_CODE)
    text = data.decode("utf-8", "replace")
    with watched():
        found = knobs._of_code(name, text, code) if name.endswith(".py") else Counter(knobs._of_data(name, text))
    assert all(isinstance(one, str) for one in found)


NO_CODE = {
    **{
        name: () for name in ("files", "functions", "constants", "calls", "imports", "signals", "metadata", "strings")
    },
    **{name: {} for name in ("features", "rules", "formulas", "bodies", "numbers")},
    **{"content": True, "writes": True, "packed": (), "dynamic": ()},
}


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['true']",
        "!!python/name:os.system",
        "a: &x [*x]",
        "a: &a [1]\nb: [*a, *a]\n" + "".join(f"{c}: [*a]\n" for c in "cdefg"),
        "[" * 5000,
        "{" * 5000,
    ],
    ids=["apply", "name", "cycle", "aliases", "deep", "deeper"],
)
def test_yaml_beside_a_policy_constructs_nothing(text: str) -> None:
    with watched():
        assert list(knobs._of_data("a.yaml", text)) == [repr(text)]


def test_a_number_to_the_base_60_beyond_all_floats_is_text() -> None:
    text = "a: 1" + ":1" * 400 + ".0"
    assert list(knobs._of_data("a.yaml", text)) == [repr(text)]


def test_a_number_to_the_base_60_of_any_length_costs_no_time() -> None:
    text = "a: 1" + ":1" * 250_000
    began = time.process_time()
    assert list(knobs._of_data("a.yaml", text)) == [repr(text)]
    assert time.process_time() - began < 5


def test_a_key_of_more_digits_than_python_writes_is_in_hexadecimal_ones() -> None:
    key = "0x" + "f" * 5000
    assert set(knobs._of_data("a.yaml", f"? {key}\n: 7")) == {repr(key), "7"}
    found = knobs._of_code(
        "policy.py", f"shares = {{{key}: 7, 8: 9}}\nprint(shares)", PolicyCode.model_validate(NO_CODE)
    )
    assert set(found) == {f"key {key}", "key 8", "7", "9"}


@pytest.mark.parametrize("name", ["loopback only", "\x1b]0;mine\x07"])
def test_the_doctor_prints_nothing_that_a_terminal_obeys(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    found = [Property(name=name, holds=True, detail="\x1b[2Jlo\u202e\x9b1m\r", fix="")]
    monkeypatch.setattr(conformance, "examine_sandbox", lambda *_: found)
    printed = CliRunner().invoke(doctor, ["--sandbox"], catch_exceptions=False).output
    assert "lo" in printed
    assert printed.replace("\n", "").isprintable()


def test_the_corpus_is_what_the_parsers_take(tmp_path: Path) -> None:
    for number, data in enumerate(corpus("report")):
        with frame.Tail(MOST, tmp_path) as tail:
            tail.add(data)
            assert frame.read(tail, MOST, tmp_path / f"{number}") is not None
    for data in corpus("model-request"):
        assert isinstance(normalise.parsed(data), dict)
    assert len(set(map(normalise.digest, corpus("model-request")))) == len(corpus("model-request"))
    assert any(messages.replied(documents(data)) for data in corpus("model-reply"))
