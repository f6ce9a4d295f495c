"""Agreement of the labeller with a labelled corpus: intervals, confusion, and corpora that are broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_harness.diagnostics.agreement import agree, wilson
from curation_harness.diagnostics.corpus import read_corpus
from curation_harness.diagnostics.judgement import Labelled
from curation_harness.errors import RecordInvalid
from made_tries import BAND, QUOTA, whole

CASE = """
label: {label}
shallow: {shallow}
why: made up
earlier: [{{policy: quota, outcome: accepted, mean: 0.5}}]
later: {{policy: {later}}}
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    half = tmp_path / "half"
    for name, body in (("quota", QUOTA), ("band", BAND)):
        (half / "policies" / name).mkdir(parents=True)
        (half / "policies" / name / "policy.py").write_text(whole(body))
    (half / "selections").mkdir()
    (half / "selections" / "band.txt").write_text('{"row": 3, "weight": 2.0}\n{"row": 5, "weight": 1.0}\n')
    for case, label, shallow, later in (
        ("one", "new family", "false", "band"),
        ("two", "local tuning", "true", "quota"),
    ):
        (half / case).mkdir()
        (half / case / "case.yaml").write_text(CASE.format(label=label, shallow=shallow, later=later))
    return tmp_path


def test_cases_are_read_with_their_policies_and_rows(corpus):
    cases = {case.name: case for case in read_corpus(corpus)}
    assert cases["one"].half == "half"
    assert list(cases["one"].later.rows or ()) == [3, 5]
    assert cases["one"].later.weighted
    assert cases["one"].before[0].code is not None


def test_half_and_whole_corpus_are_the_same_command(corpus):
    assert [case.name for case in read_corpus(corpus)] == [case.name for case in read_corpus(corpus / "half")]


def test_agreement_counts_each_label_against_all_others(corpus):
    found = agree(
        read_corpus(corpus),
        lambda one, before: Labelled(label="new family", evidence=(), family=None, shallow=False),
    )
    (half,) = found.halves
    assert (half.agreement.count, half.agreement.of) == (1, 2)
    lines = {line.label: (line.both, line.missed, line.wrong, line.neither) for line in half.labels}
    assert lines == {"new family": (1, 0, 1, 0), "local tuning": (0, 1, 0, 1)}
    assert half.confusion == {"new family": {"new family": 1}, "local tuning": {"new family": 1}}
    assert [miss.case for miss in half.misses] == ["two"]
    assert half.shallow.count == 1


def test_wilson_interval_is_the_published_one():
    found = wilson(81, 263)  # Newcombe 1998, Statistics in Medicine 17, table I, method 3
    assert (found.low, found.high) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    nothing = wilson(0, 20)
    assert (nothing.low, nothing.high) == (0.0, pytest.approx(0.1611, abs=1e-4))


@pytest.mark.parametrize(
    ("text", "told"),
    [("label: [", "case.yaml"), ("label: nice\n", "label"), ("42", "case.yaml")],
    ids=["no-yaml", "no-such-label", "no-mapping"],
)
def test_a_broken_case_is_named(corpus, text, told):
    (corpus / "half" / "one" / "case.yaml").write_text(text)
    with pytest.raises(RecordInvalid, match=told):
        read_corpus(corpus)


def test_a_folder_without_cases_is_told(tmp_path):
    with pytest.raises(RecordInvalid, match="no cases"):
        read_corpus(tmp_path)
