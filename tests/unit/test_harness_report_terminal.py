"""The summary in a terminal, in a pipe, and in a narrow window."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

import made_records as made
from curation_harness.record.store import RunRecord
from curation_harness.record.summary import Summary, summarize
from curation_harness.report.plain import one_line, visible
from curation_harness.report.terminal import SummaryView
from curation_sandbox.protocol import Score

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def printed(summary: Summary, *, width: int = 80, terminal: bool = False, encoding: str = "utf-8") -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    console = Console(file=out, width=width, force_terminal=terminal, color_system="truecolor" if terminal else None)
    console.print(SummaryView(summary))
    out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    return out.buffer.getvalue().decode(encoding)


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    return summarize(made.made_run(tmp_path, attempts=4))


def test_everything_that_counts_is_said(summary: Summary) -> None:
    text = " ".join(printed(summary).split())
    assert "Run run-1" in text
    assert "task made-tiny · agent baseline · scaffold open · seed 7" in text
    assert "status scored" in text
    sealed = summary.sealed
    assert sealed is not None
    assert f"{sealed.mean:.3f} ± {sealed.stderr:.3f} on 480 sealed items" in text
    assert "(3 seeds)" in text
    assert "Share of the full-data gain recovered on sealed items" in text
    assert "Minimal detectable difference to random: 0.0" in text
    assert "Shrinkage from public to sealed" in text
    assert "Noise floor" in text
    assert "iterations 4 of 4 (1 given back)" in text
    assert "our failure" in text
    best = next(line for line in summary.attempts if line.best)
    assert re.search(rf"{best.n} ★ +scored", printed(summary))
    for reference in summary.references:
        assert reference.name in text
        assert f"{sealed.mean - reference.sealed:+.3f}" in text
    for benchmark in made.BENCHMARKS:
        assert benchmark in text


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", [40, 64, 80, 120, 200])
def test_no_line_is_wider_than_the_window(summary: Summary, width: int, terminal: bool) -> None:
    lines = COLOUR.sub("", printed(summary, width=width, terminal=terminal)).splitlines()
    assert [line for line in lines if cell_len(line) > width] == []
    assert f"Record: {summary.folder}".replace(" ", "") in "".join(lines).replace(" ", "")


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize(
    ("names", "width", "shown"),
    [
        (("captioned", "digits", "digits-shifted", "letters", "shapes", "words"), 80, 6),
        (("captioned", "digits", "words"), 80, 3),
        (tuple(f"a-set-with-a-long-name-{number}" for number in range(6)), 80, 3),
    ],
    ids=["six", "three", "long"],
)
def test_scores_by_benchmark_are_not_cut(
    tmp_path: Path, names: tuple[str, ...], width: int, shown: int, terminal: bool
) -> None:
    """Where the errors have no room they are left out, then whole benchmarks: a half number says nothing."""
    summary = summarize(made.made_run(tmp_path, attempts=2))
    scores = dict.fromkeys([f"tiny/{name}" for name in names], Score(mean=0.123, stderr=0.045, n=9))
    lines = []
    for line in summary.attempts:
        public = line.public and line.public.model_copy(update={"by_benchmark": scores})
        lines.append(line.model_copy(update={"public": public}))
    summary = summary.model_copy(update={"attempts": tuple(lines)})
    text = COLOUR.sub("", printed(summary, width=width, terminal=terminal))
    rows = [line for line in text.splitlines() if "0.123" in line]
    assert rows
    assert {line.count("0.123") for line in rows} == {shown}
    assert not any("…" in line for line in rows)
    assert all(re.search(r"\d", line.split("0.123")[0]) for line in rows), "the attempt's number is there"


def test_a_pipe_gets_neither_colours_nor_frames(summary: Summary) -> None:
    text = printed(summary)
    assert "\x1b" not in text
    assert not set(text) & set("│─╭╰┌└")
    assert "│" in printed(summary, terminal=True)


def test_an_ascii_terminal_gets_ascii(summary: Summary) -> None:
    text = printed(summary, terminal=True, encoding="ascii")
    assert "+/-" in text
    assert text.isascii()


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", [50, 80, 160])
def test_agent_text_reaches_a_terminal_as_text_only(tmp_path: Path, terminal: bool, width: int) -> None:
    record = RunRecord.create(tmp_path, made.made_spec(), None)
    for n, text in enumerate(made.HOSTILE.values(), start=1):
        made.write_attempt(record, n, note=text)
        if n % 2:
            made.write_score(record, n, 0.5)
        else:
            made.write_failure(record, n, failure=text)
    raw = printed(summarize(record), width=width, terminal=terminal)
    text = COLOUR.sub("", raw) if terminal else raw
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e\u2066]", text)
    assert "owned" in text
    assert "[red]" in text  # said, not obeyed
    assert "title" not in text
    assert "\u0301" * 5 not in text


def test_a_huge_note_is_cut(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path, made.made_spec(), None)
    made.write_attempt(record, 1, note="\x1b" * 100_000 + "x" * 100_000)
    assert len(printed(summarize(record), width=120)) < 5000


def test_a_run_without_attempts_or_references(tmp_path: Path) -> None:
    text = " ".join(printed(summarize(RunRecord.create(tmp_path, made.made_spec(), None))).split())
    assert "No attempts." in text
    assert "unscored" in text
    assert "harness finish" in text


def test_failures_of_ours_and_of_the_provider_are_told_in_full(tmp_path: Path) -> None:
    """A run that ends without a score says why; each reason once, however often it came."""
    record = RunRecord.create(tmp_path, made.made_spec(), None)
    reason = "WorkerRaised: the worker for 'evaluate' raised ConfigInvalid: " + "vLLM is not here, " * 8
    for n in (1, 2):
        made.write_attempt(record, n)
        made.write_failure(record, n, failure=reason)
    for outcome, status in (("ok", 401), ("ok", 401), ("provider-error", 503), ("ok", 200)):
        record.events.append("model-call", outcome=outcome, status=status, tokens=0, dollars=None)
    text = " ".join(printed(summarize(record), width=100).split())
    told = f"Failure of the harness, not of the agent, in attempt 1, 2: {reason.strip()}"
    assert text.count(told) == 1
    assert (
        "3 of 4 requests to the model got no good reply: 2 refused by the provider (HTTP 401),"
        " 1 failed at the provider (HTTP 503)." in text
    )


# -- plain text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a \x1b[31mred\x1b[0m b", "a red b"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;ZXZpbA==\x07copied", "copied"),
        ("a\x1bPdevice\x1b\\b", "ab"),
        ("\x1b]0;never ends", ""),
        ("\x9b31mred", "red"),
        ("a\x1b", "a"),
        ("one\r\ntwo\ttab\u2028three", "one two tab three"),
        ("tag\U000e0041\u200d\ufeffs", "tags"),
        ("日本語 é", "日本語 é"),
    ],
)
def test_one_line_keeps_the_words(text: str, shown: str) -> None:
    assert one_line(text, 100) == shown


def test_one_line_is_cut_with_a_mark() -> None:
    assert one_line("abcdef", 6) == "abcdef"
    assert one_line("abcdefg", 6) == "abcde…"
    assert one_line("äbcdefg", 6, ascii_only=True) == "?bcde."


def test_visible_keeps_lines_and_writes_out_the_rest() -> None:
    assert visible("a\r\n\tb\x1b[m") == "a\n\tb⟨U+001B⟩[m"
    assert visible("if a:\u202e # é") == "if a:⟨U+202E⟩ # é"
