"""Policies are hostile text: they are read within bounds, and what is wrong is told with file and line."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import made_policies as made
from curation_plugins.policies import reading
from curation_plugins.policies.carried import carried_data
from curation_plugins.policies.code import PolicyCode
from curation_plugins.policies.compare import same_structure, structure_distance, unexplained
from curation_plugins.policies.reading import PolicyUnreadable, read_policy


def written(folder: Path, files: dict[str, str | bytes]) -> dict[str, Path]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return {name: folder / name for name in files}


def read(folder: Path, files: dict[str, str | bytes]) -> PolicyCode:
    return read_policy(written(folder, files))


def unreadable(folder: Path, files: dict[str, str | bytes]) -> list[tuple[str, str]]:
    with pytest.raises(PolicyUnreadable) as caught:
        read(folder, files)
    return [(problem.code, problem.message) for problem in caught.value.problems]


# -- hostile files --------------------------------------------------------------------------------------------


def test_a_syntax_error_is_named_with_file_and_line_and_all_files_are_told_at_once(tmp_path: Path) -> None:
    told = unreadable(tmp_path, {"policy.py": "import a\n\ndef f(:\n", "b.py": "x = (\n", "c.py": "y = 1\n"})
    assert [code for code, _ in told] == ["policy-syntax", "policy-syntax"]
    assert told[0][1].startswith("b.py:1:")
    assert told[1][1].startswith("policy.py:3:")


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    told = unreadable(tmp_path, {"policy.py": b"x = 1\ny = '\xff\xfe'\n"})
    assert told[0] == ("policy-not-text", "policy.py:2: not UTF-8 text")


def test_code_in_another_encoding_than_it_is_read_in_is_refused(tmp_path: Path) -> None:
    """UTF-7 turns a comment into code when Python reads it."""
    told = unreadable(tmp_path, {"policy.py": "# coding: utf-7\n#+AAo-import os\n"})
    assert told[0][0] == "policy-not-text"
    assert told[0][1].startswith("policy.py:1:")


def test_a_number_too_long_for_digits_is_refused_and_not_our_failure(tmp_path: Path) -> None:
    told = unreadable(tmp_path, {"policy.py": "a = 1\nb = 0x" + "f" * 5000 + "\n"})
    assert told == [("policy-packed", "policy.py:2: a number of 20000 bits")]


def test_a_column_whose_name_is_no_text_can_be_told(tmp_path: Path) -> None:
    body = """
import json, sys
from pathlib import Path
rows = json.load(open("/pool/rows.json"))
Path(sys.argv[-1]).write_text("".join(f"{i}\\n" for i, row in enumerate(rows) if row["\\ud800_id"] > 3))
"""
    found = read(tmp_path, {"policy.py": body})
    assert r"\ud800_id" in found.metadata
    assert "".join(found.reads).encode(), "it goes into records as UTF-8"


def test_a_null_byte_is_refused(tmp_path: Path) -> None:
    assert unreadable(tmp_path, {"policy.py": b"x = 1\x00\n"})[0][0] == "policy-syntax"


def test_fifty_megabytes_are_refused_without_being_parsed(tmp_path: Path) -> None:
    began = time.perf_counter()
    told = unreadable(tmp_path, {"policy.py": b"x = 1\n" * (50 * 2**20 // 6)})
    big = time.perf_counter() - began
    assert told[0][0] == "policy-too-large"
    began = time.perf_counter()
    read(tmp_path / "small", {"policy.py": "x = 1\n"})
    assert big < 20 * (time.perf_counter() - began)


@pytest.mark.parametrize(
    "code",
    [
        "x = " + "(" * 5000 + ")" * 5000,
        "x = " + "-" * 30_000 + "1",
        "x = " + "+".join(["1"] * 60_000),
        "x = " + "[" * 190 + "]" * 190 + "\n" + "y = " + ".a" * 3000,
        "lambda: " * 3000 + "1",
    ],
    ids=["parentheses", "minuses", "sum", "attributes", "lambdas"],
)
def test_deeply_nested_code_neither_hangs_nor_crashes(tmp_path: Path, code: str) -> None:
    """Told as the policy's fault, whatever it breaks in the parser."""
    assert {what for what, _ in unreadable(tmp_path, {"policy.py": code})} <= {"policy-too-complex", "policy-syntax"}


def test_a_megabyte_of_calls_is_bounded(tmp_path: Path) -> None:
    body = "def f0(x):\n    return x\n" + "".join(
        f"def f{n}(x):\n    return f{n - 1}(f{n - 1}(x)) + f{n - 1}(x)\n" for n in range(1, 9000)
    )
    assert {code for code, _ in unreadable(tmp_path, {"policy.py": body[:900_000].rpartition("def ")[0]})} == {
        "policy-too-complex"
    }


def test_functions_that_call_each_other_in_every_way_are_read_in_bounded_time(tmp_path: Path) -> None:
    body = "".join(
        f"def f{n}(a, b):\n    return " + " + ".join(f"f{m}('k{m}', b)" for m in range(40)) + "\n" for n in range(40)
    )
    code = read(tmp_path, {"policy.py": body + "print(f1('x', 2))\n"})
    assert len(code.functions) == 40


def test_reading_that_takes_too_long_is_the_policys_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LIMIT_SECONDS", 0)
    told = unreadable(tmp_path, {"policy.py": "+".join(["x"] * 300) + "\n" * 77})
    assert told[0][0] == "policy-too-complex"


def test_reading_that_takes_too_much_memory_is_the_policys_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LIMIT_MEMORY", 48 << 20)
    body = "\n".join(f"x{n} = [a{n}, b{n}, (c{n}, {n})]" for n in range(9000))
    assert unreadable(tmp_path, {"policy.py": body})[0][0] == "policy-too-complex"


def test_a_policy_is_parsed_and_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "was-run"
    read(tmp_path / "p", {"policy.py": f"open({str(mark)!r}, 'w').write('x')\nraise SystemExit(3)\n"})
    assert not mark.exists()


def test_a_policy_named_like_a_module_of_ours_shadows_nothing(tmp_path: Path) -> None:
    ours = {"curation_plugins/__init__.py": "raise SystemExit\n", "curation_plugins/policies/__init__.py": "1/0\n"}
    code = read(tmp_path, {"policy.py": "import curation_plugins\n", **ours})
    assert code.files == (*ours, "policy.py")


# -- data in disguise -----------------------------------------------------------------------------------------


def carried(folder: Path, files: dict[str, str | bytes]) -> set[str]:
    return {problem.code for problem in carried_data(written(folder, files), 8000)}


PLAIN = made.whole(made.LOSS_BAND)
LISTED = [row * 37 % 8000 for row in range(300)]
UIDS = [hashlib.md5(str(row).encode()).hexdigest() for row in range(60)]


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (f"ROWS = {LISTED}\n", "policy-names-rows"),
        (f"ROWS = '{' '.join(map(str, LISTED))}'.split()\n", "policy-names-rows"),
        (f"# {LISTED}\n", "policy-names-rows"),
        ("ROWS = [" + ", ".join(map(hex, LISTED)) + "]\n", "policy-names-rows"),
        ("ROWS = [" + ", ".join(f"{row:_}.0" for row in LISTED) + "]\n", "policy-names-rows"),
        ("".join(f"R{n} = {row}\n" for n, row in enumerate(LISTED)), "policy-names-rows"),
        (f"ROWS = {int('1' + ''.join(f'{row:04}' for row in LISTED))}\n", "policy-packed"),
        ("ROWS = b'" + "QUJDRDEyMzQ1" * 40 + "'\n", "policy-packed"),
        ("ROWS = '''\n" + ("QUJDRDEyMzQ1eHl6" * 4 + "\n") * 30 + "'''\n", "policy-packed"),
        ("ROWS = '" + "ab cd ef " * 600 + "'\n", "policy-packed"),
        ("class R:\n" + "".join(f"    r{row} = 0\n" for row in LISTED), "policy-names-rows"),
        (f"ROWS = '{' '.join(f'-{row}' for row in LISTED[:60])}'\n", "policy-names-rows"),
        (f"ROWS = {[row + 100_000 for row in LISTED[:60]]}\n", "policy-names-rows"),
        (f"ROWS = {[row / 10_000 for row in LISTED]}\n", "policy-packed"),
        (f"GAPS = {[row % 40 for row in LISTED]}\n", "policy-packed"),
        (f"GAPS = '{' '.join(str(row % 40) for row in LISTED)}'\n", "policy-packed"),
        ("".join(f"g{n} = [{n % 7}, {n % 9}, 1, 2, 3, 4]\n" for n in range(90)), "policy-packed"),
        (f"ROWS = '{''.join(chr(0x4E00 + row) for row in LISTED[:150])}'\n", "policy-packed"),
        ("".join(f"R{n} = '\\u{0xABCD + n:04x}'\n" for n in range(120)), "policy-packed"),
        ("".join(f"R{n % 9} = b'\\x{n + 160:02x}\\x{n + 190:02x}'\n" for n in range(20)), "policy-packed"),
        ("".join(f"A{n} = 0x{(3**377 >> n) % 2**590:x}\n" for n in range(7)), "policy-packed"),
        ("".join(f"A{n} = '{'aB3dE5gH7jK9mN1pQ' * 3}'\n" for n in range(9)), "policy-packed"),
    ],
    ids=[
        *("list", "string", "comment", "hexadecimal", "floats", "one-by-one", "number", "base64", "lines", "words"),
        *("names", "negative", "offset", "decimals", "gaps", "gaps-in-a-string", "digits-one-by-one", "characters"),
        *("escapes", "bytes", "large-numbers", "short-words"),
    ],
)
def test_rows_that_a_policy_brings_along_are_found(tmp_path: Path, extra: str, code: str) -> None:
    assert carried(tmp_path, {"policy.py": PLAIN + extra}) == {code}


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("rows.json", str(LISTED).encode(), "policy-names-rows"),
        ("notes.md", "\n".join(f"- {row} is good" for row in LISTED).encode(), "policy-names-rows"),
        ("weights.npz", b"PK\x03\x04", "policy-file-kind"),
        ("rows.txt", b"\x80\x81", "policy-not-text"),
        ("words.txt", b"many words here\n" * 2000, "policy-file-large"),
    ],
    ids=[
        "json",
        "notes",
        "binary",
        "no-text",
        "large",
    ],
)
def test_files_that_are_data_are_found(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    assert carried(tmp_path, {"policy.py": PLAIN, name: content}) == {code}


@pytest.mark.parametrize(
    "written_as",
    [
        lambda uid: uid,
        lambda uid: uid[:16].upper(),
        lambda uid: f"0x{uid[:7]}",
        lambda uid: str(int(uid[:16], 16)),
    ],
    ids=["whole", "halves", "beginnings", "numbers"],
)
def test_uids_that_a_policy_brings_along_are_found(tmp_path: Path, written_as: Callable[[str], str]) -> None:
    listed = " and ".join(map(written_as, UIDS))
    assert "policy-names-rows" in carried(tmp_path, {"policy.py": PLAIN, "chosen.md": listed})


def test_uids_spread_over_many_files_are_found(tmp_path: Path) -> None:
    # letters enough that what is in them of numbers does not tell
    few = [uid.translate(str.maketrans("01234567", "abcdefab")) for uid in UIDS]
    parts = {f"part{n}.txt": "\n".join(few[n * 10 : n * 10 + 10]) for n in range(6)}
    assert carried(tmp_path, {"policy.py": PLAIN, **parts}) == {"policy-names-rows"}


def test_rows_spread_over_many_files_are_found(tmp_path: Path) -> None:
    parts = {f"part{n}.py": f"ROWS = {LISTED[n * 20 : n * 20 + 20]}\n" for n in range(6)}
    assert carried(tmp_path, {"policy.py": PLAIN, **parts}) == {"policy-names-rows"}


@pytest.mark.parametrize("name", [*made.METHODS, *made.SHAM])
def test_honest_code_carries_no_data(tmp_path: Path, name: str) -> None:
    body = {**made.METHODS, **made.SHAM}[name]
    notes = (
        "# Notes\n\nSee https://arxiv.org/abs/2303.09540 and https://github.com/LLaVA-VL/LLaVA-NeXT/tree/main/docs.\n"
    )
    notes += "Rows with umlauts (äöüß) and “quotes”. Made on 2026-11-21 at commit 3fa94bc2d1.\n"
    notes += "Attempt 3 gave 0.6123 (counting 0.5123). 1,000 of 8,000 rows; arXiv:2107.07075.\n"
    assert carried(tmp_path, {"policy.py": made.whole(body), "README.md": notes}) == set()


# -- what is read of honest code ------------------------------------------------------------------------------


def test_what_a_policy_reads_and_calls_is_told(tmp_path: Path) -> None:
    code = read(tmp_path, {"policy.py": made.whole(made.BAND_WITH_THRESHOLD)})
    assert "answer_loss" in code.signals
    assert code.metadata == ("answer_chars",)
    assert code.rules == {"order": 1}
    assert {"numpy.nanquantile", ".choice"} <= set(code.calls)
    assert code.imports == ("argparse", "csv", "json", "numpy", "pathlib")
    assert not code.dynamic
    band = code.function("policy.py", "band")
    assert band is not None
    assert band.live
    assert made.whole(made.BAND_WITH_THRESHOLD).splitlines()[band.line - 1].startswith("def band(")


def test_dead_code_is_told_from_live(tmp_path: Path) -> None:
    code = read(tmp_path, {"policy.py": made.whole(made.BAND_WITH_DEAD_CODE)})
    dead = {function.qualname for function in code.functions if not function.live}
    assert {"farthest_first", "project", "farthest_rows"} <= dead
    assert not {"band", "draw", "select", "main", "column"} & dead


@pytest.mark.parametrize(
    "line",
    [
        "exec('x = 1')",
        "run = exec",
        "import subprocess; subprocess.run(['python', 'notes.txt'])",
        "from os import system as tidy; tidy('python notes.txt')",
        "import importlib as i; i.import_module('json')",
        "getattr(json, 'lo' + 'ads')('1')",
        "__builtins__['exec']('1')",
        "import builtins; list(map(builtins.eval, ['1']))",
    ],
    ids=["exec", "alias", "process", "system", "import", "getattr", "builtins", "mapped"],
)
def test_code_that_runs_what_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    code = read(tmp_path, {"policy.py": f"import json\n{line}\n"})
    assert set(code.dynamic) == {"policy.py:2"}


def test_ordinary_code_is_not_taken_for_hidden(tmp_path: Path) -> None:
    text = (
        "import argparse, os, re, sys\nparser = argparse.ArgumentParser()\nvars(parser.parse_args())\n"
        "re.compile('a')\nos.path.join('a', 'b')\nsys.path.insert(0, '.')\ngetattr(re, 'compile')('b')\n"
    )
    assert read(tmp_path, {"policy.py": text}).dynamic == ()


def test_methods_and_classes_over_several_files_are_followed(tmp_path: Path) -> None:
    parts = {
        "policy.py": (
            "import argparse\nfrom parts import ranking as r\nfrom parts.pool import Pool\n"
            "p = argparse.ArgumentParser()\np.add_argument('--pool')\np.add_argument('--out')\na = p.parse_args()\n"
            "open(a.out, 'w').write(str(r.Ranker(Pool(a.pool)).best(10)))\n"
        ),
        "parts/__init__.py": "",
        "parts/pool.py": (
            "import csv\nfrom functools import cached_property\n\n\nclass Pool:\n    def __init__(self, folder):\n"
            "        self.folder = folder\n\n    @cached_property\n    def loss(self):\n"
            "        with open(self.folder + '/signals.csv') as file:\n"
            "            return [float(row['answer_loss']) for row in csv.DictReader(file)]\n"
        ),
        "parts/ranking.py": (
            "class Ranker:\n    def __init__(self, pool):\n        self.pool = pool\n\n    def best(self, count):\n"
            "        values = self.pool.loss\n"
            "        return sorted(range(len(values)), key=lambda row: self.score(values[row]))[:count]\n\n"
            "    def score(self, value):\n        return abs(value - 1.0)\n\n"
            "    def unused(self):\n        return 1\n"
        ),
    }
    code = read(tmp_path, dict(parts))
    live = {function.qualname for function in code.functions if function.live}
    assert {"Pool.loss", "Ranker.best", "Ranker.score"} <= live
    assert "Ranker.unused" not in live
    assert "answer_loss" in code.signals
    assert code.content


def test_a_list_that_another_name_fills_is_followed(tmp_path: Path) -> None:
    body = """
def spread(points):
    return points @ points.T


def fill(bucket, points):
    bucket.append(spread(points).argmax())


def select(pool, history, rng):
    held = {}
    taken = held.setdefault("rows", [])
    alias = taken
    fill(alias, vectors(pool))
    return held["rows"]
"""
    code = read(tmp_path, {"policy.py": made.whole(body)})
    spread = code.function("policy.py", "spread")
    assert spread is not None
    assert spread.live
    assert code.content


# -- distances ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PolicyCode]:
    folder = tmp_path_factory.mktemp("codes")
    made_all = {**{name: made.whole(body) for name, body in {**made.METHODS, **made.COPIES}.items()}}
    made_all["renamed"] = made.renamed(made.whole(made.LOSS_BAND))
    return {name: read(folder / name, {"policy.py": text}) for name, text in made_all.items()}


def test_the_same_procedure_in_other_clothes_is_at_no_distance(codes: dict[str, PolicyCode]) -> None:
    for name in made.COPIES:
        assert structure_distance(codes["loss-band"], codes[name]) == 0, name
        assert same_structure(codes["loss-band"], codes[name]), name


def test_no_two_methods_are_the_same(codes: dict[str, PolicyCode]) -> None:
    names = list(made.METHODS)
    pairs = [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
    assert not [pair for pair in pairs if same_structure(codes[pair[0]], codes[pair[1]])]


def test_the_same_code_over_another_signal_is_another_procedure(codes: dict[str, PolicyCode]) -> None:
    assert structure_distance(codes["loss-band"], codes["band-of-similarity"]) == 0
    assert not same_structure(codes["loss-band"], codes["band-of-similarity"])


def test_distance_is_symmetric_and_bounded(codes: dict[str, PolicyCode]) -> None:
    for a in ("d2", "dsir", "minhash"):
        for b in ("coincide", "d2", "doremi"):
            there = structure_distance(codes[a], codes[b])
            assert there == structure_distance(codes[b], codes[a])
            assert 0 <= there <= 1
            assert (there == 0) == (a == b)


def test_a_recombination_has_little_that_its_parents_lack(codes: dict[str, PolicyCode]) -> None:
    parents = [codes["d2"], codes["loss-band"]]
    assert unexplained(codes["d2-in-band"], parents) < 0.2 < unexplained(codes["coincide"], parents)
