"""An agent's image built on a task's own, which comes from outside ``images/``. Needs an engine and the images."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from container_box import MakeSpec
from harness_command import Harness

from curation_sandbox import image_builder, images
from curation_sandbox.container import Container
from curation_sandbox.engine import LABEL, Engine
from curation_sandbox.errors import ImageBuildFailed, ImageMissing
from curation_sandbox.image_files import BASE, tag_of

pytestmark = pytest.mark.containers

CODEX: Final = ("--agent", "codex", "--model", "openai-compatible/none", "--base-url", "http://127.0.0.1:9")
"""No model answers there; what a dry run says of the image is the same."""


@dataclass(frozen=True)
class TaskImage:
    """A task's image, as its author makes it: with a Dockerfile and the docker command."""

    engine: Engine
    folder: Path
    tag: str
    made: set[str] = field(default_factory=set)
    """Ids of it; a later one takes the tag from the one before."""

    def make(self, dockerfile: str) -> str:
        (self.folder / "Dockerfile").write_text(dockerfile)
        command = [image_builder.client(), "--host", self.engine.host, "build", "--quiet", f"--tag={self.tag}"]
        subprocess.run([*command, str(self.folder)], check=True, capture_output=True, timeout=120)
        digest = images.resolve(self.engine, self.tag).digest
        self.made.add(digest)
        return digest


@pytest.fixture
def task_image(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskImage]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "context").mkdir()
    made = TaskImage(engine, tmp_path / "context", f"test-{uuid.uuid4().hex[:8]}/mine:1")
    made.make(f"FROM {tag_of(BASE)}\nUSER root\nRUN echo from the task >/opt/tool\n")
    yield made
    for image in engine.images(f"{LABEL}.image=codex+{made.tag}"):  # one that a later build took the tag from, too
        engine.remove_image(image["Id"])
    for digest in made.made:
        engine.remove_image(digest)


def test_agents_image_is_built_on_the_tasks_and_a_run_uses_it(
    engine: Engine, task_image: TaskImage, make_spec: MakeSpec, tmp_path: Path, cache: Path
) -> None:
    name = f"codex+{task_image.tag}"
    launch = ("launch", "--task", "probe", "--set", f"image={task_image.tag}", "--dry-run", "--json", *CODEX)
    harness = Harness(tmp_path, cache)
    assert f"harness images build {name}" in _image_check(harness, *launch)["detail"]
    with pytest.raises(ImageMissing, match="not built yet"):
        images.resolve(engine, name)

    (built,) = images.build([name], lambda line: None)
    assert (built.name, built.digest) in {(one.name, one.digest) for one in images.list_images()}
    assert built.versions["codex"] == images.resolve(engine, "codex").versions["codex"]
    found = _image_check(harness, *launch)
    assert found["holds"]
    assert found["detail"] == f"{name} {built.digest[:19]}"
    with Container(engine, make_spec(image=built.digest, command=("sleep", "60"))) as container:
        container.start()
        told = container.exec(("sh", "-c", "id -u; cat /opt/tool; codex --version")).output.decode()
    assert told.splitlines()[:2] == ["1000", "from the task"]
    assert built.versions["codex"] in told

    (again,) = images.build([name], lambda line: None)
    task_image.make(f"FROM {tag_of(BASE)}\nUSER root\nRUN echo changed >/opt/tool\n")
    (changed,) = images.build([name], lambda line: None)
    assert built.digest == again.digest != changed.digest


def test_agent_without_an_image_of_its_own_runs_in_the_tasks(
    engine: Engine, task_image: TaskImage, tmp_path: Path, cache: Path
) -> None:
    harness = Harness(tmp_path, cache)
    launch = ("launch", "--task", "probe", "--run-id", "r", "--set", f"image={task_image.tag}", "--json")
    done = harness.run(*launch, *harness.program("print(open('/opt/tool').read(), flush=True)"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["image_digest"] == images.resolve(engine, task_image.tag).digest
    assert "from the task" in (harness.runs / "r" / "agent.log").read_text()


def test_task_image_that_is_not_built_on_base_is_said_so(engine: Engine, task_image: TaskImage) -> None:
    task_image.make(f"FROM {tag_of(BASE)}\nUSER root\nRUN rm -r /opt/python\n")
    with pytest.raises(ImageBuildFailed) as caught:
        images.build([f"codex+{task_image.tag}"], lambda line: None)
    assert f"FROM {tag_of(BASE)}" in (caught.value.hint or "")


def test_task_image_that_is_not_here_is_named(task_image: TaskImage) -> None:
    with pytest.raises(ImageMissing, match=f"no image {task_image.tag}0"):
        images.build([f"codex+{task_image.tag}0"], lambda line: None)


def test_task_image_without_a_tag_asks_for_one(engine: Engine, task_image: TaskImage) -> None:
    digest = images.resolve(engine, task_image.tag).digest
    task_image.make(f"FROM {tag_of(BASE)}\nENV TAKES=the-tag\n")
    assert images.resolve(engine, digest).digest == digest
    with pytest.raises(ImageMissing, match="no tag") as caught:
        images.build([f"codex+{digest}"], lambda line: None)
    assert "docker tag" in (caught.value.hint or "")


def _image_check(harness: Harness, *launch: str) -> dict[str, Any]:
    checks = json.loads(harness.run(*launch).stdout)["checks"]
    (found,) = [check for check in checks if check["what"] == "image"]
    return dict(found)
