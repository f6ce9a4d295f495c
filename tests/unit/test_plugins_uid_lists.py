"""Lists of uids: files of an agent's making, whatever they hold."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from curation_plugins import uid_lists
from curation_plugins.config import SubmissionRules
from curation_plugins.errors import ProblemList, ReaderFailed, SubmissionRefused
from curation_plugins.selection import Selection, of_rows, read_canonical
from curation_plugins.uids import parquet as child
from curation_plugins.uids import parts, table
from curation_plugins.uids.digits import pairs, to_hex
from curation_plugins.uids.table import UID, order_of

RULES = SubmissionRules(kind="uids", rows_max=400, repeats_max=3)
ROWS = 500


def random_uids(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    high, low = (rng.integers(0, 2**64, count, np.uint64, endpoint=False) for _ in range(2))
    high[: count // 10] = high[0]  # equal first halves: hashes do not have them, hostile pools might
    return pairs(high, low)[order_of(high, low)]


POOL = random_uids(ROWS, 1)
GONE = random_uids(50, 2)
STRANGE = random_uids(600, 3)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    np.save(tmp_path / "uids.npy", POOL)
    np.save(tmp_path / "gone.npy", GONE)
    return tmp_path


def saved(array: np.ndarray, **how: bool) -> bytes:
    out = io.BytesIO()
    np.save(out, array, **how)
    return out.getvalue()


def columns(**named: pa.Array | Sequence[object]) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pa.table(named), out, row_group_size=100)
    return out.getvalue()


def text(uids: np.ndarray) -> bytes:
    return "".join(f"{uid}\n" for uid in to_hex(uids)).encode()


def json_lines(uids: np.ndarray, weights: Sequence[object]) -> bytes:
    entries = zip(to_hex(uids), weights, strict=True)
    return "".join(json.dumps({"uid": uid, "weight": weight}) + "\n" for uid, weight in entries).encode()


def read(place: Path, data: bytes, rules: SubmissionRules = RULES, excluded: Sequence[int] = ()) -> Selection:
    file = place / "submission"
    file.write_bytes(data)
    return uid_lists.parse(file, rules, place / "uids.npy", place / "gone.npy", excluded)


def refused(place: Path, data: bytes, rules: SubmissionRules = RULES, excluded: Sequence[int] = ()) -> dict[str, str]:
    with pytest.raises(SubmissionRefused) as error:
        read(place, data, rules, excluded)
    return {problem.code: problem.message for problem in error.value.problems}


# -- what is read --------------------------------------------------------------------------------------

TIED = np.flatnonzero(POOL["f0"][1:] == POOL["f0"][:-1])
SOME = sorted({3, 4, 17, 200, 499, *TIED[[0, 1, 5]].tolist()})
FORMS: dict[str, Callable[[np.ndarray], bytes]] = {
    "npy": saved,
    "npy-fortran": lambda uids: saved(np.asfortranarray(uids)),
    "npy-big-endian": lambda uids: saved(uids.astype(">u8,>u8")),
    "npy-named-fields": lambda uids: saved(uids.astype(UID).view([("a", "<u8"), ("b", "<u8")])),
    "parquet": lambda uids: columns(uid=to_hex(uids)),
    "parquet-large-string": lambda uids: columns(uid=pa.array(to_hex(uids), pa.large_string())),
    "parquet-dictionary": lambda uids: columns(uid=pa.array(to_hex(uids)).dictionary_encode()),
    "parquet-other-columns": lambda uids: columns(text=["x"] * len(uids), uid=to_hex(uids)),
    "text": text,
    "text-windows": lambda uids: text(uids).replace(b"\n", b"\r\n"),
    "text-without-an-end": lambda uids: text(uids).rstrip(),
    "text-upper-case": lambda uids: text(uids).upper(),
    "text-blanks-and-mark": lambda uids: b"\xef\xbb\xbf" + text(uids).replace(b"\n", b" \n\n"),
    "json-lines": lambda uids: json_lines(uids, [1] * len(uids)),
    "json-lines-no-weights": lambda uids: "".join(f'{{"uid": "{uid}"}}\n' for uid in to_hex(uids)).encode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", ["sorted", "unsorted"])
def test_the_same_uids_are_the_same_submission_however_written(place: Path, form: str, order: str) -> None:
    rows = SOME if order == "sorted" else SOME[::-1]
    found = read(place, FORMS[form](POOL[rows]))
    assert found == of_rows(SOME, "uids")
    told = [note for note in found.notes if "not sorted (entry 2 " in note]
    assert len(told) == (order == "unsorted") or form == "text-blanks-and-mark"


def test_repeats_and_weights_add_up(place: Path) -> None:
    again = read(place, saved(POOL[[5, 9, 5, 5]]))
    assert list(again.rows) == [5, 9]
    assert list(again.weights) == [3.0, 1.0]
    assert again == read(place, json_lines(POOL[[5, 9, 5]], [2, 1.0, 1]))
    assert again == read(place, columns(uid=to_hex(POOL[[5, 9]]), weight=[3, 1]))
    assert again == read(place, columns(uid=to_hex(POOL[[5, 9]]), weight=[3.0, 1.0]))
    assert any("2 uids, 4 samples with their repeats (up to 3 times each)" in note for note in again.notes)


def test_lists_longer_than_a_part_are_read_whole(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    wanted = np.sort(rng.permutation(ROWS)[:300])
    for module in (table, parts):
        monkeypatch.setattr(module, "CHUNK", 7)
    monkeypatch.setattr(parts, "BLOCK", 100)
    monkeypatch.setattr(parts, "ODD_LINES", 7)
    shuffled = POOL[rng.permutation(wanted)]
    for form in ("npy", "text", "text-windows", "text-blanks-and-mark", "json-lines"):
        assert list(read(place, FORMS[form](shuffled)).rows) == wanted.tolist(), form
    frozen = place / "frozen"
    read(place, saved(shuffled)).write(frozen)
    assert uid_lists.of_selection(read_canonical(frozen), place / "uids.npy").tolist() == POOL[wanted].tolist()


def test_blanks_around_uids_do_not_make_reading_slow(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uids = POOL[:400]
    plain = read(place, text(uids))
    odd = b"".join(b" \t"[n % 3 :] + line + b" \t\r  "[: n % 6] + b"\n" for n, line in enumerate(text(uids).split()))
    looked: list[bytes] = []
    alone = parts._spaced
    monkeypatch.setattr(parts, "_spaced", lambda line: looked.append(line) or alone(line))
    assert read(place, odd + b" \n\t\r\n \n").canonical() == plain.canonical()
    assert looked == []
    # more blanks than that are read one line at a time
    assert len(read(place, odd + b" " * 70 + text(uids[:1])).rows) == 400
    assert len(looked) == 1


def test_a_full_disk_is_not_told_as_a_damaged_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = columns(uid=to_hex(POOL[:3]))
    run = subprocess.run

    def onto_a_full_disk(command: list[str], **how: Any) -> Any:
        assert command[6].endswith("/entries")
        return run([*command[:6], "/dev/full", *command[7:]], **how)

    monkeypatch.setattr(child.subprocess, "run", onto_a_full_disk)
    with pytest.raises(ReaderFailed, match="no room") as told:
        read(place, data)
    assert "TMPDIR" in told.value.hint


def test_a_selection_reads_back_as_it_was_frozen_and_as_a_list(place: Path) -> None:
    chosen = read(place, saved(POOL[[5, 9, 5]]))
    frozen, again = place / "frozen.npy", place / "again"
    chosen.write(frozen)
    assert read_canonical(frozen) == chosen
    assert np.load(frozen).tolist() == [(5, 2.0), (9, 1.0)]
    assert frozen.read_bytes() == chosen.canonical()
    uid_lists.write_subset(again, uid_lists.of_selection(chosen, place / "uids.npy"))
    assert np.load(again).dtype == UID
    back = read(place, again.read_bytes())
    assert back == chosen
    assert not any("sorted" in note for note in back.notes)


def test_the_frozen_bytes_do_not_depend_on_numpy() -> None:
    frozen = of_rows([1, 2], "uids").canonical()
    assert len(frozen) == 128 + 2 * 16
    header = b"{'descr': [('row', '<i8'), ('weight', '<f8')], 'fortran_order': False, 'shape': (2,)}"
    assert frozen.startswith(b"\x93NUMPY\x01\x00\x76\x00" + header)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"x" * 16, lambda b: b[:20] + b"X" + b[21:]])
def test_a_damaged_frozen_selection_is_told(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "selection.npy"
    path.write_bytes(damage(of_rows([1, 2], "uids").canonical()))
    with pytest.raises(ValueError, match="frozen selection"):
        read_canonical(path)


def test_uids_and_their_text() -> None:
    assert uid_lists.of_hex(to_hex(STRANGE)).tolist() == STRANGE.tolist()
    for wrong in ("", "0" * 31, "0" * 31 + "g", "é" * 32):
        with pytest.raises(ValueError, match="no uid"):
            uid_lists.of_hex(["0" * 32, wrong])


# -- what is refused -----------------------------------------------------------------------------------


class Opened:
    """Leaves a trace where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(Path(os.environ["TRACE"])),)


def test_pickled_objects_are_never_opened(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACE", str(place / "opened"))
    array = np.array([Opened(), Opened()], dtype=object)
    assert "never opened" in refused(place, saved(array, allow_pickle=True))["pickled"]
    assert "never opened" in refused(place, pickle.dumps([Opened()]))["unreadable"]
    assert not (place / "opened").exists()


PADDED = "[('a', '<u8'), ('', '|V10000000'), ('b', '<u8')]"
"""Entries of which a chunk would be 10 terabytes."""
HUGE = "0x" + "f" * 5000
"""A number that Python refuses to print."""


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text.encode()


HOSTILE: list[tuple[bytes, str]] = [
    (b"", "empty"),
    (b"\n \r\n", "empty"),
    (saved(POOL[:0]), "empty"),
    (columns(uid=pa.array([], pa.string())), "empty"),
    (saved(POOL[:20].reshape(4, 5)), "not-1-d"),
    (saved(POOL[:1].reshape(())), "not-1-d"),
    (saved(np.arange(20)), "wrong-dtype"),
    (saved(np.zeros((5, 2), np.uint64)), "wrong-dtype"),
    (saved(np.zeros(5, "i8,i8")), "wrong-dtype"),
    (saved(np.zeros(5, "u8,u8,u8")), "wrong-dtype"),
    (saved(np.zeros(5, "u4,u4")), "wrong-dtype"),
    (saved(np.array(to_hex(POOL[:5]))), "wrong-dtype"),
    (saved(POOL[:9])[:-1], "wrong-size"),
    (saved(POOL[:9])[:150], "wrong-size"),
    (saved(POOL[:9]) + b"\0", "wrong-size"),
    (saved(POOL[:9]).replace(b"(9,)", b"(8,)"), "wrong-size"),
    (saved(POOL[:9]).replace(b"(9,), }    ", b"(99999999),}"), "bad-header"),
    (header("{'descr': '<u8,<u8', 'fortran_order': False, 'shape': (-1,)}"), "wrong-size"),
    (header("{'descr': [('a', '<u8'), ('b', '<u8')], 'fortran_order': False, 'shape': (-1,)}"), "wrong-size"),
    (
        header("{'descr': [('a', '<u8'), ('b', '<u8')], 'fortran_order': False, 'shape': (1" + "0" * 90 + ",)}"),
        "bad-header",
    ),
    *(
        (header(f"{{'descr': [('a', '<u8'), ('b', '<u8')], 'fortran_order': False, 'shape': {shape}}}"), "bad-header")
        for shape in (f"({HUGE},)", f"(-{HUGE},)", f"(1, {HUGE})")
    ),
    (header(f"{{'descr': {PADDED}, 'fortran_order': False, 'shape': (1,)}}") + bytes(10_000_016), "wrong-dtype"),
    (header(f"{{'descr': {PADDED}, 'fortran_order': False, 'shape': (0,)}}"), "wrong-dtype"),
    (header("(" * 5000), "bad-header"),
    (header("-" * 9000 + "1"), "bad-header"),
    (header("__import__('os').mkdir('/x')"), "bad-header"),
    (header("{}", b"\x07\x00"), "bad-header"),
    (b"\x93NUMPY", "bad-header"),
    (b"PK\x03\x04" + b"\0" * 100, "unreadable"),
    (POOL[:9].tobytes(), "unreadable"),
    (b"PAR1", "unreadable"),
    (b"PAR1" + b"\xff" * 500 + b"PAR1", "unreadable"),
    (columns(uid=to_hex(POOL[:9]))[:-30], "unreadable"),
    (columns(id=to_hex(POOL[:9])), "unreadable"),
    (columns(uid=[1, 2, 3]), "unreadable"),
    (columns(uid=to_hex(POOL[:2]), weight=["1", "2"]), "unreadable"),
    (columns(uid=[*to_hex(POOL[:2]), None]), "not-a-uid"),
    (columns(uid=[*to_hex(POOL[:2]), "0" * 31]), "not-a-uid"),
    (columns(uid=[*to_hex(POOL[:2]), "0" * 31 + "é"]), "not-a-uid"),
    (columns(uid=to_hex(POOL[:2]), weight=[1, None]), "bad-weight"),
    (text(POOL[:2]) + b"hello\n", "not-a-uid"),
    (text(POOL[:2]) + b"0" * 31 + b"g\n", "not-a-uid"),
    (text(POOL[:2]) + b"0" * 33 + b"\n", "not-a-uid"),
    (text(POOL[:2]) + b"0x" + b"0" * 30 + b"\n", "not-a-uid"),
    (text(POOL[:2]) + "é".encode() * 16 + b"\n", "not-a-uid"),
    (text(POOL[:2]) + b"\x1b]0;owned\x07\n", "not-a-uid"),
    (b"0" * 5000, "line-too-long"),
    (b'[{"uid": "%s"}]' % to_hex(POOL[:1])[0].encode(), "not-a-uid"),
    (b'{"uid": 12}\n', "not-a-uid"),
    (b'{"uid": ["%s"]}\n' % to_hex(POOL[:1])[0].encode(), "not-a-uid"),
    (b'{"row": 12}\n', "not-a-uid"),
    (b'{"uid"' + b"[" * 4000, "not-a-uid"),
    (json_lines(POOL[:1], [1]).replace(b'"weight"', b'"wieght"'), "unknown-key"),
    (b'{"uid": "%s", "uid": "%s"}\n' % tuple(uid.encode() for uid in to_hex(POOL[:2])), "not-a-uid"),
    (json_lines(POOL[:1], [1]).replace(b'"weight": 1', b'"weight": 3, "weight": 1'), "not-a-uid"),
    *((json_lines(POOL[:1], [weight]), "bad-weight") for weight in (0, -1, 1.5, True, None, "2", 10**400)),
    *((json_lines(POOL[:1], [weight]), "bad-weight") for weight in (float("nan"), float("inf"), -float("inf"))),
    *((columns(uid=to_hex(POOL[:1]), weight=[w]), "bad-weight") for w in (0, -2, float("nan"), float("inf"))),
    (json_lines(POOL[:1], [4]), "repeated-uid"),
    (json_lines(POOL[:1], [1e9]), "repeated-uid"),
    (columns(uid=to_hex(POOL[[7] * 3]), weight=[1e308] * 3), "repeated-uid"),
    (saved(POOL[[7] * 4]), "repeated-uid"),
    (saved(POOL[[7] * 1100]), "repeated-uid"),
    (saved(POOL[:401]), "too-many-rows"),
    (saved(POOL[[7] * 1201]), "too-many-entries"),
    (text(POOL[[7] * 1201]), "too-many-entries"),
    (columns(uid=to_hex(POOL[[7] * 1201])), "unreadable"),
]


@pytest.mark.parametrize(("data", "code"), HOSTILE, ids=[f"{code}-{k}" for k, (_, code) in enumerate(HOSTILE)])
def test_a_hostile_list_is_refused_with_its_reason(place: Path, data: bytes, code: str) -> None:
    found = refused(place, data)
    assert code in found
    assert all(len(message) < 600 and message.isprintable() for message in found.values())


def test_unknown_uids_are_counted_and_the_first_are_named(place: Path) -> None:
    mixed = np.concatenate([POOL[:20], STRANGE[[7, 3]], POOL[20:40]])
    said = refused(place, saved(mixed))["unknown-uid"]
    first, second = to_hex(STRANGE[[7, 3]])
    assert f"2 of the 42 uids are not in this pool; the first: {first} (entry 21), {second} (entry 22)" in said


def test_a_list_of_another_pool_is_called_one(place: Path) -> None:
    said = refused(place, saved(STRANGE[:300]))
    assert set(said) == {"other-pool"}
    assert "300 of the 300 uids are not in this pool: a list of another pool?" in said["other-pool"]


def test_uids_whose_image_is_not_in_this_copy_are_told_apart(place: Path) -> None:
    said = refused(place, saved(np.concatenate([POOL[:20], GONE[:3], STRANGE[:2]])))
    assert "3 uids are of images that this copy of the pool lacks" in said["unreachable-uid"]
    assert "2 of the 25 uids" in said["unknown-uid"]


def test_excluded_uids_are_refused_by_name(place: Path) -> None:
    said = refused(place, saved(POOL[:9]), excluded=(4, 5, 300))
    assert to_hex(POOL[[4, 5]])[1] in said["excluded-uid"]
    assert "2 uids may not be chosen" in said["excluded-uid"]


def test_a_selection_too_small_for_the_recipe_is_refused(place: Path) -> None:
    rules = RULES.model_copy(update={"samples_min": 10})
    assert "9 samples; at least 10" in refused(place, saved(POOL[:9]), rules)["too-few"]
    assert len(read(place, saved(POOL[[1, 1, 1, 2, 2, 2, 3, 3, 3, 4]]), rules).rows) == 4


def test_a_larger_file_than_the_task_takes_is_not_opened(place: Path) -> None:
    said = refused(place, saved(POOL[:40]), RULES.model_copy(update={"max_bytes": 500}))
    assert set(said) == {"too-large"}


def test_millions_of_bad_lines_cost_no_memory(place: Path) -> None:
    with pytest.raises(SubmissionRefused) as error:
        read(place, b"no uid\n" * 1_000_000)
    assert len(error.value.problems) == ProblemList.LISTED


def test_a_parquet_file_that_unpacks_to_gigabytes_is_refused(place: Path) -> None:
    huge = pa.DictionaryArray.from_arrays(pa.array([0] * 1200, pa.int32()), pa.array(["0" * 2**22]))
    out = io.BytesIO()
    parquet.write_table(pa.table({"uid": huge}), out)
    assert len(out.getvalue()) < 2**24
    assert "unreadable" in refused(place, out.getvalue())


def test_every_reason_is_told_at_once(place: Path) -> None:
    mixed = np.concatenate([POOL[[7] * 5], POOL[100:120], STRANGE[:2], GONE[:1]])
    assert set(refused(place, saved(mixed), excluded=(101,))) == {
        "unknown-uid",
        "unreachable-uid",
        "repeated-uid",
        "excluded-uid",
    }


within = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)


@within
@given(data=st.binary(max_size=300), cut=st.integers(0, 400), at=st.integers(0, 300))
def test_any_bytes_in_any_form_are_accepted_or_refused(place: Path, data: bytes, cut: int, at: int) -> None:
    for form in ("npy", "text", "json-lines"):
        good = FORMS[form](POOL[SOME])
        for made in (data, good[:cut], good[:at] + data + good[at:], good[:at] + data + good[at + len(data) :]):
            with contextlib.suppress(SubmissionRefused):
                assert len(read(place, made).rows) > 0
