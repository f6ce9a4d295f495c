"""``harness doctor``'s checks, on this machine's engine: what holds, and that each says when it does not."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from container_box import LIMITS, Box

from curation_sandbox import conformance, judging
from curation_sandbox.cgroups import Enforced
from curation_sandbox.engine import Engine
from curation_sandbox.errors import CurationError, SandboxPropertyMissing
from curation_sandbox.judging import Property

GROUPS = {"network", "capabilities", "mounts", "limits", "sockets", "system calls", "users"}


def test_the_sandbox_holds_here(engine: Engine, image: str) -> None:
    found = conformance.sandbox_properties(engine, image)
    assert {one.group for one in found} == GROUPS
    assert len({one.name for one in found}) == len(found) > 30
    assert [one for one in found if one.required and not one.holds] == []


def test_everything_at_once() -> None:
    found = conformance.examine("base")
    names = [one.name for one in found]
    assert len(set(names)) == len(names)
    assert {"engine", "bounded volumes", "loopback only"} <= set(names)
    assert all(one.holds or one.fix for one in found)


def test_an_image_that_is_not_there_is_one_line() -> None:
    missing = [one for one in conformance.examine("no-such-image") if not one.holds and one.required]
    assert [one.name for one in missing] == ["container"]
    assert "no-such-image" in missing[0].detail


def test_a_runtime_that_is_not_there_is_named(engine: Engine) -> None:
    with pytest.raises(SandboxPropertyMissing, match=r"no runtime 'kata'; it has: .*runc"):
        conformance.require_runtime(engine.info(), "kata")
    (missing,) = conformance.examine_sandbox("base", "kata")
    assert not missing.holds
    assert "'kata'" in missing.detail


@pytest.fixture(scope="module")
def seen(box: Box) -> Any:
    """What the look around finds in a container where everything holds."""
    told = ("--socket", "/run/curation/submit.sock", "--abstract", "nobody-listens-here", "--tcp", "127.0.0.1:9")
    done = box.run("python3", "-c", conformance.SCRIPT.read_text(), *told)
    assert done.code == 0, done.output.decode(errors="replace")
    return json.loads(done.output)


def failing(seen: dict[str, Any], enforced: Enforced = judging.UNKNOWN) -> list[str]:
    return [one.name for one in judged(seen, enforced) if not one.holds]


def judged(seen: dict[str, Any], enforced: Enforced = judging.UNKNOWN) -> list[Property]:
    return list(judging.judge(seen, LIMITS, enforced))


def test_nothing_fails_in_the_box(seen: Any) -> None:
    assert failing(seen) == []


@pytest.mark.parametrize(
    ("path", "value", "name"),
    [
        (("interfaces",), ["eth0", "lo"], "loopback only"),
        (("routes",), ["eth0"], "no route out"),
        (("reached", "127.0.0.1:9"), "connected", "no address reached"),
        (("reached", "169.254.169.254:80"), "timed out", "no address reached"),
        (("loopback",), "EPERM", "own loopback usable"),
        (("capabilities", "CapBnd"), 1, "no capabilities"),
        (("privileges", "become root"), "allowed", "privileges refused"),
        (("no_new_privs",), 0, "no new privileges"),
        (("written", "/"), "written", "/ read-only"),
        (("written", "/pool"), "written", "/pool read-only"),
        (("written", "/run/curation"), "EACCES", None),
        (("mounts", "/pool"), ["ro", "relatime"], "/pool nosuid, nodev"),
        (("written", "/workspace"), "EACCES", "/workspace writable"),
        (("kernel_files", "/proc/sysrq-trigger"), "opened", "kernel settings closed"),
        (("devices",), ["sda"], "no devices"),
        (("memory",), 2**60, "memory limit"),
        (("pids",), None, "pids limit"),
        (("rlimits", "core"), -1, "limits of a process"),
        (("size", "/workspace", "bytes"), 2**40, "/workspace bounded"),
        (("filled", "/tmp"), {"bytes": 2**26, "ended": "not full"}, "/tmp bounded"),
        (("filled", "/dev/shm", "ended"), "EFBIG", "/dev/shm bounded"),
        (("socket",), "ECONNREFUSED", "own socket answers"),
        (("socket_removed",), "removed", "own socket stays"),
        (("abstract",), "connected", "host's nameless sockets hidden"),
        (("engine_socket",), ["/run/docker.sock"], "no engine socket"),
        (("seccomp",), "0", "system call filter"),
        (("calls", "io_uring_setup"), "EFAULT", "system calls refused"),
        (("calls", "getpid by the x32 table"), "allowed", "system calls refused"),
        (("families", "AF_VSOCK"), "allowed", "socket families refused"),
        (("uid",), 0, "not root"),
        (("groups",), [1000, 998], "no other group"),
        (("processes",), 300, "host processes hidden"),
        (("hostname",), "the-host", "host's name hidden"),
    ],
)
def test_a_property_that_does_not_hold_is_named(
    seen: dict[str, Any], path: tuple[str, ...], value: object, name: str | None
) -> None:
    changed = copy.deepcopy(seen)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert failing(changed) == ([] if name is None else [name])


def test_a_folder_that_only_its_rights_close_is_not_read_only(seen: dict[str, Any]) -> None:
    changed = copy.deepcopy(seen)
    changed["mounts"]["/pool"] = ["rw", "nosuid", "nodev"]
    changed["written"]["/pool"] = "EACCES"
    assert failing(changed) == ["/pool read-only"]


@pytest.mark.parametrize(
    ("enforced", "names"),
    [
        (Enforced(memory=LIMITS.memory, pids=LIMITS.pids, cpus=0.5), []),
        (Enforced(memory=2**60, pids=None, cpus=None), ["memory limit"]),
        (Enforced(memory=None, pids=7, cpus=2.0), ["pids limit", "processor limit"]),
    ],
)
def test_what_the_hosts_kernel_says_counts_before_what_is_seen_inside(
    seen: dict[str, Any], enforced: Enforced, names: list[str]
) -> None:
    assert failing(seen, enforced) == names


@pytest.mark.parametrize("printed", [b"{}", b'{"interfaces": 7}', b"[]", b"not JSON"])
def test_an_image_whose_python_prints_something_else_is_told(
    engine: Engine, image: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, printed: bytes
) -> None:
    (tmp_path / "liar.py").write_text(f"print({printed.decode()!r})")
    monkeypatch.setattr(conformance, "SCRIPT", tmp_path / "liar.py")
    with pytest.raises(CurationError, match=r"told nothing|is not what it prints"):
        conformance.sandbox_properties(engine, image)


@pytest.fixture
def empty_image(engine: Engine) -> Iterator[str]:
    """An image without any file: no program is in it."""
    done = subprocess.run(["docker", "import", "-"], input=bytes(10240), capture_output=True, check=True)
    name = done.stdout.decode().strip()
    yield name
    engine.remove_image(name)


def test_an_image_without_python_is_told_in_words(engine: Engine, empty_image: str) -> None:
    with pytest.raises(CurationError, match=r"it ended with status 127\. It said: .*python3") as told:
        conformance.sandbox_properties(engine, empty_image)
    short = empty_image.removeprefix("sha256:")[:12]
    assert "ExitStatus" not in told.value.message
    assert f"--entrypoint python3 {short} " in (told.value.hint or ""), "a command that can be pasted"
