"""Files that an agent hands in, changed in every way: read or refused with reasons, and nothing beside that."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import tracemalloc
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.lib import format as npy
from pyarrow import parquet

from curation_plugins import selection, uid_lists
from curation_plugins.agents import session_log
from curation_plugins.config import SubmissionRules
from curation_plugins.errors import ProblemList, SubmissionRefused
from curation_plugins.policies.carried import carried_data
from curation_plugins.policies.code import PolicyCode
from curation_plugins.policies.reading import PolicyUnreadable, read_policy
from curation_plugins.registry import Registry
from curation_plugins.scaffolds.method_file import METHOD
from curation_plugins.scaffolds.research_file import RESEARCH
from curation_plugins.scaffolds.written import SHOWN, Written
from curation_plugins.selection import Selection
from curation_plugins.uids import table
from curation_plugins.uids.digits import to_hex
from curation_plugins.workers import answers
from curation_sandbox.protocol import Problem
from mutations import CORPUS, TOKENS, corpus, examples, mutated, mutated_json, watched

ROWS = SubmissionRules(rows_max=50, weights=True, max_bytes=200_000)
UIDS = SubmissionRules(kind="uids", rows_max=50, repeats_max=3, max_bytes=200_000)
POOL_ROWS = 100
POOL: np.ndarray = np.load(CORPUS / "uids" / "sorted.npy", allow_pickle=False)
MESSAGE = 800
"""Characters of a problem's message: it may quote the file, but not repeat it."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parsed")
    np.save(folder / "uids.npy", POOL)
    return folder


def told(problems: Sequence[Problem]) -> None:
    """Reasons that a person and a JSON reply can take."""
    assert problems
    for problem in problems:
        assert 0 < len(problem.message) <= MESSAGE
        problem.message.encode("utf-8")
        assert problem.code.replace("-", "").isalnum()
    assert len(problems) <= ProblemList.LISTED


def is_sound(chosen: Selection, rows: int, rules: SubmissionRules) -> None:
    assert list(chosen.rows) == sorted(set(chosen.rows))
    assert 0 < len(chosen.rows) <= rules.rows_max
    assert all(0 <= row < rows for row in chosen.rows)
    assert all(0 < weight <= 1000 and math.isfinite(weight) for weight in chosen.weights)


# -- rows ------------------------------------------------------------------------------------------


@examples(150)
@given(mutated(corpus("rows")))
def test_a_changed_list_of_rows_is_read_or_refused(place: Path, data: bytes) -> None:
    file = place / "rows"
    file.write_bytes(data)
    with watched(place):
        try:
            chosen = selection.parse(file, ROWS, POOL_ROWS, excluded=(5,))
        except SubmissionRefused as error:
            told(error.problems)
            return
    is_sound(chosen, POOL_ROWS, ROWS)
    assert 5 not in chosen.rows
    (place / "again").write_bytes(chosen.canonical())
    assert selection.read_canonical(place / "again") == chosen


@examples(150)
@given(mutated(corpus("rows")))
def test_a_changed_frozen_selection_of_a_record_is_read_or_told(place: Path, data: bytes) -> None:
    frozen = place / "frozen"
    for content in (data, b'{"row": 1, "weight": 1.0}\n' + data, b"[" * 100_000, b'{"row":' * 100_000):
        frozen.write_bytes(content)
        why = ""
        with watched(place):
            try:
                chosen = selection.read_canonical(frozen)
            except ValueError as error:
                chosen, why = Selection(array("q"), array("d")), str(error)
        assert len(why) <= MESSAGE
        assert len(chosen.rows) == len(chosen.weights)


@pytest.mark.parametrize("piece", [b"[],", b"{},", b'"",', b"[[[],[]]],", b"1.0,"])
def test_an_array_of_brackets_does_not_grow_in_memory(place: Path, piece: bytes) -> None:
    """Read at once, empty lists take over twenty bytes of memory each byte of the file."""
    rules = SubmissionRules(rows_max=50)
    file = place / "brackets"
    file.write_bytes(b"[" + piece * (2_000_000 // len(piece)) + b"1]")
    tracemalloc.start()
    with pytest.raises(SubmissionRefused):
        selection.parse(file, rules, POOL_ROWS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * file.stat().st_size


# -- uids ------------------------------------------------------------------------------------------


def saved(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    out = io.BytesIO()
    npy.write_array(out, array, version=version, allow_pickle=True)
    return out.getvalue()


def with_header(text: str, body: bytes, version: bytes = b"\x01\x00") -> bytes:
    """A ``.npy`` file whose header says whatever it is told to."""
    size = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little", signed=False)
    return b"\x93NUMPY" + version + size + text.encode("latin-1") + body


@st.composite
def arrays(draw: st.DrawFn) -> bytes:
    """A ``.npy`` file whose header and body do not fit each other, or are no list of uids."""
    if draw(st.booleans()):
        descr = draw(
            st.sampled_from(
                ("'<u8'", "[('f0','<u8'),('f1','<u8')]", "[('a','>u8'),('b','<u8')]", "'|O'", "'u8,u8'", "[('',)]",
                 "[('f0','<u8',(2,)),('f1','<u8')]", "'V16'", "[('f0','<u8'),('f0','<u8')]", "'<i8,<u8'", "'S32'",
                 "[('f0','<u8'),('f1','<u8'),('f2','V" + "9" * 12 + "')]", "None", "{'names':['a']}", "'<f8'",
                 "[('f0','|O'),('f1','<u8')]")
            )
        )  # fmt: skip
        shape = draw(
            st.sampled_from(("(12,)", "()", "(3,4)", "(0,)", "(-1,)", "(12,1)", "(2**63,)", "(" + "9" * 40 + ",)",
                             "12", "(1.5,)", "(True,)", "None", "(12,12,12)", "(11,)", "(13,)"))
        )  # fmt: skip
        order = draw(st.sampled_from(("False", "True", "None", "1", "[]")))
        extra = draw(st.sampled_from(("", ", 'x': 1", ", 'shape': (1,)", "}" * 3)))
        text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}{extra}}}"
        version = draw(st.sampled_from((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00")))
        return with_header(text.ljust(draw(st.sampled_from((0, 117)))) + "\n", POOL.tobytes(), version)
    array: Any = draw(
        st.sampled_from(
            (np.array([{"a": 1}], dtype=object), np.arange(12.0), POOL.reshape(3, 4), POOL[:0], POOL["f0"],
             np.array(["a" * 32]), np.asfortranarray(POOL), POOL[:, None])
        )
    )  # fmt: skip
    return draw(mutated([saved(array)], most=2))


@examples(150)
@given(mutated([data for data in corpus("uids") if not data.startswith(b"PAR1")]) | arrays())
def test_a_changed_list_of_uids_is_read_or_refused(place: Path, data: bytes) -> None:
    assume(not data.startswith(b"PAR1"))  # a change may make it parquet: a child process reads that, see below
    check_uids(place, data)


def check_uids(place: Path, data: bytes) -> None:
    file = place / "uids"
    file.write_bytes(data)
    with watched(place):
        try:
            chosen = uid_lists.parse(file, UIDS, place / "uids.npy", excluded=(5,))
        except SubmissionRefused as error:
            told(error.problems)
            return
    is_sound(chosen, len(POOL), UIDS)
    assert 5 not in chosen.rows
    assert max(chosen.weights) <= UIDS.repeats_max


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """A parquet file with the right columns and odd content, or odd columns, or a damaged one."""
    hexes: list[Any] = to_hex(POOL)[: draw(st.integers(0, 12))]
    odd = draw(
        st.lists(
            st.sampled_from(("", "f" * 32, "g" * 32, "A" * 31, None, "\u0661" * 32, "0x" + "1" * 30)), max_size=3
        )
    )
    uids: list[Any] = [*hexes, *odd]
    column = draw(st.sampled_from((pa.string(), pa.large_string(), pa.binary())))
    texts = [None if one is None else one.encode() for one in uids] if column == pa.binary() else uids
    made: dict[str, pa.Array] = {"uid": pa.array(texts, column)}
    if draw(st.booleans()):
        made["uid"] = made["uid"].dictionary_encode()
    weight = draw(st.sampled_from((None, 1, 2.0, 2.5, float("nan"), -1, 10**18, "2", [1])))
    if weight is not None:
        made["weight"] = pa.array([weight] * len(uids))
    out = io.BytesIO()
    compression = draw(st.sampled_from(("none", "snappy", "zstd", "gzip", "brotli", "lz4")))
    parquet.write_table(pa.table(made), out, row_group_size=draw(st.integers(1, 8)), compression=compression)
    return draw(mutated([out.getvalue()], most=draw(st.integers(0, 2))))


@examples(10)
@given(tables() | mutated([data for data in corpus("uids") if data.startswith(b"PAR1")], most=2))
def test_a_changed_parquet_file_is_read_or_refused(place: Path, data: bytes) -> None:
    file = place / "parquet"
    file.write_bytes(data)
    try:  # in a child process, which the reader starts: what that one opens is not seen from here
        chosen = uid_lists.parse(file, UIDS, place / "uids.npy")
    except SubmissionRefused as error:
        told(error.problems)
        return
    is_sound(chosen, len(POOL), UIDS)


def test_a_parquet_file_that_names_another_file_for_its_data_does_not_get_it(place: Path) -> None:
    """The format lets a column's data lie in a file of the same folder (parquet.thrift, ColumnChunk.file_path)."""
    for name, uids in (("secret.parquet", POOL[6:]), ("own.parquet", POOL[:6])):
        parquet.write_table(pa.table({"uid": to_hex(uids)}), place / name, compression="none")
    data = (place / "own.parquet").read_bytes()
    described = parquet.read_metadata(place / "own.parquet")
    described.set_file_path("secret.parquet")
    described.write_metadata_file(place / "described")
    size = int.from_bytes(data[-8:-4], "little")
    pointing = data[: -8 - size] + (place / "described").read_bytes()[4:]
    assert b"secret.parquet" in pointing
    (place / "pointing").write_bytes(pointing)
    try:
        chosen = uid_lists.parse(place / "pointing", UIDS, place / "uids.npy")
    except SubmissionRefused as error:
        told(error.problems)
        return
    assert list(chosen.rows) == list(range(6))


# -- policies --------------------------------------------------------------------------------------


@st.composite
def policies(draw: st.DrawFn, folder: str = "policy") -> dict[str, bytes]:
    files = {"policy.py": draw(mutated(corpus(folder)))}
    for name in draw(
        st.lists(st.sampled_from(("lib.py", "a/b.py", "research.yaml", "notes.md", "w.json")), max_size=2)
    ):
        files[name] = draw(mutated([*corpus("policy"), *corpus("data-file")]))
    if draw(st.integers(0, 15)) == 0:
        del files["policy.py"]
    return files


def written_to(place: Path, files: dict[str, bytes]) -> dict[str, Path]:
    """As blobs are kept: under names of ours, whatever the policy calls them."""
    found = {}
    for number, (name, content) in enumerate(files.items()):
        found[name] = place / f"blob-{number}"
        found[name].write_bytes(content)
    return found


@examples(20)
@given(policies())
def test_a_changed_policy_is_read_or_refused(place: Path, files: dict[str, bytes]) -> None:
    paths = written_to(place, files)
    with watched(place):
        try:
            code = read_policy(paths)
        except PolicyUnreadable as error:
            told(error.problems[: ProblemList.LISTED])
            return
    assert isinstance(code, PolicyCode)
    assert set(code.files) == {name for name in files if name.endswith(".py")}


@examples(15)
@given(policies(), st.integers(1, 10_000))
def test_data_in_a_changed_policy_is_found_without_harm(place: Path, files: dict[str, bytes], rows: int) -> None:
    with watched(place):
        problems = carried_data(written_to(place, files), rows)
    if problems:
        told(problems[: ProblemList.LISTED])


# -- notes that scaffolds ask for ------------------------------------------------------------------

YAML_PIECES = st.sampled_from(
    ("a: 1", "? [1, 2]\n: 3", "!!python/object:os.system {}", "!!python/object/apply:os.system [true]", "x: &x [*x]",
     "!!omap [a: 1]", "!!set {a, b}", "!!binary aGk=", "!!timestamp 2001-99-99", "!!int ''", "!!bool x", "*x", "`x`",
     "!!float .nan", "<<: {a: 1}", "--- a\n--- b", "%TAG ! tag:x:\n---\n!y {}", "[" * 40, "{a: " * 40, "- - - - -",
     "'\\x00'", "190:20:30:40", "0o17", "0b11", "1_000", "~", "null: null", "y: n", "? ? ?", "|9\n  a", ">-\n\n",
     "\t- a", "@x", '"\\ud800"')
)  # fmt: skip


@st.composite
def notes(draw: st.DrawFn, folder: str, keys: Sequence[str]) -> bytes:
    """A whole file with changes, or one put together of YAML's dark corners."""
    if draw(st.booleans()):
        return draw(mutated(corpus(folder)))
    lines = []
    for key in draw(st.lists(st.sampled_from([*keys, "other"]), max_size=6)):
        lines.append(f"{key}: {draw(YAML_PIECES)}")
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


@pytest.mark.parametrize(
    ("written", "folder"), [(RESEARCH, "research"), (METHOD, "method")], ids=["research", "method"]
)
@examples(100)
@given(data=st.data())
def test_a_changed_note_is_read_or_told_by_line(
    place: Path, written: Written[Any], folder: str, data: st.DataObject
) -> None:
    text = data.draw(notes(folder, list(written.model.model_fields)))
    path = place / "note"
    path.write_bytes(text)
    with watched(place):
        draft = written.read({written.name: path})
    assert len(draft.problems) <= SHOWN
    for problem in draft.problems:
        name, line, _ = problem.message.split(":", 2)
        assert name == written.name
        assert (
            1
            <= int(line)
            <= text.count(b"\n") + text.count(b"\r") + text.count(b"\xc2\x85") + text.count(b"\xe2") + 1
        )
        assert len(problem.message) <= 2 * MESSAGE
    assert (draft.value is None) == bool(draft.problems)
    assert draft.value is None or isinstance(draft.value, written.model)


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!!python/module:os", "!x"]
)
def test_a_yaml_constructor_constructs_nothing(place: Path, tag: str) -> None:
    path = place / "tagged"
    for text in (f"failure: {tag} ['true']\n", f"{tag} x: y\n", f"evidence: [{tag} {{}}]\n", f"{tag}\n"):
        path.write_text(text)
        with watched(place):
            draft = METHOD.read({"method.yaml": path})
        assert draft.value is None
        assert draft.problems


# -- what programs print and log -------------------------------------------------------------------


@examples(100)
@given(mutated(corpus("log")) | mutated_json([line for data in corpus("log") for line in data.splitlines()]))
def test_a_changed_log_line_is_read_or_passed_over(registry: Registry, data: bytes) -> None:
    with watched():
        for line in [*data.split(b"\n"), data]:
            entry = session_log.entry_of(line)
            assert entry is None or isinstance(entry, dict)
            for agent in registry.agents:
                assert isinstance(agent.is_final(line), bool)
                shown = agent.readable(line)
                assert shown is None or isinstance(shown, str)


@examples(60)
@given(mutated(corpus("log")) | mutated_json([line for data in corpus("log") for line in data.splitlines()]))
def test_a_changed_session_log_names_sub_agents_or_nobody(place: Path, registry: Registry, data: bytes) -> None:
    for name in (".claude/projects/w/s/subagents/a.jsonl", ".codex/sessions/2026/01/01/rollout-a.jsonl"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    with watched(place):
        for agent in registry.agents:
            for reply, name in agent.threads(place).items():
                assert 0 < len(reply) <= 200
                assert 0 < len(name) <= 500


# -- what workers say ------------------------------------------------------------------------------

ANSWERS = [
    b'{"kind": "started", "job": 1, "pid": 7, "python": "3.11.7", "seconds": 0.5}',
    b'{"kind": "progress", "job": 1, "what": "step 3 of 9", "done": 0.33}',
    b'{"kind": "result", "job": 1, "result": {"model": "model", "steps": 3, "samples": 9, "loss": 1.5, "notes": {}}}',
    b'{"kind": "raised", "job": 1, "error": "OSError: no space left", "types": ["OSError"], "errno": 28}',
    b'{"kind": "ended", "job": 1}',
]


@examples(150)
@given(mutated_json(ANSWERS) | mutated(ANSWERS), st.lists(st.integers(0, 200), max_size=4))
def test_a_changed_answer_of_a_worker_is_a_message_or_told(data: bytes, cuts: list[int]) -> None:
    buffer, lines = answers.LineBuffer(), []
    ends = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    with watched():
        for begin, end in itertools.pairwise(ends):
            lines += buffer.feed(data[begin:end])
        assert b"\n".join([*lines, b""]) == data[: len(data) - buffer.pending]
        for line in [*lines, data]:
            with contextlib.suppress(ValueError):  # whose text says what is wrong
                assert answers.parse(line).job is not None


def test_the_corpus_is_what_the_parsers_take(place: Path) -> None:
    """Seeds that are refused would test little."""
    for data in corpus("rows"):
        (place / "seed").write_bytes(data)
        assert selection.parse(place / "seed", ROWS, POOL_ROWS)
    for data in corpus("uids"):
        (place / "seed").write_bytes(data)
        assert uid_lists.parse(place / "seed", UIDS, place / "uids.npy")
    for data in corpus("policy"):
        (place / "seed").write_bytes(data)
        assert read_policy({"policy.py": place / "seed"})
    assert RESEARCH.read({"research.yaml": CORPUS / "research" / "whole.yaml"}).value is not None
    assert METHOD.read({"method.yaml": CORPUS / "method" / "whole.yaml"}).value is not None
    assert all(session_log.entry_of(line) for data in corpus("log") for line in data.splitlines())
    assert POOL.dtype == table.UID
    assert len(set(TOKENS)) == len(TOKENS)
