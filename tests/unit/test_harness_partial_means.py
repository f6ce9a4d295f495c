"""A mean over some of a published table's benchmarks never passes for the table's: where it is told, it says so."""

from __future__ import annotations

import html
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import made_records as made
from cli_bench import make_cli
from curation_harness.record.scheme import Scheme
from curation_harness.record.store import RunRecord
from curation_harness.record.summary import summarize
from curation_harness.report import wording
from curation_harness.report.html import write_report
from curation_harness.report.terminal import SummaryView
from curation_plugins.config import override
from curation_plugins.registry import Registry
from curation_sandbox.incontainer import curate

SOME, ALL = "mean over 2 of DataComp's 38 (partial)", "mean over DataComp's 38"
SENTENCE = f"A public score is the {SOME}, one on sealed or all items the {ALL}."


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    scoring = (
        Scheme(made.BENCHMARKS)
        .kept(lambda names: SOME)
        .model_copy(update={"mean_of": {"public": SOME, "sealed": ALL}})
    )
    record = RunRecord.create(tmp_path / "runs", made.made_spec(scoring=scoring), None)
    made.write_attempt(record, 1)
    made.write_score(record, 1, 0.5)
    return record


@pytest.mark.parametrize("scored", [True, False], ids=["scored", "not-yet"])
def test_the_terminal_and_the_report_name_the_mean(record: RunRecord, scored: bool) -> None:
    if scored:
        made.write_headline(record, 1, 0.5)
    out = io.StringIO()
    Console(file=out, width=100).print(SummaryView(summarize(record)))
    assert SENTENCE in " ".join(out.getvalue().split())
    page = html.unescape(write_report(record, None, None).read_text(encoding="utf-8"))
    assert SENTENCE in page


def test_runs_side_by_side_name_it_each(
    record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    cli = make_cli(tmp_path, monkeypatch, capfd)
    made.made_run(cli.runs, run_id="of-an-older-version", attempts=1)
    told = cli("diagnose", str(record.folder), "of-an-older-version", "--json")
    assert [run["mean_of"] for run in json.loads(told.out)["runs"]] == [{"public": SOME, "sealed": ALL}, {}]
    text = " ".join(cli("diagnose", str(record.folder), "of-an-older-version").out.split())
    assert text.count("A public score is") == 1
    assert SENTENCE in text


def test_a_list_of_runs_names_it_once(
    record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    cli = make_cli(tmp_path, monkeypatch, capfd)
    RunRecord.create(cli.runs, made.made_spec("another", scoring=record.spec.scoring), None)
    made.made_run(cli.runs, run_id="of-an-older-version", attempts=1)
    text = " ".join(cli("runs").out.split())
    assert text.count(SENTENCE) == text.count("public score is") == 1
    by_run = {line["run"]: line.get("mean_of") for line in json.loads(cli("runs", "--json").out)}
    assert by_run[record.spec.run_id] == {"public": SOME, "sealed": ALL}
    assert not by_run["of-an-older-version"]


def test_a_table_of_references_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    cli, path = make_cli(tmp_path, monkeypatch, capfd), tmp_path / "table.json"
    path.write_text(made.made_references().model_dump_json())
    whose = ("--measured-by", "somebody", "--model", "m", "--recipe", "r", "--other-digests")
    told = cli("references", "probe", "--import", str(path), *whose)
    assert told.code == 0, told.err
    assert "A score is the mean over 4 benchmarks." in told.out


def test_a_dry_run_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    told = make_cli(tmp_path, monkeypatch, capfd)("launch", "--dry-run", "--task", "probe", "--agent", "nop")
    assert "A score is the mean over 4 benchmarks." in told.out


def test_the_agent_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    feedback: dict[str, Any] = {
        "mean": 0.5,
        "stderr": 0.1,
        "n": 10,
        "by_benchmark": None,
        "references": [],
        "noise_floor": None,
        "best_so_far": 0.5,
        "best_attempt": 1,
        "message": "",
    }
    curate.show_feedback({**feedback, "mean_of": SOME})
    assert f"the score is the {SOME}" in capsys.readouterr().out
    curate.show_feedback(feedback)  # of an older harness
    assert "the score is" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("task", "changes", "public", "sealed"),
    [
        ("probe", [], "mean over 4 benchmarks", "mean over 4 benchmarks"),
        ("probe", ["benchmarks=[plain]"], "mean over 1 benchmark", "mean over 1 benchmark"),
        ("datacomp-small", [], ALL, ALL),
        ("datacomp-small", ["benchmarks=[cifar10, imagenet1k]"], SOME, SOME),
        (
            "datacomp-small",
            ["evaluation.sealed_sets=[imagenet1k]"],
            "mean over 37 of DataComp's 38 (partial)",
            ALL,
        ),
        ("datacomp-tiny", [], "mean over 6 sets", "mean over 6 sets"),
        ("datacomp-tiny", ["benchmarks=[tiny/digits]"], "mean over 1 set", "mean over 1 set"),
        ("llava-tiny", [], "mean over 5 benchmarks", "mean over 5 benchmarks"),
    ],
    ids=["probe", "one", "38", "some", "sealed", "tiny", "one-tiny", "llava"],
)
def test_a_task_names_its_means(registry: Registry, task: str, changes: list[str], public: str, sealed: str) -> None:
    known = registry.tasks.get(task)
    chosen = known.with_config(override(known.config, changes))
    assert Scheme.of(chosen).kept(chosen.mean_name).mean_of == {"public": public, "sealed": sealed}


def test_one_mean_is_named_once() -> None:
    assert wording.means({"public": ALL, "sealed": ALL}) == f"A score is the {ALL}."


@pytest.mark.parametrize("name", ["datacomp-small", "datacomp-tiny"])
def test_a_title_promises_no_number_of_sets(registry: Registry, name: str) -> None:
    """It stands over runs on fewer sets, too."""
    task = registry.tasks.get(name)
    count = len(task.config.benchmarks)
    words = task.config.title.lower().split()
    assert not {str(count), "six"} & set(words), task.config.title
