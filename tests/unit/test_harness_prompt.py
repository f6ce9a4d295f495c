"""What an agent with a model is told: everything it needs, nothing that is not so."""

from __future__ import annotations

import re
import subprocess
import sys

from curation_harness.agent_container import CURATE
from curation_harness.planning import prompt


def composed(registry, task="llava-tiny"):
    return prompt.compose(registry.tasks.get(task), registry.scaffolds.get("open"), 7)


def test_it_holds_the_brief_the_rules_and_the_numbers(registry):
    text = composed(registry)
    task = registry.tasks.get("llava-tiny")
    assert "## The pool, `/pool`" not in text.replace("### The pool, `/pool`", "")
    assert f"You have {task.config.budgets.iterations} iterations" in text
    assert "seed 7" in text
    assert "{" not in re.sub(r"`[^`]*`|^    .*$", "", text, flags=re.MULTILINE)


def test_the_same_plan_gives_the_same_prompt(registry):
    assert composed(registry) == composed(registry)


def test_headings_stand_below_the_prompts_own_and_code_is_left_alone():
    text = prompt._lowered("# A\n```\n# a comment\n```\n## B")
    assert text == "## A\n```\n# a comment\n```\n### B"


def test_every_command_it_names_is_one_of_the_client(registry):
    named = set(re.findall(r"(?:`|    |, )curate ([a-z]+)", composed(registry)))
    told = subprocess.run([sys.executable, str(CURATE), "--help"], capture_output=True, text=True, check=True).stdout
    assert named <= set(re.findall(r"[a-z]+", told))
    assert {"submit", "wait", "status", "check", "result", "history", "done"} <= named


def test_nothing_of_the_host_is_told(registry):
    text = composed(registry)
    assert "sealed" not in text
    assert "/home/" not in text.replace("/home/agent", "")
