"""One policy, run once in a container of its own: no network, no sockets, nothing of the agent's but the policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from curation_harness.agent_container import CURATE
from curation_harness.errors import ReproductionFailed
from curation_harness.reproduction import frame
from curation_harness.reproduction.history import SELECTION_NAMES
from curation_sandbox import engine as engines
from curation_sandbox.container import Container, ExitStatus
from curation_sandbox.errors import ContainerGone, CurationError
from curation_sandbox.spec import POOL, WORKSPACE, ContainerSpec, Limits, Mount

TRACE: Final = CURATE.with_name("trace.py")
"""Starts and watches the policy: one file, mounted read-only."""
TRACE_TARGET: Final = "/opt/curation/trace.py"
POLICY: Final = "/policy"
HISTORY: Final = "/history"
NOT_BEGUN: Final = 70
"""Exit status of the tracer when it failed before the policy began: ours."""
SCRATCH: Final = 256 * 2**20
"""Largest ``/workspace`` and ``/home/agent`` of such a container, together, or twice the largest submission where
that is more; in memory, on top of the agent's."""
PATIENCE: Final = 60.0
"""Seconds beyond the policy's time that the container may take to start, and to end what the policy left."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a policy's run ended."""

    report: frame.Report | None
    """None: its watcher did not live to the end."""
    killed_for_memory: bool = False


class PolicyRunner(Protocol):
    """Runs a policy. There is one that uses a container; tests have one without."""

    def run(self, policy: Path, history: Path, arguments: Sequence[str], limit: float, most: int, out: Path) -> Ran:
        """Run ``policy/policy.py``.

        Args:
            policy: folder on the host, shown read-only.
            history: folder on the host, shown read-only.
            arguments: those after ``--pool``, ``--history`` and ``--out``.
            limit: seconds.
            most: bytes of output that are taken.
            out: file to make of what the policy wrote, where that is a file of an honest size.

        Raises:
            ReproductionFailed: the engine failed, or the container could not be started: ours.
        """


@dataclass(frozen=True)
class ContainerRunner:
    """Runs policies in fresh containers of one run's image."""

    run_id: str
    image: str
    """Image id, the agent's own."""
    pool: Path
    limits: Limits
    """Of the agent's container: the policy gets the same memory, processors and threads."""
    output: str = SELECTION_NAMES["rows"]
    """Name of the file that ``--out`` names."""
    runtime: str | None = None
    """The run's."""

    def run(self, policy: Path, history: Path, arguments: Sequence[str], limit: float, most: int, out: Path) -> Ran:
        spec = self._spec(policy, history, arguments, limit, most)
        try:
            return self._once(spec, limit, most, out)
        except CurationError:  # once more, in another container: an engine may be busy for a moment
            try:
                return self._once(spec, limit, most, out)
            except CurationError as error:
                raise ReproductionFailed(f"the policy could not be run again: {error}", hint=error.hint) from error

    def _once(self, spec: ContainerSpec, limit: float, most: int, out: Path) -> Ran:
        with frame.Tail(most, out.parent) as tail:
            with engines.connect() as engine, Container(engine, spec) as container:
                container.start(tail.add)
                status = container.wait(limit + PATIENCE)
                if status is None:
                    container.kill()
                    status = container.wait(PATIENCE)
                kills = container.oom_kills()
            if status is not None and status.from_outside:  # says nothing about the policy
                raise ContainerGone("The policy's container was ended from outside.")
            return _ran(status, tail, most, kills, out)

    def _spec(self, policy: Path, history: Path, arguments: Sequence[str], limit: float, most: int) -> ContainerSpec:
        made = f"{WORKSPACE}/{self.output}"
        watch = ("--policy", POLICY, "--out", made, "--limit", str(limit), "--most", str(most), "--alone")
        told = ("--pool", POOL, "--history", HISTORY, *arguments, "--out", made)
        scratch = _scratch(self.limits, most)
        return ContainerSpec(
            run_id=self.run_id,
            image=self.image,
            command=("python3", "-I", TRACE_TARGET, *watch, "--", *told),
            limits=self.limits.model_copy(
                update={
                    "memory": again_memory(self.limits, most),
                    "workspace_size": scratch - scratch // 8,
                    "home_size": scratch // 8,
                }
            ),
            mounts=(
                Mount(source=self.pool, target=POOL),
                Mount(source=policy, target=POLICY),
                Mount(source=history, target=HISTORY),
                Mount(source=TRACE, target=TRACE_TARGET),
            ),
            runtime=self.runtime,
        )


def again_memory(limits: Limits, most: int) -> int:
    """Memory of such a container, bytes: the agent's, and what its folders hold.

    Args:
        most: bytes of the largest submission.
    """
    return limits.memory + _scratch(limits, most)


def _scratch(limits: Limits, most: int) -> int:
    return min(limits.workspace_size, max(SCRATCH, 2 * most))


def _ran(status: ExitStatus | None, tail: frame.Tail, most: int, kills: int, out: Path) -> Ran:
    """Raises:
    ReproductionFailed: the tracer says that it is to blame.
    """
    if status is not None and status.code == NOT_BEGUN:
        said = tail.last(500).decode("utf-8", "replace").strip()
        raise ReproductionFailed(f"the policy's watcher could not start: {said}")
    memory = kills > 0 or (status is not None and status.oom_killed)
    report = frame.read(tail, most, out) if status is not None and status.code == 0 else None
    return Ran(report=report, killed_for_memory=memory)
