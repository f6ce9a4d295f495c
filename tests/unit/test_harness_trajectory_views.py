"""The steps in the terminal, as JSON and in the report; no text of an agent does anything there."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from nat.atif.trajectory import Trajectory as Standard
from rich.console import Console

import made_records as made
from cli_bench import Cli
from curation_harness.errors import RecordInvalid
from curation_harness.report.html import write_report
from curation_harness.report.steps import StepsView
from curation_harness.trajectory import building
from made_conversations import Traffic, assistant, result, said, user

HOSTILE = "".join(made.HOSTILE.values())
CALL = ("Bash[red]\x1b[2J", {"command": HOSTILE, "<b>": ["<i>"]})


def hostile(tmp_path: Path) -> Traffic:
    traffic = Traffic(tmp_path, events=True)
    traffic.ask([user(HOSTILE)], said("a", HOSTILE, CALL, HOSTILE), system=HOSTILE)
    history = [user(HOSTILE), assistant("a", HOSTILE, CALL), result("a", HOSTILE + "\n" + "line\n" * 40)]
    traffic.ask(history, said("b", "</pre></details>" + HOSTILE), system=HOSTILE)
    traffic.ask([user("task")], said("s", HOSTILE), system="sub " + HOSTILE)
    return traffic


def printed(traffic: Traffic, **options: object) -> str:
    out = io.StringIO()
    given = {"file": out, "width": 100, "color_system": None, "legacy_windows": False, "force_terminal": True}
    Console(**(given | options)).print(StepsView(traffic.build()))  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("width", [30, 100, 1000])
def test_no_control_character_or_markup_of_an_agent_reaches_the_terminal(tmp_path: Path, width: int):
    text = printed(hostile(tmp_path), width=width)
    assert not {character for character in text if not character.isprintable()} - {"\n"}
    assert max(len(line) for line in text.splitlines()) <= width
    if width > 100:
        assert "[red]marked[/red]" in text, "markup is shown as what it is"
        assert "Bash[red]" in text


def test_an_ascii_terminal_gets_ascii(tmp_path: Path):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(file=out, width=90).print(StepsView(hostile(tmp_path).build()))


def test_steps_tell_who_what_and_how_much(tmp_path: Path):
    traffic = Traffic(tmp_path)
    traffic.ask([user("Curate.")], said("a", "Look.", ("Bash", {"command": "ls"}), "Pool first."))
    traffic.ask([user("Curate."), assistant("a", "Look.", ("Bash", {"command": "ls"})), result("a", "r\n" * 30)], b"")
    text = printed(traffic)
    for expected in (
        "3  +2 s  agent  100 in (60 cached), 10 out  $0.2500",
        "      ~ Pool first.",
        '      > Bash {"command": "ls"}',
        "        | r\n",
        "more lines",
        "4 steps: 200 tokens in (120 cached), 20 out, $0.5000",
    ):
        assert expected in text, text


def test_submissions_stand_out_with_their_score(tmp_path: Path):
    text = printed(Traffic(tmp_path, events=True), color_system="standard")
    (line,) = [line for line in text.splitlines() if "Attempt 1 scored" in line]
    assert line.startswith("\x1b[1;32m")


def test_show_steps_builds_what_was_not_written_and_reads_what_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    traffic = Traffic(tmp_path)
    traffic.ask([user("Curate.")], said("a", "Look."))
    harness = Cli(tmp_path, capsys)
    arguments = ("show", "run-1", "--run-dir", str(tmp_path), "--steps")
    shown = harness(*arguments)
    assert shown.code == 0, shown.err
    assert "Look." in shown.out
    assert not (traffic.record.folder / building.FILE).exists(), "a command that shows writes nothing"
    built = harness(*arguments, "--json").out
    Standard.model_validate_json(built)
    building.write(traffic.record, None)
    read = harness(*arguments, "--json").out
    assert json.loads(read) == json.loads(built)


def test_a_damaged_trajectory_is_said_to_be_one(tmp_path: Path):
    traffic = Traffic(tmp_path)
    path = building.write(traffic.record, None)
    path.write_text(path.read_text().replace("ATIF-v1.7", "ATIF-v9"))
    with pytest.raises(RecordInvalid, match=r"trajectory\.json"):
        building.load(traffic.record)


def test_the_report_shows_the_steps_and_runs_nothing_of_them(tmp_path: Path):
    traffic = hostile(tmp_path)
    building.write(traffic.record, None)
    page = write_report(traffic.record, None, None).read_text()
    section = page[page.index('<section id="trajectory"') :]
    section = section[: section.index("</section>")]
    assert "<script" not in section
    assert "<img" not in section
    assert "onerror" not in section.replace("onerror=alert(2)&gt;", "")
    assert "\u202e" not in section
    assert "\x1b" not in section
    assert section.count("<details") == section.count("</details>")
    assert "attempt-scored" in section
    assert "run-1/sub-agent-1" in section


def test_a_report_without_a_trajectory_has_no_section_for_it(tmp_path: Path):
    page = write_report(made.made_run(tmp_path), None, None).read_text()
    assert 'id="trajectory"' not in page
