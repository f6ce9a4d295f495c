"""From ``launch`` to the first instruction in the container, against a bare ``docker run`` with the same flags.

    python tests/benchmarks/launch_overhead.py [--repeat 10]

The program in the container prints the time, on the same clock as the host's. Three spans, taken in turns:

- ``docker run``: from starting the client to the container's time;
- ``launch()``: from the call, everything imported, to the container's time: names resolved, engine asked, the
  task's files checked against their manifest, record written, volumes made and mounted, sockets served;
- the command: the same from the start of the Python process, imports included.

The aim is about the second: the third is mostly the interpreter loading libraries, a constant of each command.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measuring

from curation_harness import launch, places
from curation_harness.planning.plan import LaunchOptions
from curation_harness.watcher import Watcher
from curation_plugins import registry
from curation_sandbox import images
from curation_sandbox.engine import connect
from curation_sandbox.hardening import Bind, engine_json, seccomp_profile
from curation_sandbox.spec import ContainerSpec, Mount

AIM = 1.5
STAMP = "date +%s.%N"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child()
        return
    with tempfile.TemporaryDirectory(prefix="curation-bench-") as folder:
        compare(Path(folder), given.repeat)


def compare(folder: Path, repeat: int) -> None:
    os.environ |= {"CURATION_RUNS": str(folder / "runs"), "CURATION_CACHE": str(folder / "cache")}
    bare_command = docker_run(folder)
    harness()  # makes the task's files, warms the page cache
    bare, call, command = [], [], []
    for _ in range(repeat):
        bare.append(docker(bare_command))
        called, started = harness()
        call.append(called)
        command.append(started)
    base = statistics.median(bare)
    print(measuring.machine(), "\n")
    measuring.table(
        [
            ("to the first instruction from", "seconds: median (range)", "ratio"),
            ("docker run, same flags", measuring.spread(bare), "1"),
            ("launch()", measuring.spread(call), f"{statistics.median(call) / base:.2f}"),
            (
                "harness launch (interpreter and imports too)",
                measuring.spread(command),
                f"{statistics.median(command) / base:.2f}",
            ),
        ]
    )
    measuring.verdict("launch() / docker run", statistics.median(call) / base, AIM, at_most=True)


def docker(command: list[str]) -> float:
    began = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout) - began


def harness() -> tuple[float, float]:
    """Seconds from the call of ``launch``, and from the start of the process."""
    began = time.time()
    done = subprocess.run([sys.executable, __file__, "--child"], capture_output=True, text=True, check=True)
    called, stamp = (float(line) for line in done.stdout.split())
    return stamp - called, stamp - began


def child() -> None:
    known = registry.build()
    options = LaunchOptions(
        task="probe", agent="command", scaffold="open", runs=places.runs(), cache=places.cache(), agent_arg=STAMP
    )
    print(time.time())
    outcome = launch.launch(options, known, Watcher())
    print((outcome.record.folder / "agent.log").read_text())


# -- the same container by hand ----------------------------------------------------------------------


def docker_run(folder: Path) -> list[str]:
    """``docker run`` with every flag of the sandbox's container that the client has."""
    for name in ("pool", "sockets", "workspace", "home"):
        (folder / name).mkdir()
    (folder / "seccomp.json").write_text(seccomp_profile())
    with connect() as engine:
        image = images.resolve(engine, "base").digest
    spec = ContainerSpec(
        run_id="bench",
        image=image,
        command=tuple(STAMP.split()),
        mounts=(Mount(source=folder / "pool", target="/pool"),),
        sockets=folder / "sockets",
        workspace=folder / "workspace",
        home=folder / "home",
    )
    shown = [
        Bind(folder / "pool", "/pool", writable=False),
        Bind(folder / "sockets", "/run/curation", writable=False),
    ]
    tree = engine_json(spec, shown, {})
    return ["docker", "run", "--rm", *flags(tree, folder / "seccomp.json"), image, *spec.command]


def flags(tree: dict[str, Any], seccomp: Path) -> Iterator[str]:
    host = tree["HostConfig"]
    yield from ("--network", host["NetworkMode"], "--ipc", host["IpcMode"], "--cgroupns", host["CgroupnsMode"])
    yield from ("--read-only", "--init", "--log-driver", "none", "--entrypoint", "")
    yield from ("--user", tree["User"], "--workdir", tree["WorkingDir"], "--hostname", tree["Hostname"])
    yield from ("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--security-opt", f"seccomp={seccomp}")
    yield from ("--memory", str(host["Memory"]), "--memory-swap", str(host["MemorySwap"]))
    yield from ("--cpus", str(host["NanoCpus"] / 1e9), "--pids-limit", str(host["PidsLimit"]))
    yield from ("--shm-size", str(host["ShmSize"]))
    for limit in host["Ulimits"]:
        yield from ("--ulimit", f"{limit['Name']}={limit['Soft']}:{limit['Hard']}")
    for target, options in host["Tmpfs"].items():
        yield from ("--tmpfs", f"{target}:{options}")
    for mount in host["Mounts"]:
        only = ",readonly" if mount["ReadOnly"] else ""
        yield from ("--mount", f"type=bind,source={mount['Source']},target={mount['Target']},bind-nonrecursive{only}")
    for variable in tree["Env"]:
        yield from ("--env", variable)


if __name__ == "__main__":
    main()
