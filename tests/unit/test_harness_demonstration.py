"""The policies of the demonstration, all of them, without a container: the labels tell the two agents apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from curation_harness.diagnostics.diagnosis import RunDiagnosis, diagnose
from curation_harness.diagnostics.labels import label
from curation_plugins.methods.library import MethodLibrary
from made_tries import TryMaker

HERE = Path(__file__).parents[1] / "agents" / "demonstration"
ADAPTER = sorted((HERE / "adapter").glob("p*.py"))


def tuned() -> Iterator[str]:
    """Each policy of the tuner, as its agent writes it."""
    source = (HERE / "tuner" / "tuner_policy.py").read_text()
    for step in json.loads((HERE / "tuner" / "steps.json").read_text()):
        lines = source.splitlines(keepends=True)
        for knob, value in step["knobs"].items():
            assert any(line.startswith(f"{knob} = ") for line in lines)
            lines = [f"{knob} = {value!r}\n" if line.startswith(f"{knob} = ") else line for line in lines]
        yield "".join(lines)


def diagnosed(folder: Path, policies: list[str]) -> RunDiagnosis:
    made = TryMaker(folder)
    files = {"pool.py": (HERE / "pool.py").read_text()}
    for policy in policies:
        refused = "FACTOR = 1.4" in policy
        made.add(policy, outcome="refused" if refused else "scored", files=files, is_whole=True)
    return diagnose(made.view(), label)


def test_the_tuner_is_shallow_throughout(tmp_path):
    run = diagnosed(tmp_path, list(tuned()))
    labels = [one.labelled.label for one in run.attempts if one.labelled]
    assert labels[0] == "baseline"
    assert set(labels[1:]) == {"local tuning", "seed or rerun", "repair"}
    assert run.summary.shallow.share == 1.0


def test_the_adapter_never_is(tmp_path):
    run = diagnosed(tmp_path, [path.read_text() for path in ADAPTER])
    labels = [one.labelled.label for one in run.attempts if one.labelled]
    assert set(labels) <= {"new family", "adaptation", "recombination"}
    assert labels[-1] == "recombination"
    assert run.summary.shallow.count == 0


@pytest.mark.parametrize("source", ADAPTER, ids=lambda path: path.stem)
def test_every_step_of_every_cited_card_is_answered(source):
    said = yaml.safe_load(source.with_suffix(".yaml").read_text().replace("@EVIDENCE@", "[]"))
    library = MethodLibrary()
    wanted = {
        (name, step.id) for name in said["cards"] for step in (library.get(name) or pytest.fail(name)).procedure
    }
    assert {(step["card"], step["step"]) for step in said["steps"]} == wanted
    named = {step["function"].partition(":")[2] for step in said["steps"] if "function" in step}
    assert all(f"def {name}(" in source.read_text() for name in named)
