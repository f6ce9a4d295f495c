"""Looking costs nothing: help, lists and records are shown without the heavy libraries."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "docker", "matplotlib", "fastapi", "starlette", "uvicorn", "sklearn", "pyarrow")

LOOK = """
import json, sys
from curation_harness.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
print(json.dumps([code, sorted(name for name in sys.modules if "." not in name)]), file=sys.stderr)
"""


def loaded(*arguments: str) -> set[str]:
    """Top-level modules in a fresh interpreter after a command."""
    done = subprocess.run([sys.executable, "-c", LOOK, *arguments], capture_output=True, text=True)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


@pytest.mark.parametrize("command", [["--help"], ["tasks"], ["agents"], ["scaffolds"], ["engines"], ["--version"]])
def test_a_command_that_only_lists_loads_nothing_heavy(command: list[str]) -> None:
    modules = loaded(*command)
    assert "click" in modules
    assert modules.isdisjoint(HEAVY)


def test_reading_records_loads_nothing_heavy(tmp_path: Path) -> None:
    assert loaded("runs", "--run-dir", str(tmp_path)).isdisjoint(HEAVY)


def test_help_loads_not_even_pydantic_or_rich() -> None:
    assert loaded("--help").isdisjoint({"pydantic", "rich", "yaml", "numpy"})


def seconds(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - began


def test_help_takes_hardly_longer_than_the_library_that_prints_it() -> None:
    """A ratio, of medians taken in turns: absolute times say more of the machine than of the code."""
    pairs = [(seconds("-m", "curation_harness", "--help"), seconds("-c", "import click")) for _ in range(5)]
    ours, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
    assert ours < 4 * bare
