"""Runs and resumes runs of the fast test task in processes that may be killed. A program of its own: it has
everything imported, and makes a process for each run by a fork, which takes milliseconds.

    python resume_child.py    # a request a line on stdin, an answer a line on stdout, both JSON; see ``Request``
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic.v1  # noqa: F401 - what fastapi looks for only when a server is made: before the forks, once for all

import curation_harness.report.html
from curation_harness import launch, recorded
from curation_harness.agent import phase as agent_phase
from curation_harness.errors import RunUnknown
from curation_harness.launch import Outcome
from curation_harness.planning.plan import LaunchOptions
from curation_harness.record import files
from curation_harness.record.models import ImageUsed
from curation_harness.record.store import RunRecord
from curation_harness.run import loop as run
from curation_harness.watcher import Watcher
from curation_plugins import registry as registries
from curation_plugins.registry import Registry
from curation_sandbox.errors import CurationError
from fault_points import Faults
from stand_in import MODEL, boxes, model_line

RUN = "r"
IMAGE = ImageUsed(name="none", digest="sha256:" + "0" * 64, labels={})


@dataclass(frozen=True)
class Request:
    """One process."""

    folder: str
    """Everything of the run lies there: runs, the agent's workspace, the cache, the provider's notes."""
    overrides: tuple[str, ...] = ()
    kill: str | None = None
    """The point at which the process kills itself."""
    trace: str | None = None
    """Where to write the points passed."""


def main() -> None:
    registry = registries.build()
    for line in sys.stdin:
        request = Request(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            _child(request, registry)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(json.dumps({"status": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


def _child(request: Request, registry: Registry) -> None:
    folder = Path(request.folder)
    out = os.open(folder / "child.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    faults = Faults((folder / "runs", folder / "cache"), request.kill)
    code = 0
    try:
        _stand_in(folder)
        faults.install()
        _launch_or_resume(request, folder, registry)
    except CurationError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
        code = error.exit_code
    except BaseException:
        traceback.print_exc()
        code = 1
    if request.trace is not None:
        Path(request.trace).write_text("\n".join(faults.seen))
    os._exit(code)


def _launch_or_resume(request: Request, folder: Path, registry: Registry) -> Outcome:
    """As a user does: what has no record yet is launched anew."""
    runs, watcher = folder / "runs", Watcher()
    try:
        record = RunRecord.find(runs, RUN)
    except RunUnknown:
        return launch.launch(_options(request, folder), registry, watcher)
    return launch.resume(record, registry, folder / "cache", watcher)


def _options(request: Request, folder: Path) -> LaunchOptions:
    return LaunchOptions(
        task="probe",
        agent="command",
        agent_arg="true",
        scaffold="open",
        runs=folder / "runs",
        cache=folder / "cache",
        run_id=RUN,
        overrides=tuple(request.overrides),
        model=f"openai-compatible/{MODEL}",
        base_url="http://127.0.0.1:9",
        prices=(f"{MODEL}=1000000/1000000",),
    )


def _stand_in(folder: Path) -> None:
    """Everything that would need an engine, a provider or a minute."""

    def image(name: str) -> ImageUsed:
        return IMAGE

    def line(*arguments: Any) -> Any:
        return model_line(folder / "provider.log")

    def report(record: RunRecord, task: Any, assets: Any) -> Path:
        files.write(record.folder / "report.html", b"<p>report</p>")
        return record.folder / "report.html"

    place: Any = launch
    place.find_image = recorded.find_image = image  # type: ignore[assignment]
    place.model_line = recorded.model_line = line
    place.machine.require = lambda plan: None
    place.sandbox_check.require = lambda *arguments: None
    place.remove_leftovers = lambda cache: None
    agent_phase.POLL_SECONDS = run.POLL_SECONDS = 0.01  # type: ignore[misc]
    run.AgentBox = boxes(folder / "workspace")  # type: ignore[misc, assignment]
    curation_harness.report.html.write_report = report


def request_line(request: Request) -> str:
    return json.dumps(vars(request)) + "\n"


__all__: Sequence[str] = ("RUN", "Request", "request_line")

if __name__ == "__main__":
    main()
