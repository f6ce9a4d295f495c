"""``harness doctor``'s checks, on this machine's engine."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from container_box import LIMITS, Box

from curation_sandbox import conformance
from curation_sandbox.conformance import Property
from curation_sandbox.engine import Engine


def test_the_sandbox_holds_here(engine: Engine, image: str) -> None:
    found = conformance.sandbox_properties(engine, image)
    assert len(found) > 15
    assert [one for one in found if one.required and not one.holds] == []


def test_everything_at_once() -> None:
    found = conformance.examine("base")
    names = [one.name for one in found]
    assert len(set(names)) == len(names)
    assert {"engine", "bounded volumes", "network: loopback only"} <= set(names)
    assert all(one.holds or one.fix for one in found)


def test_an_image_that_is_not_there_is_one_line() -> None:
    missing = [one for one in conformance.examine("no-such-image") if not one.holds and one.required]
    assert [one.name for one in missing] == ["container"]
    assert "no-such-image" in missing[0].detail


@pytest.fixture(scope="module")
def seen(box: Box) -> Any:
    """What the look around finds in a container where everything holds."""
    return box.python(conformance.SCRIPT.read_text())


def failing(seen: dict[str, Any]) -> list[str]:
    return [one.name for one in judged(seen) if not one.holds]


def judged(seen: dict[str, Any]) -> list[Property]:
    return list(conformance.judge(seen, LIMITS))


def test_nothing_fails_in_the_box(seen: Any) -> None:
    assert failing(seen) == []


@pytest.mark.parametrize(
    ("path", "value", "name"),
    [
        (("interfaces",), ["eth0", "lo"], "network: loopback only"),
        (("capabilities", "CapBnd"), 1, "no capabilities"),
        (("no_new_privs",), "0", "no new privileges"),
        (("seccomp",), "0", "system call filter"),
        (("uid",), 0, "not root"),
        (("written", "/pool"), "written", "/pool read-only"),
        (("mounts", "/pool"), ["rw", "nosuid", "nodev"], "/pool read-only"),
        (("mounts", "/pool"), ["ro", "relatime"], "/pool nosuid, nodev"),
        (("calls", "io_uring_setup"), "EFAULT", "system calls refused"),
        (("families", "AF_VSOCK"), "allowed", "socket families refused"),
        (("written", "/workspace"), "EACCES", "/workspace writable"),
        (("size", "/workspace", "bytes"), 2**40, "/workspace bounded"),
        (("memory",), 2**60, "memory limit"),
        (("pids",), None, "pids limit"),
        (("engine_socket",), ["/run/docker.sock"], "no engine socket"),
        (("processes",), 300, "host processes hidden"),
    ],
)
def test_a_property_that_does_not_hold_is_named(
    seen: dict[str, Any], path: tuple[str, ...], value: object, name: str
) -> None:
    changed = copy.deepcopy(seen)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert failing(changed) == [name]
