"""A run goes on under the scaffold it began with, and no other that only has its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from curation_harness.errors import HarnessError
from curation_harness.recorded import plan_of
from curation_plugins.api import Scaffold, Task
from curation_plugins.registry import Registry
from local_policies import LocalPolicies


def test_an_unchanged_scaffold_goes_on(open_loop: Any, registry: Registry) -> None:
    with open_loop(policies=LocalPolicies) as loop:
        spec, task = loop.record.spec, loop.parts.task
    plan = plan_of(spec, registry, task, loop.record.folder.parent)
    assert plan.reproduces
    assert spec.scaffold.digest == plan.scaffold.digest(task)


@pytest.mark.parametrize("changed", ["rules", "version", "sources"])
def test_a_changed_scaffold_is_refused_by_name(
    open_loop: Any, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    with open_loop() as loop:
        spec, task = loop.record.spec, loop.parts.task
    other = tmp_path / "gate.py"
    other.write_text("# another gate\n")
    values: dict[str, object] = {
        "rules": lambda task: "Other rules.",
        "version": "99",
        "sources": lambda: [other],
    }
    monkeypatch.setattr(registry.scaffolds.get("open"), changed, values[changed])
    with pytest.raises(HarnessError, match="scaffold open") as refused:
        plan_of(spec, registry, task, tmp_path)
    assert "harness finish" in (refused.value.hint or "")


class Plain(Scaffold):
    name = "plain"
    summary = "asks for nothing"
    version = "1"

    def rules(self, task: Task) -> str:
        return "None."

    def gate(self, submission: object) -> Sequence[object]:  # type: ignore[override]
        return ()


def test_the_digest_covers_the_file_that_defines_the_gate(registry: Registry) -> None:
    assert Plain().sources() == (Path(__file__),)
    task = registry.tasks.get("probe")
    assert Plain().digest(task) == Plain().digest(task) != registry.scaffolds.get("open").digest(task)
