"""The figures: drawn for few and many attempts, deterministic, left out where there is nothing to draw."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import made_records as made
from curation_harness.record.models import Headline
from curation_harness.record.store import RunRecord
from curation_harness.record.summary import Summary, summarize
from curation_harness.report.figures import benchmarks, comparison, progress, selections


def draw_all(summary: Summary, headline: Headline | None, references: bool = True) -> dict[str, str | None]:
    table = made.made_references() if references else None
    numbers = [line.n for line in summary.attempts]
    mixes = {n: {"alder": 10 + n, "birch": 5} for n in numbers}
    matrix = [[1.0 if row == column else 0.3 for column in numbers] for row in numbers]
    return {
        "progress": progress.progress(summary),
        "benchmarks": benchmarks.benchmarks(summary, headline, table),
        "public and sealed": benchmarks.public_and_sealed(summary, headline),
        "differences": comparison.differences(summary),
        "standing": comparison.standing(summary),
        "shrinkage": comparison.shrinkage(summary),
        "noise": comparison.noise(summary),
        "source mix": selections.source_mix({"alder": 100, "birch": 100, "cedar": 1}, mixes),
        "overlap": selections.overlap(numbers, matrix),
        "truth": selections.truth(summary, table),
    }


@pytest.mark.parametrize("attempts", [1, 2, 50])
@pytest.mark.parametrize("references", [True, False])
def test_every_figure_is_svg_that_loads_nothing(tmp_path: Path, attempts: int, references: bool) -> None:
    record = made.made_run(tmp_path, attempts=attempts, references=references)
    drawn = draw_all(summarize(record), record.headline(), references)
    missing = {"overlap"} if attempts == 1 else set()
    missing |= set() if references else {"differences", "shrinkage", "noise"}
    assert {name for name, svg in drawn.items() if svg is None} == missing
    for svg in filter(None, drawn.values()):
        root = ElementTree.fromstring(svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "script" not in svg
        for element in root.iter():
            for name, value in element.attrib.items():
                assert not name.endswith("href") or value.startswith(("#", "data:image/png;base64,"))


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    record = made.made_run(tmp_path)
    summary = summarize(record)
    assert draw_all(summary, record.headline()) == draw_all(summary, record.headline())
    assert "<dc:date>" not in "".join(filter(None, draw_all(summary, record.headline()).values()))


def test_nothing_is_drawn_from_nothing(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path, made.made_spec(), None)
    made.write_attempt(record, 1)
    made.write_failure(record, 1)
    drawn = draw_all(summarize(record), None)
    assert {name for name, svg in drawn.items() if svg} == {"source mix"}
    assert selections.source_mix({}, {}) is None


def test_random_search_is_drawn_only_where_it_was_measured(tmp_path: Path) -> None:
    summary = summarize(made.made_run(tmp_path))
    assert summary.random_search is not None
    without = summary.model_copy(update={"random_search": None})
    assert progress.progress(summary) != progress.progress(without)


def test_many_sources_are_put_together(tmp_path: Path) -> None:
    pool = {f"source-{n}": 10 + n for n in range(40)}
    few = {name: pool[name] for name in list(pool)[-8:]}
    assert selections.named_sources(few) == list(reversed(few))
    named = selections.named_sources(pool)
    assert len(named) == 7
    assert named[0] == "source-39"
    assert selections.source_mix(pool, {1: pool}) is not None


def test_names_are_never_read_as_mathematics() -> None:
    broken = r"$\frac{" + "\x1b[31m"
    assert selections.source_mix({broken: 3, "b": 1}, {1: {broken: 1}}) is not None


def test_a_selection_of_unknown_sources_does_not_divide_by_zero() -> None:
    assert selections.source_mix({"a": 3}, {1: {}}) is not None


@pytest.mark.parametrize("length", [6, 17, 18, 24, 40])
def test_no_label_of_the_sources_is_cut_off(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    outside = list[float]()

    def extent(figure: Figure) -> str:
        figure.savefig(io.BytesIO(), format="png", dpi=figure.dpi)  # places everything
        outside.append(float(figure.legends[0].get_window_extent().x1 - figure.bbox.x1))
        return ""

    monkeypatch.setattr(selections, "svg", extent)
    pool = {f"{number}.{'media.harbour.example.with.a.name'}"[:length].ljust(length, "m"): 100 for number in range(9)}
    selections.source_mix(pool, {1: pool})
    assert len(outside) == 1
    assert outside[0] <= 0
