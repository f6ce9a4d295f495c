"""The built-in agents: how each is started, and what it says to options it cannot use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from curation_plugins.agents.baseline import BaselineAgent, BaselineOptions
from curation_plugins.agents.command import CommandAgent
from curation_plugins.agents.nop import NopAgent
from curation_plugins.agents.programs import FOLDER, TARGET
from curation_plugins.agents.random_rows import RandomRowsAgent
from curation_plugins.agents.shell import ShellAgent
from curation_plugins.api import Agent, AgentLaunch, AgentRequest, Progress, Task
from curation_plugins.config import SubmissionRules, TaskConfig
from curation_plugins.errors import ConfigInvalid
from curation_plugins.jobs import Role, WorkerSpec

AGENTS: Sequence[type[Agent]] = (
    BaselineAgent,
    RandomRowsAgent,
    NopAgent,
    CommandAgent,
    ShellAgent,
)


class AnyTask(Task):
    """As much of a task as an agent's launch looks at."""

    def brief(self) -> str:
        return ""

    def assets_key(self) -> str:
        return "none"

    def prepare(self, folder: Path, progress: Progress) -> None:
        raise NotImplementedError

    def pool_rows(self, assets: Path) -> int:
        return 1

    def worker(self, role: Role) -> WorkerSpec:
        raise NotImplementedError


@pytest.fixture
def task() -> Task:
    return AnyTask(
        TaskConfig(
            name="any",
            family="any",
            title="any",
            image="special",
            submission=SubmissionRules(rows_max=1),
            benchmarks=("one",),
        )
    )


def launch(agent: Agent, task: Task, agent_dir: Path | None = None, agent_arg: str | None = None) -> AgentLaunch:
    return agent.launch(
        AgentRequest(
            task=task,
            assets=Path("/nowhere"),
            seed=0,
            iterations=4,
            agent_dir=agent_dir,
            agent_arg=agent_arg,
        )
    )


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A user's folder as `--agent-dir` wants it."""
    folder = tmp_path / "mine"
    (folder / "data").mkdir(parents=True)
    (folder / "my.py").write_text("print('hello')\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "data" / "prompt.md").write_text("hello\n")
    folder.chmod(0o755)
    return folder


@pytest.mark.parametrize("kind", AGENTS)
def test_every_agent_has_a_name_and_one_line_of_summary(kind: type[Agent]) -> None:
    agent = kind()
    assert agent.name
    assert 10 < len(agent.summary) < 100
    assert "\n" not in agent.summary


@pytest.mark.parametrize("kind", [BaselineAgent, RandomRowsAgent, NopAgent, ShellAgent])
def test_agents_start_in_the_task_s_image_with_their_programs_mounted(kind: type[Agent], task: Task) -> None:
    started = launch(kind(), task)
    assert started.image == "special"
    assert [(mount.source, mount.target) for mount in started.mounts] in ([], [(FOLDER, TARGET)])
    assert started.interactive is (kind is ShellAgent)


@pytest.mark.parametrize("kind", [BaselineAgent, RandomRowsAgent, NopAgent, ShellAgent])
def test_an_option_that_an_agent_does_not_read_is_refused(kind: type[Agent], task: Task, program: Path) -> None:
    with pytest.raises(ConfigInvalid, match="takes no --agent-dir"):
        launch(kind(), task, agent_dir=program)
    with pytest.raises(ConfigInvalid, match="takes no --agent-arg"):
        launch(kind(), task, agent_arg="python3 my.py")


def test_the_baseline_s_command_finds_its_program_where_it_is_mounted(task: Task, tmp_path: Path) -> None:
    started = launch(BaselineAgent(), task)
    assert started.environment["PYTHONPATH"] == TARGET
    # the same command with the mount's source for its target: the package is there, and is found
    # although the working directory holds something of that name
    (tmp_path / "baseline.py").write_text("raise SystemExit('the wrong one')\n")
    ended = subprocess.run(
        [sys.executable, *started.command[1:], "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(FOLDER)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "one selection method per iteration" in ended.stdout


def test_the_baseline_s_options_choose_the_method_and_show_a_folder(task: Task, program: Path) -> None:
    options = BaselineOptions(method="semdedup", extra=program)
    request = AgentRequest(task=task, assets=Path("/nowhere"), seed=0, iterations=4, options=options)
    started = BaselineAgent().launch(request)
    assert started.command[4:] == ("--only", "semdedup", "--extra", started.mounts[1].target)
    assert started.mounts[1].source == program
    with pytest.raises(ConfigInvalid, match=r"--agent-option extra .* is not a folder"):
        BaselineAgent().launch(replace(request, options=BaselineOptions(extra=program / "nothing")))
    with pytest.raises(ValidationError):
        BaselineOptions.model_validate({"method": "semdedupe"})


def test_random_is_the_baseline_with_one_method(task: Task) -> None:
    assert launch(RandomRowsAgent(), task).command[-2:] == ("--only", "random")


def test_the_shell_s_welcome_file_is_in_the_mounted_folder(task: Task) -> None:
    command = launch(ShellAgent(), task).command
    file = FOLDER / Path(command[2]).relative_to(TARGET)
    said = subprocess.run(["bash", file], capture_output=True, text=True, check=True).stdout
    assert "curate task" in said
    assert "curate submit" in said


def test_command_without_a_command_is_refused_with_an_example(task: Task, program: Path) -> None:
    for argument in (None, "", "  "):
        with pytest.raises(ConfigInvalid, match=r"--agent-dir \./my-agent --agent-arg"):
            launch(CommandAgent(), task, program, argument)


def test_command_with_an_open_quote_is_refused(task: Task, program: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be split"):
        launch(CommandAgent(), task, program, "python3 'my.py")


def test_command_names_files_where_they_are_in_the_container(task: Task, program: Path) -> None:
    started = launch(CommandAgent(), task, program, "python3 my.py --prompt ./data/prompt.md --out out.txt 'a b'")
    assert started.command == (
        "python3",
        "/agent/my.py",
        "--prompt",
        "/agent/data/prompt.md",
        "--out",
        "out.txt",
        "a b",
    )
    assert [(mount.source, mount.target) for mount in started.mounts] == [(program, "/agent")]
    assert started.environment == {"PYTHONPATH": "/agent"}  # PATH is the image's


def test_command_leaves_bare_words_alone_even_if_the_folder_holds_them(task: Task, program: Path) -> None:
    assert launch(CommandAgent(), task, program, "bash -c data").command == ("bash", "-c", "data")


def test_command_needs_no_folder(task: Task) -> None:
    started = launch(CommandAgent(), task, agent_arg="bash -c 'curate task'")
    assert started.command == ("bash", "-c", "curate task")
    assert started.mounts == ()


def test_command_names_the_nearest_file_when_the_script_is_not_there(task: Task, program: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"no file 'mi\.py' \(did you mean 'my\.py'\?\)"):
        launch(CommandAgent(), task, program, "python3 mi.py")


def test_command_refuses_a_program_that_cannot_be_executed(task: Task, program: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be executed"):
        launch(CommandAgent(), task, program, "./run.sh")
    (program / "run.sh").chmod(0o755)
    assert launch(CommandAgent(), task, program, "./run.sh").command == ("/agent/run.sh",)


def test_command_refuses_a_folder_that_is_not_there(task: Task, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="is not a folder"):
        launch(CommandAgent(), task, tmp_path / "none", "python3 my.py")


def test_command_refuses_a_folder_that_the_agent_s_user_cannot_read(task: Task, program: Path) -> None:
    program.chmod(0o700)
    with pytest.raises(ConfigInvalid, match=r"chmod -R o\+rX"):
        launch(CommandAgent(), task, program, "python3 my.py")


def test_command_refuses_a_folder_that_holds_the_host_s_secrets(task: Task) -> None:
    with pytest.raises(ConfigInvalid, match="--agent-dir /"):
        launch(CommandAgent(), task, Path("/"), "python3 my.py")


def test_importing_the_agents_brings_in_nothing_heavy() -> None:
    modules = ", ".join(kind.__module__ for kind in AGENTS)
    heavy = "{'torch', 'numpy', 'pyarrow', 'PIL', 'docker', 'sklearn'}"
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FOLDER)
    assert ended.stdout.strip() == "[]"
