"""``launch``, ``resume``, ``finish``, ``references`` and ``rerun`` as functions: what the commands call."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from curation_harness import leftovers, machine, providers, references, trajectory
from curation_harness import plan as plans
from curation_harness.errors import HarnessError, OptionInvalid, RecordInvalid
from curation_harness.interruption import interruptible
from curation_harness.plan import LaunchOptions, Plan
from curation_harness.record.models import ImageUsed, ModelUsed, ReferenceTable, RunSpec, RunStatus
from curation_harness.record.state import iterations_left, status
from curation_harness.record.store import RunRecord
from curation_harness.references import ReferenceRunner
from curation_harness.replay.runner import Replayer
from curation_harness.replay.verdict import Replay
from curation_harness.rerun import Rerun, SubmissionRerunner
from curation_harness.run import Parts, RunLoop
from curation_harness.seat import ModelLine, Seat
from curation_harness.trial import TrialRunner
from curation_harness.watcher import Watcher
from curation_plugins import assets as task_assets
from curation_plugins.api import Agent, Task
from curation_plugins.errors import WorkFailed
from curation_plugins.registry import Registry
from curation_sandbox import engine as engines
from curation_sandbox import images
from curation_sandbox.errors import DiskFull, EngineUnavailable, ImageMissing
from curation_sandbox.gateway.http_source import HttpSource
from curation_sandbox.gateway.probe import probe

FULL_BYTES = 2**20
"""A disk with less room than this is called full when something on it has failed."""


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
    # before minutes are spent on the task's files: is the agent's part in order?
    first = plan.agent_launch(task_assets.folder(options.cache, plan.task))
    if first.interactive and not sys.stdin.isatty():
        raise OptionInvalid(f"agent {plan.agent.name} needs a terminal", hint="Run it from one, without --json.")
    line = model_line(plan.model, plan.agent, watcher)
    watcher.step("checking the engine and the image")
    find_image(plans.image_name(first, plan.task))
    machine.require(plan)
    watcher.step(f"making or checking the files of task {plan.task.name}")
    assets = task_assets.ensure(options.cache, plan.task, watcher.progress)
    agent = plan.agent_launch(assets)
    image = find_image(plans.image_name(agent, plan.task))
    spec = plans.run_spec(plan, agent, image, task_assets.digest(assets), task_assets.pool_digest(assets))
    table = references.find(options.cache, plan.task, assets)
    if table is None:
        watcher.step(
            f"no references are known for this pool and recipe; `harness references {plan.task.name}` measures them"
        )
    record = RunRecord.create(options.runs, spec, table)
    if line is not None:
        record.write_prompt(plan.prompt())
    watcher.step(f"run {plan.run_id} is kept in {record.folder}")
    with _withdrawn_unless_begun(record):
        return _drive(record, plan.task, registry, assets, options.cache, watcher, plan.seat(assets, image, line))


def resume(record: RunRecord, registry: Registry, cache: Path, watcher: Watcher) -> Outcome:
    """Go on with an interrupted run: unfinished attempts first, then the agent, then the headline."""
    _refuse_ended(record)
    task, assets = _task_of(record, registry, cache, watcher)
    seat = None if _agent_is_through(record) else _seat_again(record, registry, task, assets, watcher)
    return _drive(record, task, registry, assets, cache, watcher, seat, resumed=True)


def finish(record: RunRecord, registry: Registry, cache: Path, watcher: Watcher) -> Outcome:
    """Score an interrupted run as it stands: unfinished attempts, then the headline; the agent is not run again."""
    _refuse_ended(record)
    task, assets = _task_of(record, registry, cache, watcher)
    return _drive(record, task, registry, assets, cache, watcher, None, resumed=True)


def measure_references(task: Task, registry: Registry, engine: str, cache: Path, watcher: Watcher) -> ReferenceTable:
    """Measure a task's reference selections; what was measured before is kept."""
    watcher.step(f"making or checking the files of task {task.name}")
    assets = task_assets.ensure(cache, task, watcher.progress)
    cache.mkdir(parents=True, exist_ok=True)
    log = cache / f"references-{task.name}.log"
    with registry.engines.get(engine).open(run_id=f"references-{task.name}", log=log, config=task.config) as session:
        trials = TrialRunner(task, assets, session)
        return ReferenceRunner(cache, trials, watcher.progress).run()


def rerun_submissions(record: RunRecord, registry: Registry, cache: Path, epsilon: float, watcher: Watcher) -> Rerun:
    """Train and score a run's submissions again."""
    task, assets = _task_of(record, registry, cache, watcher, same_files=False)
    with (
        record.lock(),
        registry.engines.get(record.spec.engine).open(
            run_id=record.spec.run_id, log=record.folder / "reruns.log", config=task.config
        ) as session,
    ):
        trials = TrialRunner(task, assets, session)
        return SubmissionRerunner(record, trials, epsilon, watcher.progress).run()


def replay(record: RunRecord, registry: Registry, cache: Path, watcher: Watcher) -> Replay:
    """Run a recorded agent again, against the recorded replies and feedback: no key, no network, no training."""
    task, assets = _task_of(record, registry, cache, watcher)
    plan = _plan_of(record.spec, registry, task, record.folder.parent)
    image = find_image(plans.image_name(plan.agent_launch(assets), task))
    with record.lock():
        return Replayer(record, plan, image, assets, cache, watcher).run()


def model_line(used: ModelUsed | None, agent: Agent, watcher: Watcher) -> ModelLine | None:
    """The way to the run's model, tried once before anything is started; None: the run has no model.

    Raises:
        KeyMissing, KeyRefused, ProviderUnreachable.
        ModelUnknown: the provider lists its models, and this is none of them.
    """
    if used is None:
        return None
    upstream = providers.upstream(used)
    watcher.step(f"asking {used.provider} ({used.base_url}) for its models")
    providers.require_models(used, probe(upstream, used.wire))
    return ModelLine(used=used, pins=providers.pins(used, agent), source=HttpSource(upstream))


def find_image(name: str) -> ImageUsed:
    """The image of that name.

    Raises:
        EngineUnavailable, EngineTooOld, ImageMissing.
    """
    with engines.connect() as engine:
        found = images.resolve(engine, name)
    return ImageUsed(name=name, digest=found.digest, labels=dict(found.labels))


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
            _remove_leftovers(cache)
        loop = stack.enter_context(RunLoop(parts))
        stack.enter_context(interruptible(loop.stop))
        if resumed:
            loop.recover()
        loop.work_off()
        loop.work_through()
        if seat is not None and not loop.stopping and iterations_left(record) > 0:
            loop.agent_phase(seat)
            loop.work_through()
        final = loop.headline_phase()
    _write_trajectory(record, registry, watcher)
    watcher.step("writing the report")
    from curation_harness.report.html import write_report  # matplotlib takes longer to load than a container to start

    return Outcome(record, final, write_report(record, task, assets))


def _write_trajectory(record: RunRecord, registry: Registry, watcher: Watcher) -> None:
    """A by-product: what keeps it from being written is told, and costs the run nothing else."""
    try:
        trajectory.write(record, registry.agents.get(record.spec.agent.name))
    except (RecordInvalid, OSError) as error:
        watcher.step(f"no {trajectory.FILE} was written: {error}")


def _remove_leftovers(cache: Path) -> None:
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
        if shutil.disk_usage(record.folder).free >= FULL_BYTES:
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
    except BaseException:
        if not record.events.of("agent-started"):
            shutil.rmtree(record.folder, ignore_errors=True)
        raise


def _refuse_ended(record: RunRecord) -> None:
    now = status(record)
    if now not in ("unscored", "failed"):
        raise OptionInvalid(
            f"run {record.spec.run_id} is {now}; there is nothing to go on with",
            hint=f"`harness show {record.spec.run_id}` shows it.",
        )


def _agent_is_through(record: RunRecord) -> bool:
    """Whether the agent's part is over, and not only interrupted."""
    kinds = [event.kind for event in record.events.all()]
    if "agent-started" not in kinds:
        return False
    last = len(kinds) - kinds[::-1].index("agent-started")
    return not {"done", "budget-spent", "agent-over"}.isdisjoint(kinds[last:])


def _task_of(
    record: RunRecord, registry: Registry, cache: Path, watcher: Watcher, *, same_files: bool = True
) -> tuple[Task, Path]:
    """The recorded task under its recorded numbers, with its files.

    Raises:
        RecordInvalid: the files are not the ones the run was made with, and ``same_files`` asks for them.
    """
    spec = record.spec
    task = registry.tasks.get(spec.task.name).with_config(spec.task)
    watcher.step(f"checking the files of task {task.name}")
    assets = task_assets.ensure(cache, task, watcher.progress)
    if same_files and task_assets.digest(assets) != spec.assets_digest:
        raise RecordInvalid(
            f"the files of task {task.name} are not the ones run {spec.run_id} began with",
            hint="Scores from other files would not compare; launch a new run.",
        )
    return task, assets


def _seat_again(record: RunRecord, registry: Registry, task: Task, assets: Path, watcher: Watcher) -> Seat:
    plan = _plan_of(record.spec, registry, task, record.folder.parent)
    launch = plan.agent_launch(assets)
    here = find_image(plans.image_name(launch, task))
    if here.digest != record.spec.image.digest:
        raise RecordInvalid(
            f"image {here.name} is {here.digest[:19]} here; the run began with {record.spec.image.digest[:19]}",
            hint="`harness images load FILE` brings a saved image back; `harness finish` scores without the agent.",
        )
    return plan.seat(assets, here, model_line(plan.model, plan.agent, watcher))


def _plan_of(spec: RunSpec, registry: Registry, task: Task, runs: Path) -> Plan:
    scaffold = registry.scaffolds.get(spec.scaffold.name)
    if scaffold.version != spec.scaffold.version:
        raise HarnessError(
            f"scaffold {scaffold.name} is version {scaffold.version} here; the run began with"
            f" {spec.scaffold.version}",
            hint="`harness finish` scores the run without running the agent again.",
        )
    agent = registry.agents.get(spec.agent.name)
    options = LaunchOptions(
        task=spec.task.name,
        agent=spec.agent.name,
        scaffold=spec.scaffold.name,
        runs=runs,
        cache=Path(),
        engine=spec.engine,
        seed=spec.seeds.run,
        run_id=spec.run_id,
        agent_dir=Path(spec.agent.agent_dir) if spec.agent.agent_dir else None,
        agent_arg=spec.agent.agent_arg,
    )
    return Plan(
        run_id=spec.run_id,
        options=options,
        task=task,
        agent=agent,
        scaffold=scaffold,
        engine=registry.engines.get(spec.engine),
        registry=registry,
        agent_options=agent.options_class.model_validate(spec.agent.options),
        model=spec.model,
        session=spec.agent.session,
    )
