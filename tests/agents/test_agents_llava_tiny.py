"""The main job with the real programs: look, write a policy, submit, read the score, revise."""

from __future__ import annotations

import re

import pytest
from agent_bench import agent_run
from scripted_model import KEY
from scripted_moves import Run, Say, Think

pytestmark = [pytest.mark.containers, pytest.mark.train]

POLICY = r"""
import csv, json, random, sys
from pathlib import Path

pool = Path("/pool")
rows = list(csv.DictReader((pool / "signals" / "signals.csv").open()))
talks = [json.loads(line)["conversations"] for line in (pool / "rows.jsonl").open()]


def fitting():
    # pairs that fit best, each once; then, of those that ask the same, the half that the base model finds easier
    pictures = [n for n, row in enumerate(rows) if row["similarity"]]
    pictures.sort(key=lambda n: -float(rows[n]["similarity"]))
    single = {(rows[n]["image_hash"], talks[n][-1]["value"]): n for n in reversed(pictures)}
    best = sorted(single.values(), key=lambda n: -float(rows[n]["similarity"]))[: len(single) * 6 // 10]
    asked = {}
    for n in sorted(best, key=lambda n: float(rows[n]["answer_loss"])):
        asked.setdefault(talks[n][0]["value"], []).append(n)
    return [n for alike in asked.values() for n in alike[: (len(alike) + 1) // 2]]


candidates = fitting() if sys.argv[1] == "fitting" else range(len(rows))
chosen = random.Random(0).sample(sorted(candidates), 1000)
Path("rows.txt").write_text("\n".join(map(str, chosen)) + "\n")
"""


def attempt(n: int, method: str) -> Run:
    """Made with ``method``, submitted, and waited for in bites."""
    made = f"python3 policy/policy.py {method} && curate submit rows.txt --policy policy --note {method}"
    return Run(f"{made} && curate wait {n} --timeout 60 && curate result {n}", seconds=100)


MOVES = [
    Think("I look at the pool first."),
    Run("curate task && head -c 600 /pool/rows.jsonl && head -3 /pool/signals/signals.csv", say="Let me look."),
    Run(f"mkdir -p policy && cat > policy/policy.py <<'END'{POLICY}END", say="A policy with two methods."),
    attempt(1, "random"),
    Run("curate wait 1 --timeout 60; curate result 1", until="is scored"),
    Think("Random rows are the baseline. Now pairs that fit."),
    attempt(2, "fitting"),
    Run("curate wait 2 --timeout 60; curate result 2; curate history", until="is scored"),
    Run("curate done"),
    Say("The second policy is better."),
]


def test_a_whole_run_of_two_iterations(program, tmp_path, cache):
    with agent_run(program, MOVES, tmp_path, cache) as run:
        run.launch("--iterations", "2", "--set", "headline.seeds=1", task="llava-tiny", timeout=500)
        summary = run.harness.summary()
        assert (summary.status, summary.task, summary.agent) == ("scored", "llava-tiny", program.agent)
        first, second = (attempt.public.mean for attempt in summary.attempts)
        assert second > first + summary.noise_floor
        assert summary.sealed.attempt == 2
        # each request went through the gateway, with the host's key, and what the agent read came back to the model
        assert {asked.path for asked in run.model.turns} == {program.path}
        assert all(asked.status == 200 for asked in run.model.turns)
        scores = re.findall(r"this attempt +([0-9.]+)", run.model.turns[-1].raw.decode().replace("\\n", "\n"))
        assert {f"{first:.4f}", f"{second:.4f}"} <= set(scores)
        # the policies' code is in the record; the key is nowhere
        kept = run.folder / "attempts" / "002"
        assert any("def fitting" in path.read_text() for path in kept.rglob("policy.py"))
        assert run.places_of(KEY) == []
