"""Whole runs under each scaffold: what one shows is not in the container of another, and ``adapt`` is enforced."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import pytest
from harness_command import Harness

from curation_harness.record.store import RunRecord
from curation_plugins import registry
from curation_plugins.config import load
from curation_plugins.methods.library import MethodLibrary
from curation_probe.task import TASKS, ProbeTask

pytestmark = pytest.mark.containers

SCAFFOLDS = ("open", "guide", "references", "research", "adapt")
MARK = "the marrow of attempt quetzal"
"""Stands in the first run's policy, note and method file."""

ADAPTS = '''
import os
POLICY = """
import argparse, json
from pathlib import Path
import numpy as np

def points(pool):
    rows = [json.loads(line) for line in open(Path(pool) / "rows.jsonl")]
    return np.array([row["x"] for row in rows])

def scaled(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)

def farthest(values, count):
    taken, distance = [0], np.full(len(values), np.inf)
    while len(taken) < count:
        distance = np.minimum(distance, ((values - values[taken[-1]]) ** 2).sum(axis=1))
        taken.append(int(distance.argmax()))
    return taken

def ordered(taken):
    return sorted(set(taken))

def decoy(values):
    return np.linalg.svd(values)[1]

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--pool", "--history", "--seed", "--out"):
        parser.add_argument(name)
    args = parser.parse_args()
    Path(args.out).write_text("\\\\n".join(map(str, ordered(farthest(scaled(points(args.pool)), 60)))))
"""
MARK = "the marrow of attempt quetzal"
code, listed = curate("methods", "--search", "core-set")
print("LISTED", code, flush=True)
code, shown = curate("methods", "k-center")
steps = [step["id"] for step in shown["card"]["procedure"]]
functions = ["points", "scaled", "farthest", "ordered"]
os.makedirs("policy", exist_ok=True)
open("policy/policy.py", "w").write(POLICY + f"# {MARK}\\n")
import subprocess, sys
subprocess.run([sys.executable, "policy/policy.py", "--pool", "/pool", "--out", "rows.txt"], check=True)

def hand_in(named, card="k-center"):
    lines = [f"failure: the pool has many rows alike, {MARK}", "evidence: []", f"cards: [{card}]", "steps:"]
    for place, step in enumerate(steps):
        what = f'function: "policy.py:{named[place]}"' if place < len(named) else "left_out: the pool is small enough"
        lines.append(f"  - {{card: {card}, step: {step}, {what}}}")
    lines.append("adapted: columns are scaled first, since the numbers have other ranges here")
    open("policy/method.yaml", "w").write("\\n".join(lines) + "\\n")
    code, reply = curate("submit", "rows.txt", "--policy", "policy", "--note", MARK)
    print("REPLY", json.dumps(reply), flush=True)
    return reply

hand_in(["decoy", *functions[1:]])
hand_in(functions, card="semdedup")
reply = hand_in(functions)
if reply.get("attempt"):
    print(curate("wait", str(reply["attempt"]), "--timeout", "60"), flush=True)
'''

SEARCHES = """
import codecs, os
needles = [codecs.decode(line, "rot13") for line in json.load(open("/agent/needles.json"))]
control = "this control is to be " + "found"
open("/workspace/control.txt", "w").write(control)
found = []
apart = ["-g!/" + part + "/**" for part in ("proc", "sys", "dev")]
done = subprocess.run(
    ["rg", "-uuu", "--no-messages", "-o", "-F", "-f", "-", "/", *apart],
    input="\\n".join([*needles, control]), capture_output=True, text=True, errors="replace",
)
found += done.stdout.splitlines()[:20]
for process in os.listdir("/proc"):
    for name in ("environ", "cmdline", "mountinfo"):
        try:
            text = open(f"/proc/{process}/{name}", errors="replace").read()
        except OSError:
            continue
        found += [f"/proc/{process}/{name}: {needle}" for needle in needles if needle in text]
answers = {}
for command in (["task"], ["methods"], ["methods", "k-center"], ["history"], ["status"]):
    done = subprocess.run(["curate", "--json", *command], capture_output=True, text=True)
    answers[" ".join(command)] = [done.returncode, [needle for needle in needles if needle in done.stdout]]
print("SEARCHED", json.dumps({"needles": len(needles), "rg": done.returncode, "found": found, "answers": answers}))
"""


def needles(scaffold: str) -> list[str]:
    """Sentences of the other scaffolds, of the cards where they are not shown, and marks of an earlier run."""
    built = registry.build().scaffolds
    task = ProbeTask(load(TASKS / "probe" / "task.yaml"))
    own = built.get(scaffold).rules(task)
    words = {MARK, "first-of-all-runs"}
    for other in SCAFFOLDS:
        lines = [line.strip() for line in built.get(other).rules(task).splitlines()]
        words |= {line for line in lines if len(line) > 50 and line not in own}
    if built.get(scaffold).cards() is None:
        words |= {card.summary for card in MethodLibrary().cards.values()}
    return sorted(words)


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Harness, RunRecord]:
    """A run under ``adapt``: two refusals, then an attempt. It lies beside the runs that are searched."""
    harness = Harness(tmp_path_factory.mktemp("scaffolds"), cache)
    options = ("launch", "--task", "probe", "--run-id", "first-of-all-runs", "--iterations", "1", "--set")
    done = harness.run(*options, "headline.seeds=1", "--scaffold", "adapt", *harness.program(ADAPTS))
    assert done.returncode == 0, done.stderr
    return harness, harness.record("first-of-all-runs")


def replies(record: RunRecord) -> list[dict[str, Any]]:
    lines = (record.folder / "agent.log").read_text().splitlines()
    return [json.loads(line.removeprefix("REPLY ")) for line in lines if line.startswith("REPLY ")]


def test_adapt_refuses_what_is_not_done_and_takes_what_is(adapted: tuple[Harness, RunRecord]) -> None:
    _, record = adapted
    decoy, unread, taken = replies(record)
    assert {problem["code"] for problem in decoy["problems"]} == {"step-unused", "step-not-run"}
    assert {problem["code"] for problem in unread["problems"]} >= {"card-unread"}
    assert taken["attempt"] == 1
    (submission,) = record.submissions()
    assert submission.cited == ("k-center",)
    assert [result.status for result in record.results()] == ["scored"]
    assert record.spec.scaffold.name == "adapt"
    assert [event.data["id"] for event in record.events.of("method-read")] == ["k-center"]


@pytest.mark.parametrize("scaffold", SCAFFOLDS)
def test_nothing_that_another_scaffold_shows_is_in_the_container(
    adapted: tuple[Harness, RunRecord], scaffold: str
) -> None:
    harness, _ = adapted
    program = harness.program(SEARCHES)
    hidden = [codecs.encode(needle, "rot13") for needle in needles(scaffold)]
    (harness.folder / "agent" / "needles.json").write_text(json.dumps(hidden))
    options = ("launch", "--task", "probe", "--run-id", scaffold, "--iterations", "1", "--scaffold", scaffold)
    done = harness.run(*options, *program)
    assert done.returncode == 0, done.stderr
    log = (harness.record(scaffold).folder / "agent.log").read_text()
    searched = json.loads(next(line for line in log.splitlines() if line.startswith("SEARCHED "))[len("SEARCHED ") :])
    assert searched["needles"] == len(hidden)
    assert searched["found"] == ["/workspace/control.txt:this control is to be found"]
    for command, (code, told) in searched["answers"].items():
        assert told == [], command
        if command.startswith("methods"):
            assert (code == 0) == (scaffold in ("references", "adapt")), command
