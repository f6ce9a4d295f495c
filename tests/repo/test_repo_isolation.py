"""The isolation page names tests, and every one of them exists; every hole that is tested is on the page."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parents[1]
PAGE: Final = (TESTS.parent / "docs" / "isolation.md").read_text(encoding="utf-8")
HOLE: Final = re.compile(r"test_(?:hole_\d\d|harbor|mle_bench)_\w+")


def functions() -> Counter[str]:
    """Every test function of the container tests, and how often there is one of that name."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (TESTS / "containers").glob("test_*.py")]
    return Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def rows() -> list[list[str]]:
    """The table of holes: number or system, and the test's name."""
    section = PAGE.partition("## Holes of other harnesses")[2].partition("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"
    ]
    return [[row[0], row[-1].strip("`")] for row in cells[2:]]


def test_every_hole_has_its_test() -> None:
    there = functions()
    assert [number for number, _ in rows()] == [*(str(n) for n in range(1, 17)), "Harbor", "MLE-bench"]
    for number, name in rows():
        assert there[name] == 1, f"hole {number}: there is no one test {name}"
        if number.isdecimal():
            assert name.startswith(f"test_hole_{int(number):02d}_")


def test_every_hole_that_is_tested_is_on_the_page() -> None:
    assert {name for name in functions() if HOLE.fullmatch(name)} == {name for _, name in rows()}


def test_files_of_tests_that_the_page_names_exist() -> None:
    there = {path.name for path in TESTS.rglob("test_*.py")}
    assert set(re.findall(r"`(test_\w+\.py)`", PAGE)) - there == set()
