"""Submitted selections: bytes of an agent's choosing, up to the size limit."""

from __future__ import annotations

import json
import math
import random
import string
from array import array
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation_plugins.config import SubmissionRules
from curation_plugins.errors import ProblemList, SubmissionRefused
from curation_plugins.selection import GIVE_UP, MAX_LINE, Selection, of_rows, parse, read_canonical

PLAIN = SubmissionRules(rows_max=5)
WEIGHTED = SubmissionRules(rows_max=5, weights=True)
POOL_ROWS = 100


def read(folder: Path, data: bytes, rules: SubmissionRules = PLAIN) -> Selection:
    file = folder / "submission"
    file.write_bytes(data)
    return parse(file, rules, POOL_ROWS)


def refused(folder: Path, data: bytes, rules: SubmissionRules = PLAIN) -> SubmissionRefused:
    with pytest.raises(SubmissionRefused) as error:
        read(folder, data, rules)
    return error.value


@pytest.mark.parametrize(
    "data",
    [
        b"3\n1\n2\n",
        b"3\r\n1\r\n\r\n2",
        b"[2, 3, 1]",
        b'{"row": 2}\n{"row": 1, "weight": 1}\n{"weight": 1.0, "row": 3}',
        b'[{"row": 1}, 2, {"row": 3}]',
        b"  1 \n2\n 3",
        b"\xef\xbb\xbf1\n2\n3\n",
    ],
)
def test_same_rows_are_the_same_submission_however_written(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data).digest() == of_rows([1, 2, 3]).digest()


def test_the_frozen_bytes_are_what_they_always_were(tmp_path: Path) -> None:
    chosen = read(tmp_path, b'{"row": 7, "weight": 2}\n2\n', WEIGHTED)
    assert chosen.canonical() == b'{"row":2,"weight":1.0}\n{"row":7,"weight":2.0}\n'


def test_canonical_form_reads_back(tmp_path: Path) -> None:
    chosen = read(tmp_path, b'{"row": 7, "weight": 0.1}\n{"row": 2, "weight": 1000}\n', WEIGHTED)
    frozen = tmp_path / "frozen"
    frozen.write_bytes(chosen.canonical())
    assert read_canonical(frozen) == chosen
    assert read(tmp_path, chosen.canonical(), WEIGHTED) == chosen


@pytest.mark.parametrize("kind", ["rows", "uids"])
@pytest.mark.parametrize(
    ("rows", "weights"),
    [
        ((-1, 3), (1, 1)),
        ((-(2**63), 3), (1, 1)),
        ((3, 2), (1, 1)),
        ((2, 2), (1, 1)),
        ((1, 2), (1, 0)),
        ((1, 2), (1, float("nan"))),
        ((1, 2), (float("inf"), 1)),
    ],
)
def test_a_frozen_selection_that_nobody_froze_is_none(tmp_path, kind, rows, weights) -> None:
    frozen = tmp_path / "frozen"
    Selection(array("q", rows), array("d", weights), kind).write(frozen)
    with pytest.raises(ValueError, match=r"its (rows|weights)"):
        read_canonical(frozen)


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"", "empty", None),
        (b"\n \n\n", "empty", None),
        (b"1\n100\n", "unknown-row", 2),
        (b"-1\n", "unknown-row", 1),
        (b"9" * 4000 + b"\n", "unknown-row", 1),
        (b"9" * 4096 + b"1\n", "line-too-long", 1),
        (b"1\n2\n1\n", "repeated-row", 3),
        (b"1.0\n", "not-a-row", 1),
        (b"1e2\n", "not-a-row", 1),
        (b"true\n", "not-a-row", 1),
        (b"null\n", "not-a-row", 1),
        (b'"1"\n', "not-a-row", 1),
        (b"NaN\n", "not-a-row", 1),
        (b"row 1\n", "not-a-row", 1),
        (b"\xff\xfe\x00\n", "not-a-row", 1),
        (b"[1, 2\n", "not-json", None),
        (b"[1, 2] trailing", "not-json", None),
        (b"[" * 100_000, "not-json", None),
        (b"[[1, 2]]", "not-a-row", 1),
        (b'{"row": 1, "rows": 2}\n', "unknown-key", 1),
        (b'{"weight": 1}\n', "not-a-row", 1),
        (b'{"row": {"row": 1}}\n', "not-a-row", 1),
        (b'{"row": 1, "weight": 2}\n', "no-weights", 1),
        (b"1\n2\n3\n4\n5\n6\n", "too-many-rows", None),
    ],
)
def test_bad_file_is_refused_with_reason_and_line(tmp_path: Path, data: bytes, code: str, line: int | None) -> None:
    problems = refused(tmp_path, data).problems
    assert (problems[0].code, problems[0].row) == (code, line)
    assert all(problem.message for problem in problems)


@pytest.mark.parametrize("weight", ["0", "-1", "NaN", "Infinity", "1e999", "1001", "true", '"1"', "null", "9" * 400])
def test_bad_weight_is_refused(tmp_path: Path, weight: str) -> None:
    problems = refused(tmp_path, b'{"row": 1, "weight": %s}\n' % weight.encode(), WEIGHTED).problems
    assert problems[0].code == "bad-weight"


def test_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "submission"
    with file.open("wb") as hole:
        hole.truncate(PLAIN.max_bytes + 1)
    with pytest.raises(SubmissionRefused) as error:
        parse(file, PLAIN, POOL_ROWS)
    assert error.value.problems[0].code == "too-large"


@pytest.mark.parametrize("line", [b"x\n", b"-1\n", b"1\n", b" []\n"])
def test_reading_millions_of_bad_lines_is_given_up(tmp_path: Path, line: bytes) -> None:
    error = refused(tmp_path, line * 4_000_000)
    assert len(error.problems) == ProblemList.LISTED
    assert GIVE_UP - ProblemList.LISTED <= error.more_problems <= GIVE_UP


@pytest.mark.parametrize("depth", [*range(900, 1010, 5), 1500, 2000])
def test_line_nested_about_as_deep_as_the_parser_takes(tmp_path: Path, depth: int) -> None:
    data = b'{"row": %s}\n' % (b"[" * depth + b"]" * depth)
    assert refused(tmp_path, data).problems[0].code in ("not-a-row", "line-too-long")


@pytest.mark.parametrize("depth", [*range(900, 1010, 5), 100_000])
def test_array_nested_about_as_deep_as_the_parser_takes(tmp_path: Path, depth: int) -> None:
    assert refused(tmp_path, b"[" * depth + b"]" * depth).problems[0].code in ("not-a-row", "not-json")


def test_long_values_are_not_repeated_in_messages(tmp_path: Path) -> None:
    for data in (b'"%s"\n' % (b"a" * 3000), b'{"%s": 1}\n' % (b"k" * 3000), b"9" * 3000 + b"\n"):
        assert all(len(problem.message) < 200 for problem in refused(tmp_path, data).problems)


def test_every_line_is_bounded(tmp_path: Path) -> None:
    assert read(tmp_path, b"1" + b" " * (MAX_LINE - 2) + b"\n") == of_rows([1])


within = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@within
@given(data=st.binary(max_size=400))
def test_any_bytes_are_accepted_or_refused(tmp_path: Path, data: bytes) -> None:
    check_outcome(tmp_path, data)


@within
@given(data=st.text(alphabet='0123456789-+.eE[]{}", \nrowightNaInfy:', max_size=200))
def test_any_near_miss_is_accepted_or_refused(tmp_path: Path, data: str) -> None:
    check_outcome(tmp_path, data.encode())


def check_outcome(folder: Path, data: bytes) -> None:
    try:
        chosen = read(folder, data, WEIGHTED)
    except SubmissionRefused as error:
        reasons = error.problems
    else:
        assert list(chosen.rows) == sorted(set(chosen.rows))
        assert all(0 <= row < POOL_ROWS for row in chosen.rows)
        assert all(0 < weight <= 1000 and math.isfinite(weight) for weight in chosen.weights)
        assert 0 < len(chosen.rows) <= WEIGHTED.rows_max
        return
    assert reasons


@within
@given(
    chosen=st.dictionaries(
        st.integers(0, POOL_ROWS - 1), st.floats(0, 1000, exclude_min=True), min_size=1, max_size=5
    ),
    seed=st.integers(),
)
def test_order_and_form_do_not_matter(tmp_path: Path, chosen: dict[int, float], seed: int) -> None:
    entries = [{"row": row, "weight": weight} for row, weight in chosen.items()]
    random.Random(seed).shuffle(entries)
    lines = read(tmp_path, "\n".join(json.dumps(entry) for entry in entries).encode(), WEIGHTED)
    array = read(tmp_path, json.dumps(entries).encode(), WEIGHTED)
    assert lines == array
    assert dict(zip(lines.rows, lines.weights, strict=True)) == chosen
    assert set(lines.digest()) <= set(string.hexdigits.lower())
