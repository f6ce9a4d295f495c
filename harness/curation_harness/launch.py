"""``launch``, ``resume``, ``finish`` and ``references`` as functions: what the commands call."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from curation_harness.agent.seat import Seat
from curation_harness.attempts.trial import TrialRunner
from curation_harness.changes import require_same
from curation_harness.errors import OptionInvalid, RecordInvalid, RunBusy
from curation_harness.measure import references
from curation_harness.measure.noise import NoiseRunner
from curation_harness.measure.references import ReferenceRunner
from curation_harness.measure.shipped_signals import Shipped, SignalMaker
from curation_harness.planning import machine, sandbox_check
from curation_harness.planning import plan as plans
from curation_harness.planning.plan import LaunchOptions, Plan
from curation_harness.planning.prerequisites import find_image, model_line
from curation_harness.record.measures import Noise
from curation_harness.record.models import ImageUsed, ReferenceTable, RunStatus
from curation_harness.record.sealing import note_beside_unless_busy, root, seal
from curation_harness.record.state import iterations_left, status
from curation_harness.record.store import RunRecord
from curation_harness.recorded import (
    agent_is_through,
    refuse_ended,
    seat_again,
    task_of,
    unconcluded,
)
from curation_harness.run.interruption import interruptible
from curation_harness.run.loop import Parts, RunLoop
from curation_harness.run.recovery import clear_scratch
from curation_harness.trajectory.building import FILE as TRAJECTORY
from curation_harness.trajectory.building import write as write_trajectory
from curation_harness.upkeep import leftovers
from curation_harness.watcher import Watcher
from curation_plugins import assets as task_assets
from curation_plugins.api import AgentLaunch, Task
from curation_plugins.engines.local import FULL_BYTES
from curation_plugins.errors import WorkerDiskFull, WorkFailed
from curation_plugins.registry import Registry
from curation_sandbox import engine as engines
from curation_sandbox.errors import DiskFull, EngineUnavailable


@dataclass(frozen=True)
class Outcome:
    """How a command on a run ended."""

    record: RunRecord
    status: RunStatus
    report: Path | None


def launch(options: LaunchOptions, registry: Registry, watcher: Watcher) -> Outcome:
    """Run an agent on a task, from the first check to the report.

    Raises:
        CurationError: bad options, a missing engine or image, damaged files: before the run folder is made.
    """
    plan = plans.make(options, registry)
    task_assets.require_downloads(options.cache, plan.task)
    plan.task.require_ready()
    # before minutes are spent on the task's files: is the agent's part in order?
    first = plan.agent_launch(task_assets.folder(options.cache, plan.task))
    if first.interactive and not sys.stdin.isatty():
        raise OptionInvalid(f"agent {plan.agent.name} needs a terminal", hint="Run it from one, without --json.")
    line = model_line(plan.model, plan.agent, watcher)
    watcher.step("checking the engine and the image")
    image = find_image(plans.image_name(first, plan.task))
    machine.require(plan)
    sandbox_check.require(image, options.runtime, options.cache, watcher)
    watcher.step(f"making or checking the files of task {plan.task.name}")
    assets = task_assets.ensure(options.cache, plan.task, watcher.progress)
    agent = plan.agent_launch(assets)
    image = find_image(plans.image_name(agent, plan.task))  # perhaps another one by now
    sandbox_check.require(image, options.runtime, options.cache, watcher)
    table = references.find(options.cache, plan.task, assets)
    if table is None:
        watcher.step(
            f"no references are known for this pool and recipe; `harness references {plan.task.name}` measures them"
        )
    return begin(plan, plan.seat(assets, image, line), agent, image, table, watcher)


def begin(
    plan: Plan, seat: Seat, agent: AgentLaunch, image: ImageUsed, table: ReferenceTable | None, watcher: Watcher
) -> Outcome:
    """Make the record of a run that is planned and prepared, and run it.

    Args:
        agent: how the seat's program is started.
        table: the references, if there are any.
    """
    options, assets = plan.options, seat.request.assets
    spec = plans.run_spec(plan, agent, image, assets)
    record = RunRecord.create(options.runs, spec, table, None if seat.model is None else plan.prompt())
    watcher.step(f"run {plan.run_id} is kept in {record.folder}")
    with _withdrawn_unless_begun(record):
        return _drive(record, plan.task, plan.registry, assets, options.cache, watcher, seat)


def resume(record: RunRecord, registry: Registry, cache: Path, watcher: Watcher) -> Outcome:
    """Go on with an interrupted run: unfinished attempts first, then the agent, then the headline."""
    if unconcluded(record):
        return _conclude(record, registry, cache, watcher)
    refuse_ended(record)
    task, assets = task_of(record, registry, cache, watcher)
    require_same(record, registry, task)
    seat = None if agent_is_through(record) else seat_again(record, registry, task, assets, watcher)
    if seat is not None:
        sandbox_check.require(record.spec.image, record.spec.runtime, cache, watcher)
    return _drive(record, task, registry, assets, cache, watcher, seat, resumed=True)


def finish(record: RunRecord, registry: Registry, cache: Path, watcher: Watcher) -> Outcome:
    """Score an interrupted run as it stands: unfinished attempts, then the headline; the agent is not run again."""
    if unconcluded(record):
        return _conclude(record, registry, cache, watcher)
    refuse_ended(record)
    task, assets = task_of(record, registry, cache, watcher)
    require_same(record, registry, task)
    return _drive(record, task, registry, assets, cache, watcher, None, resumed=True)


def _conclude(record: RunRecord, registry: Registry, cache: Path, watcher: Watcher) -> Outcome:
    """Seal a run that had ended when its process was killed, and write its report. What was sealed stays so: another
    seal would cover what was changed since."""
    task, assets = task_of(record, registry, cache, watcher)
    with record.lock():
        if root(record.folder) is None:
            record.events.drop_torn_tail()
            clear_scratch(record)
            seal(record)
    return Outcome(record, status(record), _write_up(record, task, assets, registry, watcher))


def measure_references(task: Task, registry: Registry, engine: str, cache: Path, watcher: Watcher) -> ReferenceTable:
    """Measure a task's reference selections; what was measured before is kept."""
    task.require_ready()
    machine.require_cards(task, engine)
    assets = _files_of(task, cache, watcher)
    with _measuring(task, registry, engine, cache, assets) as trials:
        return ReferenceRunner(cache, trials, watcher.progress).run()


def measure_noise(
    task: Task, registry: Registry, engine: str, cache: Path, watcher: Watcher, seeds: int, evaluations: int
) -> Noise:
    """Measure how far one selection's score moves by itself; what was measured before is kept."""
    task.require_ready()
    machine.require_cards(task, engine)
    assets = _files_of(task, cache, watcher)
    runner = NoiseRunner(cache, lambda: _measuring(task, registry, engine, cache, assets), watcher.progress)
    return runner.run(seeds, evaluations)


def ship_signals(task: Task, registry: Registry, engine: str, cache: Path, watcher: Watcher) -> Shipped:
    """Measure the signals that ship with a task's pool; what was measured before is kept."""
    assets = _files_of(task, cache, watcher)
    log = cache / f"signals-{task.name}.log"
    with registry.engines.get(engine).open(run_id=f"signals-{task.name}", log=log, config=task.config) as session:
        return SignalMaker(task, assets, session, cache, watcher.progress).run()


def _files_of(task: Task, cache: Path, watcher: Watcher) -> Path:
    watcher.step(f"making or checking the files of task {task.name}")
    return task_assets.ensure(cache, task, watcher.progress)


@contextmanager
def _measuring(task: Task, registry: Registry, engine: str, cache: Path, assets: Path) -> Iterator[TrialRunner]:
    """Fresh workers for measurements without a run."""
    cache.mkdir(parents=True, exist_ok=True)
    log = cache / f"references-{task.name}.log"
    with registry.engines.get(engine).open(run_id=f"references-{task.name}", log=log, config=task.config) as session:
        yield TrialRunner(task, assets, session)


def _drive(
    record: RunRecord,
    task: Task,
    registry: Registry,
    assets: Path,
    cache: Path,
    watcher: Watcher,
    seat: Seat | None,
    *,
    resumed: bool = False,
) -> Outcome:
    parts = Parts(
        record=record,
        task=task,
        scaffold=registry.scaffolds.get(record.spec.scaffold.name),
        engine=registry.engines.get(record.spec.engine),
        assets=assets,
        cache=cache,
        watcher=watcher,
    )
    with ExitStack() as stack:
        stack.enter_context(_full_disk_named(record))
        if resumed:
            remove_leftovers(cache)
        seen = len(record.events.all())
        loop = stack.enter_context(RunLoop(parts))
        stack.enter_context(interruptible(loop.stop))
        if resumed:
            _refuse_overtaken(record, seen)
            loop.recover()
        loop.work_off()
        loop.work_through()
        if seat is not None and not loop.stopping:
            if iterations_left(record) > 0:
                loop.agent_phase(seat)
            else:  # killed in the last attempt: the agent could only read its score
                record.events.append("agent-over")
            loop.work_through()
        final = loop.headline_phase()
    if loop.outlived:  # nothing is made of a record that may yet change
        return Outcome(record, final, None)
    return Outcome(record, final, _write_up(record, task, assets, registry, watcher))


def _refuse_overtaken(record: RunRecord, seen: int) -> None:
    """What is to be done was decided from the record as it was when it was not yet locked.

    Raises:
        RunBusy: another process went on with the run meanwhile.
    """
    if any(event.kind != "clock" for event in record.events.all()[seen:]):
        raise RunBusy(
            f"another process has worked on run {record.spec.run_id} meanwhile",
            hint=f"`harness show {record.spec.run_id}` says what it has come to.",
        )


def _write_up(record: RunRecord, task: Task, assets: Path, registry: Registry, watcher: Watcher) -> Path:
    """What is made of a sealed record; the path of its report."""
    _write_trajectory(record, registry, watcher)
    watcher.step("writing the report")
    from curation_harness.report.html import write_report  # matplotlib takes longer to load than a container to start

    report = write_report(record, task, assets)
    note_beside_unless_busy(record, TRAJECTORY, report.name)
    return report


def _write_trajectory(record: RunRecord, registry: Registry, watcher: Watcher) -> None:
    """A by-product: what keeps it from being written is told, and costs the run nothing else."""
    try:
        write_trajectory(record, registry.agents.get(record.spec.agent.name))
    except (RecordInvalid, OSError) as error:
        watcher.step(f"no {TRAJECTORY} was written: {error}")


def remove_leftovers(cache: Path) -> None:
    """Remove containers and mounts of harness processes that died, this run's among them."""
    try:
        engine = engines.connect()
    except EngineUnavailable:  # scoring needs no engine; mounts can be removed without one
        engine = None
    for leftover in leftovers.find(engine, cache):
        leftover.remove()


@contextmanager
def _full_disk_named(record: RunRecord) -> Iterator[None]:
    """A full disk shows in many ways (a worker that dies, a file cut short); what to do about it is always one."""
    try:
        yield
    except (WorkFailed, OSError) as error:
        known = isinstance(error, WorkerDiskFull)
        if not known and shutil.disk_usage(record.folder).free >= FULL_BYTES:
            raise
        raise DiskFull(
            f"the disk is full: {record.folder} has no room left ({str(error).splitlines()[0]})",
            hint=f"Free some; then `harness finish {record.spec.run_id}` or `resume` goes on.",
        ) from error


@contextmanager
def _withdrawn_unless_begun(record: RunRecord) -> Iterator[None]:
    """A new run whose agent could not even be started leaves no folder: there is nothing to resume or finish."""
    try:
        yield
    except BaseException:  # Ctrl-C too: a run whose agent never started is none
        if not record.events.of("agent-started"):
            shutil.rmtree(record.folder, ignore_errors=True)
        raise
