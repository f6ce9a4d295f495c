"""Whole runs in which the host runs policies again: through ``curate`` in the container, and into the record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness_command import Harness, launch_options

POLICY = """
import argparse, json, random
from pathlib import Path
parser = argparse.ArgumentParser()
for name in ("--pool", "--history", "--seed", "--out"):
    parser.add_argument(name, required=True)
given = parser.parse_args()
def values():
    lines = (Path(given.history) / "signals" / "residual.jsonl").read_text().splitlines()
    return {each["row"]: each["value"] for each in map(json.loads, lines)}
def main():
    found = values()
    rows = sorted(found, key=lambda row: (found[row], row))[:20]
    Path(given.out).write_text("".join(f"{row}\\\\n" for row in rows))
main()
"""

AGENT = f"""
import os, subprocess, sys
task = curate("task")[1]
os.makedirs("policy")
open("policy/policy.py", "w").write('''{POLICY}''')
open("asked.txt", "w").write("".join(f"{{row}}\\n" for row in range(200)))
print(curate("signal", "residual", "--rows", "asked.txt", "--out", "values.jsonl")[0])
curate("history", "--save", "history")
assert sorted(os.listdir("history/signals")) == ["residual.jsonl"]
def make(seed):
    subprocess.run([sys.executable, "policy/policy.py", "--pool", "/pool", "--history", "history", "--seed", seed,
                    "--out", "rows.txt"], check=True)
make(str(task["seed"]))
print("TRIED", curate("reproduce", "rows.txt", "--policy", "policy"))
code, reply = curate("submit", "rows.txt", "--policy", "policy", "--timeout", "0", "--key", "the-key-1")
print("FIRST", code, reply["outcome"])
code, reply = curate("submit", "rows.txt", "--policy", "policy", "--key", "the-key-1")
print("THEN", code, reply["outcome"])
curate("wait", "1", "--timeout", "100")
open("rows.txt", "w").write("0\\n1\\n2\\n")
code, reply = curate("submit", "rows.txt", "--policy", "policy")
print("OTHER", code, reply["problems"][0]["code"])
print("CARDS", curate("methods"), flush=True)
"""


@pytest.fixture
def harness(tmp_path: Path, cache: Path) -> Harness:
    return Harness(tmp_path, cache)


def test_a_policy_that_reads_bought_signals_is_accepted_and_one_with_other_rows_is_not(harness):
    options = launch_options("--reproduce-policy", "--set", "headline.seeds=1", *harness.program(AGENT))
    done = harness.run(*options)
    told = (harness.runs / "r" / "agent.log").read_text()
    assert done.returncode == 0, done.stderr + told
    assert "TRIED (0, " in told, told
    assert "FIRST 3 checking" in told
    assert "THEN 0 accepted" in told
    assert "OTHER 4 reproduce-differs" in told
    assert "CARDS (2, {'error': 'not-found'" in told
    record = harness.record()
    assert record.spec.reproduce_policy
    (submission,) = record.submissions()
    assert {"policy.py:main", "policy.py:values"} <= set(submission.reproduction.functions)
    (refusal,) = record.refusals()
    assert not refusal.reproduction.ok
    saved = json.loads((record.folder / "history" / "history.json").read_text())
    assert len(saved["attempts"]) == 1
    assert [event.data["trial"] for event in record.events.of("reproduced")] == [True, False, False]
