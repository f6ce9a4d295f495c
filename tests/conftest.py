"""Fixtures that several suites share: a cache of their own, the registry, and runs on the fast test task."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from curation_harness.planning import plan as plans
from curation_harness.planning.plan import LaunchOptions
from curation_harness.record.models import ImageUsed, ReferenceTable
from curation_harness.record.store import RunRecord
from curation_harness.reproduction.runner import PolicyRunner
from curation_harness.run.loop import Parts, RunLoop
from curation_harness.watcher import Watcher
from curation_plugins import assets as task_assets
from curation_plugins import registry as registries
from curation_plugins.api import AgentLaunch
from curation_plugins.registry import Registry
from curation_plugins.tasks import torchvision_cpu

# two cores, several processes: a second thread in each would only spin
os.environ.setdefault("OMP_NUM_THREADS", "1")
# tests that import transformers by themselves, before anything of ours
torchvision_cpu.install()
# slots are shared by all runs on a machine; tests do not wait for somebody's training
_SLOTS = tempfile.TemporaryDirectory(prefix="curation-test-slots-")
os.environ["CURATION_SLOTS_DIR"] = _SLOTS.name


def pytest_unconfigure() -> None:
    """Not left to the interpreter's exit: a process of pytest-xdist ends without one."""
    _SLOTS.cleanup()


OpenLoop = Callable[..., "contextmanager[RunLoop]"]


@pytest.fixture(scope="session")
def registry() -> Registry:
    found = registries.build()
    assert not found.broken, found.broken
    return found


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Assets and references: kept from one test run to the next if CURATION_CACHE says where, else for this one."""
    kept = os.environ.get("CURATION_CACHE")
    return Path(kept) if kept else tmp_path_factory.mktemp("cache")


def probe_record(
    runs: Path,
    cache: Path,
    registry: Registry,
    overrides: Sequence[str] = (),
    references: ReferenceTable | None = None,
    run_id: str = "probe-run",
    *,
    scaffold: str = "open",
    reproduce_policy: bool = False,
) -> RunRecord:
    """A fresh record of a run on the test task, as ``launch`` makes it, without an engine or an image."""
    options = LaunchOptions(
        task="probe",
        agent="nop",
        scaffold=scaffold,
        runs=runs,
        cache=cache,
        run_id=run_id,
        overrides=overrides,
        reproduce_policy=reproduce_policy,
    )
    plan = plans.make(options, registry)
    assets = task_assets.ensure(cache, plan.task, lambda what, done: None)
    spec = plans.run_spec(
        plan,
        AgentLaunch(command=("true",)),
        ImageUsed(name="none", digest="sha256:" + "0" * 64, labels={}),
        assets,
    )
    runs.mkdir(parents=True, exist_ok=True)
    return RunRecord.create(runs, spec, references)


def parts_of(record: RunRecord, registry: Registry, cache: Path) -> Parts:
    task = registry.tasks.get(record.spec.task.name).with_config(record.spec.task)
    return Parts(
        record=record,
        task=task,
        scaffold=registry.scaffolds.get(record.spec.scaffold.name),
        engine=registry.engines.get("local"),
        assets=task_assets.ensure(cache, task, lambda what, done: None),
        cache=record.folder.parent.parent / "cache",  # of this test alone: signals are kept in it by content
        watcher=Watcher(),
    )


@pytest.fixture
def open_loop(tmp_path: Path, cache: Path, registry: Registry) -> Callable[..., object]:
    """``with open_loop("budgets.iterations=2") as loop``: a run loop with real workers, no container."""

    @contextmanager
    def opened(
        *overrides: str,
        references: ReferenceTable | None = None,
        scaffold: str = "open",
        policies: Callable[[Path], PolicyRunner] | None = None,
        record: RunRecord | None = None,
    ) -> Iterator[RunLoop]:
        """Args:
        policies: makes, from the pool's folder, what runs submitted policies again; none: they are not run.
        record: to go on with, instead of a new one.
        """
        record = record or probe_record(
            tmp_path / "runs",
            cache,
            registry,
            overrides,
            references,
            scaffold=scaffold,
            reproduce_policy=policies is not None,
        )
        parts = parts_of(record, registry, cache)
        if policies is not None:
            parts = replace(parts, policies=policies(parts.assets / "pool"))
        with RunLoop(parts) as loop:
            yield loop

    return opened
