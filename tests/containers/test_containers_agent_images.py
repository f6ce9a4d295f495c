"""The images of the coding agents: each program starts where nothing can be installed, fetched or written."""

from __future__ import annotations

import json
from typing import Final

import pytest
from image_shell import in_image

from curation_sandbox import image_files, images
from curation_sandbox.engine import Engine
from curation_sandbox.image_files import BASE

pytestmark = pytest.mark.containers

PROGRAMS: Final = {
    "claude-code": ("claude-code", "claude --version"),
    "codex": ("codex", "codex --version"),
    "openhands": (
        "openhands-sdk",
        "/opt/openhands/bin/python -c 'import importlib.metadata as m; print(m.version(\"openhands-sdk\"))'",
    ),
}
"""By image: what its version is listed under, and the command that says it."""

OPENHANDS: Final = "LITELLM_LOCAL_MODEL_COST_MAP=True OPENHANDS_SUPPRESS_BANNER=1 /opt/openhands/bin/python"
LEFT_OUT: Final = {"browser-use", "func-timeout", "tom-swe"}
"""Packages that OpenHands asks for and that only its browser and its user-modelling tool import."""


@pytest.fixture(params=sorted(PROGRAMS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_image_but_base_is_looked_at_here() -> None:
    assert set(image_files.names()) == {BASE, *PROGRAMS}


def test_program_starts_without_network_root_or_a_writable_tree(engine: Engine, name: str) -> None:
    listed, command = PROGRAMS[name]
    version = images.resolve(engine, name).versions[listed]
    assert version in in_image(name, command).split()


def test_image_is_base_with_one_layer_more(engine: Engine, name: str) -> None:
    below: list[str] = engine.inspect_image(image_files.tag_of(BASE))["RootFS"]["Layers"]
    layers: list[str] = engine.inspect_image(image_files.tag_of(name))["RootFS"]["Layers"]
    assert layers[:-1] == below


def test_agent_is_the_same_user_in_every_image(engine: Engine, name: str) -> None:
    inner = ("User", "WorkingDir", "Env")
    ours, base = (engine.inspect_image(image_files.tag_of(one))["Config"] for one in (name, BASE))
    assert [ours[key] for key in inner] == [base[key] for key in inner]


def test_nothing_is_left_that_could_install(name: str) -> None:
    assert in_image(name, "command -v node npm npx || true") == ""
    assert in_image(name, "find / -xdev -path /proc -prune -o -name node_modules -print 2>/dev/null || true") == ""


def test_image_says_nothing_of_where_its_packages_came_from(name: str) -> None:
    found = in_image(name, "find / -xdev '(' -name '*npmrc' -o -name pip.conf ')' 2>/dev/null || true")
    assert found == ""


def test_nothing_raises_rights_or_is_writable_by_all(name: str) -> None:
    assert in_image(name, "find / -xdev -type f -perm /6000 2>/dev/null || true") == ""
    writable = "find / -xdev ! -type l -perm -0002 ! -path '/tmp*' ! -path '/var/tmp' 2>/dev/null || true"
    assert in_image(name, writable) in ("", "/run/lock\n")


def test_codex_finds_its_other_programs_beside_it() -> None:
    """It looks for them from where its own file lies, not from the link in PATH."""
    real = in_image("codex", "dirname $(readlink -f $(command -v codex))").strip()
    assert in_image("codex", f"test -x {real}/codex-code-mode-host && {real}/../codex-path/rg --version | head -1")


def test_openhands_has_its_tools() -> None:
    program = (
        "from openhands.sdk import LLM, Agent, Conversation; from openhands.tools.terminal import TerminalTool;"
        " from openhands.tools.file_editor import FileEditorTool; import fastapi;"
        " from openhands.tools.task_tracker import TaskTrackerTool; print('all')"
    )
    assert in_image("openhands", f'{OPENHANDS} -c "{program}"').split()[-1] == "all"


def test_openhands_lacks_only_what_was_left_out() -> None:
    told = in_image("openhands", "/opt/python/bin/pip --python /opt/openhands/bin/python check || true")
    missing = {line.split(" requires ")[1].split(",")[0] for line in told.splitlines() if "not installed" in line}
    assert missing == LEFT_OUT
    assert [line for line in told.splitlines() if "not installed" not in line] == []


def test_openhands_imports_find_their_bytecode() -> None:
    verbose = f"{OPENHANDS} -v -c 'import openhands.sdk, openhands.tools' >/tmp/told 2>&1"
    counted = in_image(
        "openhands",
        f"{verbose}; grep -c 'code object from .*/opt/openhands/.*[.]py.$' /tmp/told || true;"
        " grep -c 'code object from .*/opt/openhands/.*[.]pyc.$' /tmp/told",
    )
    sources, compiled = map(int, counted.split())
    assert sources == 0
    assert compiled > 500


def test_policy_finds_the_same_python_in_every_image(name: str) -> None:
    """An agent's own packages are no part of what a policy can import."""
    program = "import json, importlib.metadata as m; print(json.dumps(sorted(d.name for d in m.distributions())))"
    ours, base = (in_image(one, f"python3 -c '{program}'") for one in (name, BASE))
    assert json.loads(ours) == json.loads(base)
