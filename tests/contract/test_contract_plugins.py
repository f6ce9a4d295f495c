"""The contract of plugins, over everything that is registered, foreign packages too."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_plugins import assets as task_assets
from curation_plugins import registry
from curation_plugins.api import Task
from curation_plugins.errors import AssetsMissing, SubmissionRefused
from curation_plugins.testing import (
    check_agent,
    check_engine,
    check_registry,
    check_scaffold,
    check_task,
    check_task_files,
    check_task_training,
)

BUILT = registry.build()
QUICK = ("probe", "probe-venv")
"""Tasks whose files are made, and whose models are trained, in no time: these are checked in full each time."""
SLOW = [task.name for task in BUILT.tasks if task.name not in QUICK]
OPTIONS = {"command": "python3 agent.py"}
"""What an agent that takes options is given."""


def quiet(what: str, done: float) -> None:
    """Progress that nobody reads."""


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> tuple[Task, Path]:
    task = BUILT.tasks.get("probe")
    return task, task_assets.ensure(tmp_path_factory.mktemp("probe"), task, quiet)


def test_registry_is_whole_cheap_and_well_named() -> None:
    check_registry()


@pytest.mark.parametrize("name", QUICK)
def test_task(name: str, tmp_path: Path) -> None:
    check_task(BUILT.tasks.get(name), tmp_path)


@pytest.mark.train
@pytest.mark.parametrize("name", SLOW)
def test_files_of_slow_task(name: str, cache: Path) -> None:
    task = BUILT.tasks.get(name)
    check_task_files(task, _assets(task, cache))


@pytest.mark.train
@pytest.mark.parametrize("name", SLOW)
def test_training_of_slow_task(name: str, cache: Path, tmp_path: Path) -> None:
    task = BUILT.tasks.get(name)
    check_task_training(task, _assets(task, cache), tmp_path)


def _assets(task: Task, cache: Path) -> Path:
    """The task's files; tests/unit/test_plugins_llava_fetched*.py hold the fetched tasks over small stand-ins."""
    try:
        return task_assets.ensure(cache, task, quiet)
    except AssetsMissing:
        pytest.skip(f"what {task.name} is made of (tens of gigabytes) was not fetched into {cache}")


@pytest.mark.parametrize("name", [agent.name for agent in BUILT.agents])
def test_agent(name: str, probe: tuple[Task, Path]) -> None:
    check_agent(BUILT.agents.get(name), *probe)


@pytest.mark.parametrize("name", OPTIONS)
def test_agent_with_options(name: str, probe: tuple[Task, Path], tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text("print('hello')\n")
    tmp_path.chmod(0o755)
    check_agent(BUILT.agents.get(name), *probe, agent_dir=tmp_path, agent_arg=OPTIONS[name])


@pytest.mark.parametrize("name", [scaffold.name for scaffold in BUILT.scaffolds])
def test_scaffold(name: str, probe: tuple[Task, Path]) -> None:
    check_scaffold(BUILT.scaffolds.get(name), probe[0])


@pytest.mark.parametrize("name", [engine.name for engine in BUILT.engines])
def test_engine(name: str, tmp_path: Path) -> None:
    check_engine(BUILT.engines.get(name), tmp_path)


def test_refusal_is_no_error_of_ours() -> None:
    """Whoever catches WorkFailed or any of our errors must not swallow an agent's refused submission."""
    from curation_sandbox.errors import CurationError

    assert not issubclass(SubmissionRefused, CurationError)
