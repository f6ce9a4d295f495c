"""``harness diagnose``: tables, JSON, a page; over one run and several; bad options and damaged records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import made_records as made
from cli_bench import CONTROL, Cli, make_cli
from curation_harness.diagnostics.comparison import Comparison
from curation_harness.errors import RecordInvalid


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    cli = make_cli(tmp_path, monkeypatch, capfd)
    made.made_run(cli.runs, run_id="one", attempts=2)
    made.made_run(cli.runs, run_id="hostile", hostile=True, attempts=2)
    return cli


def test_one_run_is_a_table_with_the_gap_in_a_sentence(cli):
    told = cli("diagnose", "one")
    assert told.code == 0, told.err
    assert "Execution-research gap" in told.out
    assert "new family" in told.out.lower()


def test_json_is_the_comparison_and_nothing_else(cli):
    told = cli("diagnose", "one", "hostile", "--json")
    found = Comparison.model_validate_json(told.out)
    assert [run.run_id for run in found.runs] == ["one", "hostile"]
    assert {grouping.by for grouping in found.groupings} == {"scaffold", "agent", "task"}


def test_the_same_record_gives_the_same_diagnosis(cli):
    assert cli("diagnose", "one", "--json").out == cli("diagnose", "one", "--json").out


def test_naming_a_run_twice_counts_it_once(cli):
    assert len(json.loads(cli("diagnose", "one", "one", "--json").out)["runs"]) == 1


def test_a_run_named_by_id_and_by_path_counts_once(cli):
    told = cli("diagnose", "one", str(cli.runs / "one"), "--json")
    assert [run["run_id"] for run in json.loads(told.out)["runs"]] == ["one"]


def test_a_copy_of_a_run_beside_it_is_not_another_run(cli):
    shutil.copytree(cli.runs / "one", cli.runs / "copy")
    told = cli("diagnose", "one", str(cli.runs / "copy"))
    assert told.code not in (0, 1)
    assert "both hold run one" in told.err


def test_html_of_one_run_lies_in_its_folder_and_of_several_beside_them(cli):
    assert Path(cli("diagnose", "one", "--html").out.strip()) == cli.runs / "one" / "diagnosis.html"
    page = Path(cli("diagnose", "one", "hostile", "--html").out.strip())
    assert page == cli.runs / "diagnosis.html"
    assert "<script" not in page.read_text()


def test_what_an_agent_wrote_reaches_no_terminal(cli):
    assert not CONTROL.search(cli("diagnose", "hostile").out)


def test_a_policy_that_is_no_python_is_told_and_not_labelled(cli):
    found = Comparison.model_validate_json(cli("diagnose", "hostile", "--json").out)
    assert found.runs[0].summary.unreadable == 2
    assert found.runs[0].summary.gap is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere",), "no run 'nowhere'"),
        (("one", "--out", "x.html"), "--html"),
        (("one", "--corpus", "."), "--corpus"),
        (("--corpus", "."), "no cases"),
    ],
    ids=["unknown", "out-without-html", "corpus-with-run", "no-corpus"],
)
def test_bad_options_are_told(cli, arguments, told):
    answer = cli("diagnose", *arguments)
    assert answer.code not in (0, 1)
    assert told in answer.err


def test_a_damaged_record_is_named(cli):
    (cli.runs / "one" / "attempts" / "001" / "selection.jsonl").write_text("{")
    answer = cli("diagnose", "one")
    assert answer.code == 44
    assert "selection.jsonl" in answer.err


def test_an_attempt_whose_folder_is_gone_is_named(cli):
    shutil.rmtree(cli.runs / "one" / "attempts" / "002")
    answer = cli("diagnose", "one")
    assert answer.code == 44
    assert "002" in answer.err


def test_a_policy_file_that_became_a_link_is_not_followed(cli):
    place = cli.runs / "one" / "attempts" / "001" / "policy" / "policy.py"
    place.unlink()
    place.symlink_to("/etc/passwd")
    told = cli("diagnose", "one", "--json")
    assert told.code == RecordInvalid.exit_code
    assert "policy.py is a link" in told.err
    assert "root:" not in told.out + told.err
