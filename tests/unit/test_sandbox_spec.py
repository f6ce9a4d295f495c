"""What a container may be asked to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curation_sandbox import hardening
from curation_sandbox.hardening import Bind, engine_json
from curation_sandbox.spec import ContainerSpec, Limits, Mount, format_size, parse_size


def spec(**fields: Any) -> ContainerSpec:
    return ContainerSpec(**{"run_id": "r", "image": "i", "command": ("true",), **fields})


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512),
        (512, 512),
        ("1k", 1024),
        ("256m", 256 * 2**20),
        ("1.5g", 3 * 2**29),
        ("2GiB", 2**31),
        (" 1 MB ", 2**20),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "m", "-1", "-1m", "0", 0, -5, "1x", "1mm", "1e9", "nan", "0.1", True, "1 2"])
def test_what_is_no_size(text: str | int) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@given(st.integers(min_value=1, max_value=2**60))
def test_a_plain_number_is_bytes(number: int) -> None:
    assert parse_size(str(number)) == parse_size(number) == number


def test_sizes_in_messages() -> None:
    assert [format_size(size) for size in (5, 2048, 3 * 2**30)] == ["5 B", "2.0 KiB", "3.0 GiB"]


def test_limits_from_text() -> None:
    limits = Limits.model_validate({"memory": "1g", "cpus": 1.5, "tmp_size": "64m"})
    assert (limits.memory, limits.threads, limits.tmp_size) == (2**30, 1, 64 * 2**20)
    assert Limits.model_validate_json(limits.model_dump_json()) == limits


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory": "1m"},
        {"cpus": 0},
        {"cpus": float("inf")},
        {"cpus": float("nan")},
        {"pids": 1},
        {"pids": -1},
        {"file_size": 0},
        {"open_files": 1},
        {"swap": "1g"},
    ],
)
def test_limits_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate(wrong)


@pytest.mark.parametrize(
    "target",
    [
        "pool", "", "/", "//pool", "/pool/", "/pool/../etc", "/./pool", "/pool//x", "/po\nol", "/pool,ro", "/a:b",
        "/proc/x", "/sys", "/dev/shm", "/tmp/x", "/etc", "/etc/passwd", "/workspace", "/workspace/pool",
        "/home", "/home/agent/.claude", "/run/curation", "/run/curation/llm.sock", "/run",
    ],
)  # fmt: skip
def test_a_target_that_is_refused(target: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        Mount(source=tmp_path, target=target)


@pytest.mark.parametrize(
    "source",
    ["pool", "/", "/etc", "/run", "/var/run", "/run/docker.sock", "/var/lib", "/var/lib/docker", "/proc",
     "/proc/1/root", "/sys/fs", "/dev", "/dev/sda", "/home", "/srv/../etc"],
)  # fmt: skip
def test_a_source_that_is_refused(source: str) -> None:
    with pytest.raises(ValidationError):
        Mount(source=Path(source), target="/pool")


def test_a_mount_cannot_be_writable(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        Mount.model_validate({"source": tmp_path, "target": "/pool", "read_only": False})


@pytest.mark.parametrize(("one", "other"), [("/pool", "/pool"), ("/pool", "/pool/cards"), ("/opt/a/b", "/opt/a")])
def test_mounts_that_overlap(one: str, other: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="overlap"):
        spec(mounts=(Mount(source=tmp_path, target=one), Mount(source=tmp_path, target=other)))


def test_mounts_beside_each_other(tmp_path: Path) -> None:
    spec(mounts=(Mount(source=tmp_path, target="/pool"), Mount(source=tmp_path, target="/pool2")))


@pytest.mark.parametrize("name", ["sockets", "workspace", "home"])
def test_a_mount_that_shows_a_folder_of_the_runs_own(name: str, tmp_path: Path) -> None:
    """The agent would find its own writable folder, or its sockets, under a second name."""
    for source, own in ((tmp_path, tmp_path / "x"), (tmp_path / "x", tmp_path)):
        with pytest.raises(ValidationError, match="overlap"):
            spec(mounts=(Mount(source=source, target="/pool"),), **{name: own})


@pytest.mark.parametrize("run_id", ["", "a b", "../x", "-x", "a/b", "x" * 200])
def test_a_run_id_that_is_none(run_id: str) -> None:
    with pytest.raises(ValidationError):
        spec(run_id=run_id)


@pytest.mark.parametrize("user", [(0, 0), (0, 1000), (1000, 0), (-1, 5)])
def test_root(user: tuple[int, int]) -> None:
    with pytest.raises(ValidationError, match="root"):
        spec(user=user)


@pytest.mark.parametrize("environment", [{"": "x"}, {"A=B": "x"}, {"A": "x\0y"}])
def test_variables_that_cannot_be_passed(environment: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        spec(environment=environment)


def test_the_environment_is_the_sandboxs_and_the_specs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "of the host")
    found = spec(environment={"TMPDIR": "/workspace", "MINE": "1"}, limits=Limits(cpus=3.7)).full_environment()
    assert "SOME_KEY" not in found
    assert "PATH" not in found, "the image knows where its programs are"
    assert (found["HOME"], found["TZ"], found["TMPDIR"], found["MINE"]) == ("/home/agent", "UTC", "/workspace", "1")
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "RAYON_NUM_THREADS",
    ):
        assert found[name] == "3"


def test_the_hardened_set() -> None:
    """Every setting that the isolation is made of; a change here is a change of the sandbox."""
    body = engine_json(spec(runtime="runsc"), [Bind(Path("/a"), "/pool", writable=False)], {"l": "v"})
    host = body["HostConfig"]
    assert body["NetworkDisabled"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert "CapAdd" not in host
    assert not host.get("Privileged")
    assert not {"PidMode", "UTSMode", "UsernsMode", "Devices", "Binds", "VolumesFrom"} & host.keys()
    assert host["IpcMode"] == "private"
    assert host["SecurityOpt"][0] == "no-new-privileges"
    assert host["Memory"] == host["MemorySwap"] == 2**30
    assert host["PidsLimit"] == 256
    assert host["NanoCpus"] == 10**9
    assert {entry["Name"]: entry["Hard"] for entry in host["Ulimits"]} == {
        "fsize": 256 * 2**20, "nofile": 1024, "core": 1,
    }  # fmt: skip
    assert host["Init"]
    assert host["LogConfig"]["Type"] == "none"
    assert host["Runtime"] == "runsc"
    assert body["User"] == "1000:1000"
    assert body["Hostname"] == "sandbox"
    (bind,) = host["Mounts"]
    assert bind["ReadOnly"]
    assert bind["BindOptions"]["NonRecursive"]
    assert set(host["Tmpfs"]) == {"/tmp", "/workspace", "/home/agent"}
    assert all({"nosuid", "nodev"} <= set(options.split(",")) for options in host["Tmpfs"].values())


def test_volumes_take_the_place_of_memory(tmp_path: Path) -> None:
    host = engine_json(spec(workspace=tmp_path / "w", home=tmp_path / "h"), [], {})["HostConfig"]
    assert set(host["Tmpfs"]) == {"/tmp"}
    assert {mount["Target"] for mount in host["Mounts"] if not mount["ReadOnly"]} == {"/workspace", "/home/agent"}


REFUSED = {
    "io_uring_setup", "io_uring_enter", "io_uring_register", "ptrace", "process_vm_readv",
    "process_vm_writev", "pidfd_getfd", "kcmp", "keyctl", "add_key", "request_key", "userfaultfd", "bpf",
    "perf_event_open", "mount", "umount", "umount2", "pivot_root", "move_mount", "open_tree", "fsopen",
    "fsconfig", "fsmount", "fspick", "mount_setattr", "unshare", "setns", "chroot", "init_module",
    "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff",
    "name_to_handle_at", "open_by_handle_at", "quotactl", "acct", "settimeofday", "clock_settime",
    "sethostname", "setdomainname", "syslog", "iopl", "ioperm", "modify_ldt", "fanotify_init",
    "lookup_dcookie",
}  # fmt: skip


def test_the_seccomp_profile_is_an_allow_list_without_the_dangerous() -> None:
    profile = json.loads(hardening.seccomp_profile())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert not allowed & REFUSED
    assert {"read", "execve", "openat", "futex", "clone"} <= allowed
    for rule in profile["syscalls"]:
        conditional = bool({"clone", "socket", "personality"} & set(rule["names"]))
        assert conditional == bool(rule.get("args")), rule
    (clone3,) = [rule for rule in profile["syscalls"] if "clone3" in rule["names"]]
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)
